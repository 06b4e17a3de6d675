// Why nothing is written to disk for a while, and until when: a full disk does not get better by trying at every slice.

import type { Clock } from "../../lib/clock.ts";

/** After a write that failed, or had no room, none is tried for this long. */
const PAUSE_MS = 60_000;

export class WritePause {
  readonly #clock: Clock;
  readonly #warn: (message: string) => void;
  #untilMs = 0;
  #warning: string | null = null;

  constructor(clock: Clock, warn: (message: string) => void) {
    this.#clock = clock;
    this.#warn = warn;
  }

  get isOn(): boolean {
    return this.#clock.monotonicMs() < this.#untilMs;
  }

  /** Why the last write failed; null: it did not. */
  get warning(): string | null {
    return this.#warning;
  }

  start(): void {
    this.#untilMs = this.#clock.monotonicMs() + PAUSE_MS;
  }

  /** Said once, until a write succeeds. */
  noteFailure(message: string): void {
    if (this.#warning === null) this.#warn(`KV state is not written to disk: ${message}`);
    this.#warning = message;
    this.start();
  }

  noteSuccess(): void {
    this.#warning = null;
  }
}
