// Recurrent states at chosen places of prompts, in this process's memory under a budget of bytes: which there are, which
// one a prompt can go on from, which goes first. They outlive the sequences they were copied from. It copies nothing.

import { assert } from "../../lib/assert.ts";
import type { Clock } from "../../lib/clock.ts";
import { CHECKPOINTS_MAX } from "../../protocol/context-sizes.ts";
import type { SavedState } from "../backend.ts";
import type { AdapterSet } from "../schedule/adapter-sets.ts";
import { PrefixForest } from "./prefix-forest.ts";
import { chooseLeast } from "./retention.ts";

export interface Checkpoint {
  readonly id: number;
  /** The tokens after which this is the state. */
  readonly tokens: Int32Array;
  /** The adapters that it was computed with: it is of use for the same ones only. */
  readonly set: AdapterSet;
  readonly state: SavedState;
  readonly session: string | null;
  readonly isPreamble: boolean;
  usedMs: number;
  /** The same by the clock on the wall, for what outlives the process. */
  usedWallMs: number;
}

export type CheckpointFacts = Pick<Checkpoint, "tokens" | "set" | "session" | "isPreamble">;

/** The weights need most of a machine's memory; and each of several engines may have its checkpoints. */
const MEMORY_SHARE = 1 / 16;
/** Some dozens of states of a small model; those of the largest recurrent models have about 150 MB. */
const BYTES_MIN = 128 * 1024 * 1024;
/** As many as are looked at, of a middling model: more would hardly be used. */
const BYTES_MAX = 4 * 1024 * 1024 * 1024;

/** The budget when nobody asked for one. `memoryBytes`: what this process may use, by the machine and its control group. */
export function automaticCheckpointBytes(memoryBytes: number): number {
  return Math.min(Math.max(Math.floor(memoryBytes * MEMORY_SHARE), BYTES_MIN), BYTES_MAX);
}

export class Checkpoints implements Iterable<Checkpoint>, Disposable {
  readonly bytesMax: number;
  readonly #clock: Clock;
  readonly #index = new PrefixForest();
  readonly #all = new Map<number, Checkpoint>();
  #bytes = 0;
  #nextId = 0;

  constructor(clock: Clock, bytesMax: number) {
    this.#clock = clock;
    this.bytesMax = bytesMax;
  }

  get size(): number {
    return this.#all.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Those of the beginnings of these tokens, the shortest first. */
  along(set: AdapterSet, tokens: Int32Array): Checkpoint[] {
    const found: Checkpoint[] = [];
    for (const { key, length } of this.#index.matches(set.key, tokens)) {
      const checkpoint = this.#get(key);
      if (checkpoint.tokens.length === length) found.push(checkpoint);
    }
    return found.sort((a, b) => a.tokens.length - b.tokens.length);
  }

  has(set: AdapterSet, tokens: Int32Array): boolean {
    return this.along(set, tokens).at(-1)?.tokens.length === tokens.length;
  }

  /** Leading tokens that these share with any of them. */
  sharedLength(set: AdapterSet, tokens: Int32Array): number {
    return this.#index.matches(set.key, tokens).reduce((most, { length }) => Math.max(most, length), 0);
  }

  /** Takes the state over; drops it again where there is no room. The tokens must not change afterwards. */
  add(facts: CheckpointFacts, state: SavedState): void {
    assert(!this.has(facts.set, facts.tokens), "a checkpoint is made once");
    const id = this.#nextId++;
    const [usedMs, usedWallMs] = [this.#clock.monotonicMs(), this.#clock.wallMs()];
    this.#all.set(id, { ...facts, id, state, usedMs, usedWallMs });
    this.#index.insert(facts.set.key, id, facts.tokens);
    this.#bytes += state.bytes;
    // One that is over the budget alone must not push all others out before it goes itself.
    if (state.bytes > this.bytesMax) this.remove(this.#get(id));
    while (this.#bytes > this.bytesMax || this.#all.size > CHECKPOINTS_MAX) this.#removeLeast();
  }

  touch(checkpoint: Checkpoint): void {
    checkpoint.usedMs = this.#clock.monotonicMs();
    checkpoint.usedWallMs = this.#clock.wallMs();
  }

  remove(checkpoint: Checkpoint): void {
    this.#all.delete(checkpoint.id);
    this.#index.remove(checkpoint.id);
    this.#bytes -= checkpoint.state.bytes;
    checkpoint.state[Symbol.dispose]();
  }

  /** Until they take no more than this; the next ones may take more again. */
  trimTo(bytes: number): void {
    while (this.#bytes > bytes) this.#removeLeast();
  }

  #removeLeast(): void {
    const keepables = [...this].map(({ id, tokens, usedMs, session, isPreamble }) => {
      return { seqId: id, tokens: tokens.length, usedMs, session, isPreamble };
    });
    const least = chooseLeast(keepables, this.#clock.monotonicMs());
    assert(least !== null, "more than the budget is held by something");
    this.remove(this.#get(least.seqId));
  }

  #get(id: number): Checkpoint {
    const checkpoint = this.#all.get(id);
    assert(checkpoint !== undefined, `checkpoint ${id} is in the index and nowhere`);
    return checkpoint;
  }

  [Symbol.iterator](): Iterator<Checkpoint> {
    return this.#all.values();
  }

  [Symbol.dispose](): void {
    for (const checkpoint of [...this]) this.remove(checkpoint);
  }
}
