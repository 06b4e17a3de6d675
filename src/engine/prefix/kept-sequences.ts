// Sequences that have ended and whose KV is still in the cache: facts about each, and which is worth least.

import type { Clock } from "../../lib/clock.ts";
import type { AdapterSet } from "../schedule/adapter-sets.ts";
import { chooseLeast, type Keepable } from "./retention.ts";

export interface Kept {
  seqId: number;
  /** Tokens whose KV is there. */
  tokens: Int32Array;
  /** The adapters that it was computed with. */
  set: AdapterSet;
  session: string | null;
  /** Leading tokens that are system text and tools. */
  preambleLength: number;
  usedMs: number;
  /** The same by the clock on the wall, for what outlives the process. */
  usedWallMs: number;
}

export class KeptSequences implements Iterable<Kept> {
  readonly capacity: number;
  readonly #kept = new Map<number, Kept>();

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get size(): number {
    return this.#kept.size;
  }

  find(seqId: number): Kept | null {
    return this.#kept.get(seqId) ?? null;
  }

  add(kept: Kept): void {
    this.#kept.set(kept.seqId, kept);
  }

  remove(kept: Kept): void {
    this.#kept.delete(kept.seqId);
  }

  touch(seqId: number, clock: Clock): void {
    const kept = this.#kept.get(seqId);
    if (kept === undefined) return;
    kept.usedMs = clock.monotonicMs();
    kept.usedWallMs = clock.wallMs();
  }

  least(nowMs: number): Kept | null {
    return this.leastBeside(null, nowMs);
  }

  /** The one that is worth least, but not this one. */
  leastBeside(seqId: number | null, nowMs: number): Kept | null {
    const others = [...this].filter((kept) => kept.seqId !== seqId);
    const least = chooseLeast(others.map(toKeepable), nowMs);
    return least === null ? null : this.find(least.seqId);
  }

  [Symbol.iterator](): Iterator<Kept> {
    return this.#kept.values();
  }
}

function toKeepable({ seqId, tokens, usedMs, session, preambleLength }: Kept): Keepable {
  const isPreamble = preambleLength > 0 && tokens.length <= preambleLength;
  return { seqId, tokens: tokens.length, usedMs, session, isPreamble };
}
