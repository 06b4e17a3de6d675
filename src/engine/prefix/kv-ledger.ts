// Our count of KV cells: who holds which, and which are shared. llama.cpp has its own, and the two must agree whenever
// asked. Cells are counted in spans of a tree: a sequence holds the spans from its tail up to the root, and forking
// gives another sequence a place on the same path.

import { assert } from "../../lib/assert.ts";

interface Span {
  /** Positions [start, end). */
  start: number;
  end: number;
  parent: Span | null;
  /** Sequences that hold it, and those of them that run. */
  holders: number;
  live: number;
}

interface Held {
  tail: Span | null;
  isLive: boolean;
}

export class KvLedger {
  readonly total: number;
  readonly #held = new Map<number, Held>();
  readonly #freeIds: number[];
  #used = 0;
  #idle = 0;

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

  /** Cells that only sequences hold which do not run: they can be had. */
  get idle(): number {
    return this.#idle;
  }

  get freeSequences(): number {
    return this.#freeIds.length;
  }

  /** Takes a seq-id that holds nothing yet; it counts as running. */
  open(): number {
    const seqId = this.#freeIds.pop();
    assert(seqId !== undefined, "a sequence was opened without a free seq-id");
    this.#held.set(seqId, { tail: null, isLive: true });
    return seqId;
  }

  /** Cells that the sequence holds, shared ones included. */
  length(seqId: number): number {
    return this.#get(seqId).tail?.end ?? 0;
  }

  /** Cells that nobody else holds: what its end would free. */
  exclusive(seqId: number): number {
    const { tail } = this.#get(seqId);
    let span = tail;
    while (span !== null && span.holders === 1) span = span.parent;
    return (tail?.end ?? 0) - (span?.end ?? 0);
  }

  /** The sequence now holds this many cells more, of its own. */
  grow(seqId: number, cells: number): void {
    const held = this.#get(seqId);
    assert(cells <= this.free, `seq-id ${seqId} takes ${cells} cells of ${this.free} free ones`);
    const { tail } = held;
    if (tail !== null && tail.holders === 1) {
      tail.end += cells;
    } else {
      const start = tail?.end ?? 0;
      held.tail = { start, end: start + cells, parent: tail, holders: 1, live: held.isLive ? 1 : 0 };
    }
    this.#used += cells;
    if (!held.isLive) this.#idle += cells;
  }

  /** A sequence that holds nothing shares the first `length` cells of another one. */
  fork(from: number, to: number, length: number): void {
    const target = this.#get(to);
    assert(target.tail === null, `seq-id ${to} holds cells and can't take others'`);
    assert(length > 0 && length <= this.length(from), `seq-id ${from} does not hold ${length} cells`);
    let span = this.#get(from).tail;
    while (span !== null && span.start >= length) span = span.parent;
    assert(span !== null, `seq-id ${from} holds its first cells`);
    target.tail = span.end === length ? span : split(span, length);
    for (let shared: Span | null = target.tail; shared !== null; shared = shared.parent) this.#join(shared, target);
  }

  /** The sequence keeps its first `length` cells. */
  truncate(seqId: number, length: number): void {
    const held = this.#get(seqId);
    while (held.tail !== null && held.tail.end > length) {
      const { tail } = held;
      if (tail.start < length) split(tail, length);
      held.tail = tail.parent;
      this.#leave(tail, held);
    }
  }

  /** Running or kept: only the cells of kept ones can be had. */
  setLive(seqId: number, isLive: boolean): void {
    const held = this.#get(seqId);
    if (held.isLive === isLive) return;
    held.isLive = isLive;
    for (let span = held.tail; span !== null; span = span.parent) {
      const before = span.live;
      span.live += isLive ? 1 : -1;
      if (before === 0) this.#idle -= sizeOf(span);
      if (span.live === 0) this.#idle += sizeOf(span);
    }
  }

  /** Gives back the seq-id with all that it holds. */
  close(seqId: number): void {
    this.truncate(seqId, 0);
    this.#held.delete(seqId);
    this.#freeIds.push(seqId);
  }

  /** What is held and what is counted must agree; called when the engine is idle. */
  checkIntegrity(): void {
    const spans = new Map<Span, { holders: number; live: number }>();
    for (const { tail, isLive } of this.#held.values()) {
      for (let span = tail; span !== null; span = span.parent) {
        const counts = spans.get(span) ?? { holders: 0, live: 0 };
        spans.set(span, { holders: counts.holders + 1, live: counts.live + (isLive ? 1 : 0) });
      }
    }
    let [used, idle] = [0, 0];
    for (const [span, { holders, live }] of spans) {
      assert(span.holders === holders && span.live === live, "a span knows who holds it");
      used += sizeOf(span);
      if (live === 0) idle += sizeOf(span);
    }
    assert(used === this.#used && idle === this.#idle, `${used} cells are held, ${this.#used} are counted`);
    assert(used <= this.total, `the ledger uses ${used} of ${this.total} cells`);
  }

  #get(seqId: number): Held {
    const held = this.#held.get(seqId);
    assert(held !== undefined, `seq-id ${seqId} is not open`);
    return held;
  }

  #join(span: Span, { isLive }: Held): void {
    span.holders++;
    if (!isLive) return;
    if (span.live++ === 0) this.#idle -= sizeOf(span);
  }

  #leave(span: Span, { isLive }: Held): void {
    span.holders--;
    if (isLive && --span.live === 0) this.#idle += sizeOf(span);
    if (span.holders > 0) return;
    this.#used -= sizeOf(span);
    this.#idle -= sizeOf(span);
  }
}

function sizeOf({ start, end }: Span): number {
  return end - start;
}

/** Cuts a span at a position; its first part, a new span above it, is returned. Whoever held it holds both. */
function split(span: Span, at: number): Span {
  const first = { ...span, end: at };
  span.start = at;
  span.parent = first;
  return first;
}
