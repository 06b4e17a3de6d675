// Sequences that are ready and have no seq-id, by rank: the newcomers, and those that had to leave the cache.

import { compareRanks } from "./schedule/scheduler.ts";
import type { Sequence } from "./sequence.ts";

export class WaitingList implements Iterable<Sequence> {
  #sequences: Sequence[] = [];

  get size(): number {
    return this.#sequences.length;
  }

  add(sequence: Sequence): void {
    const after = this.#sequences.findIndex((other) => compareRanks(other, sequence) > 0);
    this.#sequences.splice(after < 0 ? this.#sequences.length : after, 0, sequence);
  }

  remove(sequence: Sequence): void {
    this.#sequences = this.#sequences.filter((other) => other !== sequence);
  }

  find(id: number): Sequence | undefined {
    return this.#sequences.find((sequence) => sequence.id === id);
  }

  /** The first whose reader is not behind. */
  first(): Sequence | undefined {
    return this.#sequences.find((sequence) => !sequence.paused);
  }

  /** Those whose reader is not behind. */
  active(): Sequence[] {
    return this.#sequences.filter((sequence) => !sequence.paused);
  }

  [Symbol.iterator](): Iterator<Sequence> {
    return this.#sequences[Symbol.iterator]();
  }
}
