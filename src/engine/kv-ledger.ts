// Our count of KV cells: who holds how many. llama.cpp has its own, and the two must agree whenever asked.

import { assert } from "../lib/assert.ts";

export class KvLedger {
  readonly total: number;
  readonly #held = new Map<number, number>();
  readonly #freeIds: number[];
  #used = 0;

  /** total: cells of the cache. sequences: how many seq-ids there are. */
  constructor(total: number, sequences: number) {
    this.total = total;
    this.#freeIds = Array.from({ length: sequences }, (_, i) => sequences - 1 - i);
  }

  get used(): number {
    return this.#used;
  }

  get free(): number {
    return this.total - this.#used;
  }

  get freeSequences(): number {
    return this.#freeIds.length;
  }

  /** Takes a seq-id that holds nothing yet. */
  open(): number {
    const seqId = this.#freeIds.pop();
    assert(seqId !== undefined, "a sequence was opened without a free seq-id");
    this.#held.set(seqId, 0);
    return seqId;
  }

  /** The sequence now holds this many cells more. */
  grow(seqId: number, cells: number): void {
    const held = this.#held.get(seqId);
    assert(held !== undefined, `seq-id ${seqId} grows and is not open`);
    assert(cells <= this.free, `seq-id ${seqId} takes ${cells} cells of ${this.free} free ones`);
    this.#held.set(seqId, held + cells);
    this.#used += cells;
  }

  /** Gives back the seq-id with all that it holds. */
  close(seqId: number): void {
    const held = this.#held.get(seqId);
    assert(held !== undefined, `seq-id ${seqId} is closed twice`);
    this.#held.delete(seqId);
    this.#used -= held;
    this.#freeIds.push(seqId);
  }

  /** Free, held and total must add up; called when the engine is idle. */
  checkIntegrity(): void {
    let held = 0;
    for (const cells of this.#held.values()) held += cells;
    assert(held === this.#used, `the ledger holds ${held} cells and counts ${this.#used}`);
    assert(this.#used <= this.total, `the ledger uses ${this.#used} of ${this.total} cells`);
  }
}
