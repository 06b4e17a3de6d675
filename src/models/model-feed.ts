// Tells listeners which models have come and gone. While somebody listens, the registry is asked after each notice of a
// folder, and from time to time where no notices come; while nobody does, nothing is looked at.

import type { CancelTimer, Clock } from "../lib/clock.ts";
import type { ModelRegistry } from "./registry.ts";

export type ModelChange = { type: "listed" | "gone"; id: string };

export interface ModelFeedOptions {
  registry: Pick<ModelRegistry, "list" | "isWaiting">;
  hasListeners: () => boolean;
  publish: (change: ModelChange) => void;
  clock: Clock;
}

/** A copy gives a notice with every write: one look for many of them. */
const NOTICE_MS = 500;
/** A file that is being written, and places without notices. */
const WAITING_MS = 1_000;
const QUIET_MS = 5_000;

export class ModelFeed {
  readonly #options: ModelFeedOptions;
  #known: ReadonlySet<string> = new Set();
  #cancel: CancelTimer | null = null;
  #isSoon = false;

  constructor(options: ModelFeedOptions) {
    this.#options = options;
  }

  /** Somebody begins to listen: what is there now is no news. */
  begin(): void {
    if (this.#cancel !== null) return;
    this.#known = this.#ids();
    this.#schedule(QUIET_MS, false);
  }

  /** Something changed in a folder. */
  notice(): void {
    if (this.#cancel === null || this.#isSoon) return;
    this.#schedule(NOTICE_MS, true);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #schedule(delayMs: number, isSoon: boolean): void {
    this.#cancel?.();
    this.#isSoon = isSoon;
    this.#cancel = this.#options.clock.after(delayMs, () => this.#look(), true);
  }

  #look(): void {
    const { registry, hasListeners, publish } = this.#options;
    this.#cancel = null;
    if (!hasListeners()) return;
    const ids = this.#ids();
    for (const id of this.#known) if (!ids.has(id)) publish({ type: "gone", id });
    for (const id of ids) if (!this.#known.has(id)) publish({ type: "listed", id });
    this.#known = ids;
    this.#schedule(registry.isWaiting ? WAITING_MS : QUIET_MS, false);
  }

  #ids(): ReadonlySet<string> {
    return new Set(this.#options.registry.list().map(({ id }) => id));
  }
}
