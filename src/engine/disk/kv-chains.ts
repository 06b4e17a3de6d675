// Which states on disk a prompt can start from, and which of those in memory are still missing there, by the kind of
// memory: plain and sliding ones are chains of slices; a hybrid's chain needs an end, with the recurrent state, to be gone
// on from; a recurrent one is an end alone. It reads and writes nothing.

import type { CacheEntry, MemoryKind } from "../../protocol/model-info.ts";
import type { SavedState } from "../backend.ts";
import type { Kept } from "../prefix/kept-sequences.ts";
import type { PrefixCache } from "../prefix/prefix-cache.ts";
import { type AdapterSet, NO_ADAPTERS } from "../schedule/adapter-sets.ts";
import type { KvFiles } from "./kv-files.ts";
import { nameEnd, nameSlices, type SliceName, tokensUpTo } from "./kv-names.ts";

/** What is in memory: a kept sequence or a checkpoint. Its tokens don't change. */
export interface Held {
  readonly tokens: Int32Array;
  /** What they were computed with. */
  readonly set: AdapterSet;
}

/** A state that is to be written, of what holds it. */
export interface Pending extends Held {
  name: SliceName;
  usedWallMs: number;
  /** Who holds its cells; null: it has none. */
  seqId: number | null;
  /** The recurrent state at its end; null: the sequence's own. */
  rest: SavedState | null;
}

/** Chains that `/api/cache` lists. */
const LISTED_MAX = 100;

export class KvChains {
  readonly #files: KvFiles;
  readonly #memory: MemoryKind;
  readonly #sliceTokens: number;
  /** Names of what is in memory: hashing them at every look would take long. */
  readonly #slices = new WeakMap<Int32Array, SliceName[]>();
  readonly #ends = new WeakMap<Int32Array, SliceName>();

  constructor(files: KvFiles, memory: MemoryKind, sliceTokens: number) {
    this.#files = files;
    this.#memory = memory;
    this.#sliceTokens = sliceTokens;
  }

  get #recurs(): boolean {
    return this.#memory === "recurrent" || this.#memory === "hybrid";
  }

  /** Names of these tokens' whole slices. */
  nameSlices(tokens: Int32Array, set: AdapterSet): SliceName[] {
    return nameSlices(tokens, this.#sliceTokens, set.root);
  }

  /** What to read for tokens that have these slices, in order; empty where nothing of them is on disk. */
  findAmong(tokens: Int32Array, slices: readonly SliceName[], set: AdapterSet): SliceName[] {
    const whole = this.#files.countLeading(slices.map(({ hash }) => hash));
    if (!this.#recurs) return slices.slice(0, whole);
    for (let depth = this.#memory === "recurrent" ? slices.length : whole; depth >= 0; depth--) {
      const before = slices.slice(0, depth);
      for (const end of this.#files.endsAfter(before.at(-1)?.hash ?? set.root)) {
        const length = depth * this.#sliceTokens + (end.extra ?? 0);
        const isPrefix =
          length <= tokens.length && this.#name(tokens.subarray(0, length), before, set).hash === end.hash;
        if (isPrefix) return this.#memory === "recurrent" ? [end] : [...before, end];
      }
    }
    return [];
  }

  /** The same, of tokens that don't change. */
  findKnown(held: Held): SliceName[] {
    return this.findAmong(held.tokens, this.#slicesOf(held), held.set);
  }

  /** Those that are on disk only. */
  describe({ kept, checkpoints }: PrefixCache, nowMs: number): CacheEntry[] {
    const inMemory = [...kept, ...checkpoints].flatMap((held) => this.namesOf(held));
    const known = new Set(inMemory.map(({ hash }) => hash));
    const ends = this.#files.ends().filter(({ name }) => !known.has(name.hash));
    return ends
      .toSorted((a, b) => b.usedMs - a.usedMs)
      .slice(0, LISTED_MAX)
      .map(({ name, usedMs }) => {
        const tokens = tokensUpTo(name, this.#sliceTokens);
        const lora = this.#files.rootOf(name) === NO_ADAPTERS.root ? [] : null;
        const idleMs = nowMs - usedMs;
        return { state: "disk", tokens, durableTokens: tokens, session: null, lora, idleMs, preview: "" };
      });
  }

  /** All names of what is in memory. */
  namesOf(held: Held): SliceName[] {
    const slices = this.#memory === "recurrent" ? [] : this.#slicesOf(held);
    return this.#recurs ? [...slices, this.#endOf(held)] : slices;
  }

  /** The first state that is missing on disk, of what was used last. */
  nextMissing(cache: PrefixCache): Pending | null {
    for (const one of [...cache.kept].sort((a, b) => b.usedMs - a.usedMs)) {
      const pending = this.missingOf(one, cache);
      if (pending !== null) return pending;
    }
    // Those of a hybrid are all along kept sequences, or along running ones, which will be kept.
    if (this.#memory !== "recurrent") return null;
    for (const checkpoint of [...cache.checkpoints].sort((a, b) => b.usedMs - a.usedMs)) {
      if (!this.#isNear(checkpoint)) return this.#pendingEnd(checkpoint, checkpoint.usedWallMs, null, checkpoint.state);
    }
    return null;
  }

  /** The first state of it that is missing on disk. */
  missingOf(kept: Kept, cache: PrefixCache): Pending | null {
    return this.#missingSlice(kept) ?? this.#missingEnd(kept, cache);
  }

  #missingSlice(kept: Kept): Pending | null {
    if (this.#memory === "recurrent") return null;
    const { tokens, set, seqId, usedWallMs } = kept;
    const name = this.#slicesOf(kept).find(({ hash }) => !this.#files.has(hash));
    return name === undefined ? null : { name, tokens, set, usedWallMs, seqId, rest: null };
  }

  /** Of its checkpoints and its own end, in order. They are in use as long as it is. */
  #missingEnd(kept: Kept, cache: PrefixCache): Pending | null {
    if (!this.#recurs) return null;
    const { seqId, usedWallMs } = kept;
    for (const checkpoint of cache.checkpoints.along(kept.set, kept.tokens)) {
      if (this.#isNear(checkpoint)) continue;
      const holder = this.#memory === "recurrent" ? null : seqId;
      return this.#pendingEnd(checkpoint, usedWallMs, holder, checkpoint.state);
    }
    return this.#isNear(kept) ? null : this.#pendingEnd(kept, usedWallMs, seqId, null);
  }

  /** A restart loses less than a slice of it: as in other kinds of memory that is not worth a file, let alone a state. */
  #isNear(held: Held): boolean {
    const last = this.findKnown(held).at(-1);
    return last !== undefined && tokensUpTo(last, this.#sliceTokens) > held.tokens.length - this.#sliceTokens;
  }

  #pendingEnd(held: Held, usedWallMs: number, seqId: number | null, rest: SavedState | null): Pending {
    const { tokens, set } = held;
    return { name: this.#endOf(held), tokens, set, usedWallMs, seqId, rest };
  }

  #name(tokens: Int32Array, slices: readonly SliceName[], set: AdapterSet): SliceName {
    return nameEnd(tokens, slices, this.#sliceTokens, set.root);
  }

  #slicesOf({ tokens, set }: Held): SliceName[] {
    const known = this.#slices.get(tokens);
    if (known !== undefined) return known;
    const names = this.nameSlices(tokens, set);
    this.#slices.set(tokens, names);
    return names;
  }

  #endOf(held: Held): SliceName {
    const known = this.#ends.get(held.tokens);
    if (known !== undefined) return known;
    const name = this.#name(held.tokens, this.#slicesOf(held), held.set);
    this.#ends.set(held.tokens, name);
    return name;
  }
}
