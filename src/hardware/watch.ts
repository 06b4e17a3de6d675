// Tells those who listen what the machine does: a snapshot now and then, and none for nobody.

import type { CancelTimer, Clock } from "../lib/clock.ts";
import type { MachineSnapshot, MachineSource } from "../protocol/machine.ts";

export interface WatchOptions {
  machine: MachineSource;
  hasListeners(): boolean;
  publish(snapshot: MachineSnapshot): void;
  clock: Clock;
  intervalMs?: number;
}

/** As often as a person can follow, and a few milliseconds of work each. */
export const WATCH_MS = 2_000;

export class HardwareWatch {
  readonly #options: WatchOptions;
  #cancel: CancelTimer | null = null;
  #stopped = false;
  #looking = false;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** Somebody listens: they get a snapshot at once. */
  begin(): void {
    if (this.#stopped) return;
    this.#cancel?.();
    void this.#look();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  async #look(): Promise<void> {
    const { machine, hasListeners, publish, clock, intervalMs = WATCH_MS } = this.#options;
    // One round is enough for all who came meanwhile.
    if (this.#looking) return;
    this.#looking = true;
    const snapshot = await machine.read(intervalMs / 2);
    this.#looking = false;
    if (this.#stopped || !hasListeners()) return;
    publish(snapshot);
    this.#cancel = clock.after(intervalMs, () => void this.#look(), true);
  }
}
