// An engine that takes no new requests: its running ones end, what it keeps is written, and then it may be stopped. Until then
// it can be kept after all. Stops nothing itself.

import type { Clock } from "../../lib/clock.ts";
import type { EngineProcess } from "../engines/engine-process.ts";

/** Prompts of a usual length are read in this time; whoever has no word of an answer then is sent to another engine. */
const MOVE_MS = 5_000;

/** `empty`: nobody is there, and it may be stopped now. */
export type DrainEnd = "empty" | "died" | "kept";

export class Draining {
  readonly end: Promise<DrainEnd>;
  #wake = Promise.withResolvers<void>();
  #kept = false;
  readonly #cancelMove: () => void;
  #died = false;

  /** `flush`: resolves when it has written what it keeps, or won't. Who has no word of an answer is sent on after a while. */
  constructor(engine: EngineProcess, clock: Clock, flush: () => Promise<unknown>) {
    void engine.exited.then(() => {
      this.#died = true;
      this.#wake.resolve();
    });
    this.#cancelMove = clock.after(MOVE_MS, () => engine.client.giveBack(), true);
    this.end = this.#drain(engine, flush);
  }

  noticeIdle(): void {
    this.#wake.resolve();
  }

  /** From now on nobody is sent to another engine. */
  finish(): void {
    this.#cancelMove();
  }

  keep(): void {
    this.#kept = true;
    this.#wake.resolve();
  }

  async #drain({ client }: EngineProcess, flush: () => Promise<unknown>): Promise<DrainEnd> {
    try {
      for (;;) {
        while (client.openCount > 0 && !this.#isOver()) {
          this.#wake = Promise.withResolvers<void>();
          await this.#wake.promise;
        }
        if (!this.#isOver()) await flush();
        if (this.#died) return "died";
        if (this.#kept) return "kept";
        // Who was granted this engine before may have come only now.
        if (client.openCount === 0) return "empty";
      }
    } finally {
      this.#cancelMove();
    }
  }

  #isOver(): boolean {
    return this.#kept || this.#died;
  }
}
