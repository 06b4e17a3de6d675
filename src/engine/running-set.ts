// Sequences that hold a seq-id and KV cells, in the order in which they were admitted.

import { assert } from "../lib/assert.ts";
import type { Sequence } from "./sequence.ts";

export class RunningSet implements Iterable<Sequence> {
  readonly #sequences = new Map<number, Sequence>();

  get size(): number {
    return this.#sequences.size;
  }

  add(sequence: Sequence): void {
    this.#sequences.set(sequence.id, sequence);
  }

  remove(sequence: Sequence): void {
    this.#sequences.delete(sequence.id);
  }

  has(sequence: Sequence): boolean {
    return this.#sequences.has(sequence.id);
  }

  find(id: number): Sequence | undefined {
    return this.#sequences.get(id);
  }

  get(id: number): Sequence {
    const sequence = this.#sequences.get(id);
    assert(sequence !== undefined, `request ${id} does not run`);
    return sequence;
  }

  /** Those whose reader keeps up. */
  active(): Sequence[] {
    return [...this].filter((sequence) => !sequence.paused);
  }

  /** The latest whose reader is behind. */
  lastPaused(): Sequence | undefined {
    return [...this].findLast((sequence) => sequence.paused);
  }

  [Symbol.iterator](): Iterator<Sequence> {
    return this.#sequences.values();
  }
}
