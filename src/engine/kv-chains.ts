// Which states on disk a prompt can start from, and which of those in memory are still missing there, by the kind of
// memory: plain and sliding ones are chains of slices; a hybrid's chain needs an end, with the recurrent state, to be gone
// on from; a recurrent one is an end alone. It reads and writes nothing.

import type { MemoryKind } from "../protocol/model-info.ts";
import type { SavedState } from "./backend.ts";
import type { Kept } from "./kept-sequences.ts";
import type { KvFiles } from "./kv-files.ts";
import { nameEnd, nameSlices, type SliceName, tokensUpTo } from "./kv-names.ts";
import type { PrefixCache } from "./prefix-cache.ts";

/** A state that is to be written. */
export interface Pending {
  name: SliceName;
  /** All tokens of the sequence or the checkpoint that it belongs to. */
  tokens: Int32Array;
  usedWallMs: number;
  /** Who holds its cells; null: it has none. */
  seqId: number | null;
  /** The recurrent state at its end; null: the sequence's own. */
  rest: SavedState | null;
}

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

  /** What to read for these tokens, in order; empty where nothing of them is on disk. */
  find(tokens: Int32Array): SliceName[] {
    return this.#findAmong(tokens, nameSlices(tokens, this.#sliceTokens));
  }

  /** The same, of tokens that don't change. */
  findKnown(tokens: Int32Array): SliceName[] {
    return this.#findAmong(tokens, this.#slicesOf(tokens));
  }

  /** All names of what is in memory with these tokens. */
  namesOf(tokens: Int32Array): SliceName[] {
    const slices = this.#memory === "recurrent" ? [] : this.#slicesOf(tokens);
    return this.#recurs ? [...slices, this.#endOf(tokens)] : slices;
  }

  /** The first state that is missing on disk, of what was used last. */
  nextMissing(cache: PrefixCache): Pending | null {
    for (const one of [...cache.kept].sort((a, b) => b.usedMs - a.usedMs)) {
      const pending = this.#missingSlice(one) ?? this.#missingEnd(one, cache);
      if (pending !== null) return pending;
    }
    // Those of a hybrid are all along kept sequences, or along running ones, which will be kept.
    if (this.#memory !== "recurrent") return null;
    for (const { tokens, state, usedWallMs } of [...cache.checkpoints].sort((a, b) => b.usedMs - a.usedMs)) {
      if (!this.#isNear(tokens)) return this.#pendingEnd(tokens, usedWallMs, null, state);
    }
    return null;
  }

  #missingSlice({ seqId, tokens, usedWallMs }: Kept): Pending | null {
    if (this.#memory === "recurrent") return null;
    const name = this.#slicesOf(tokens).find(({ hash }) => !this.#files.has(hash));
    return name === undefined ? null : { name, tokens, usedWallMs, seqId, rest: null };
  }

  /** Of its checkpoints and its own end, in order. They are in use as long as it is. */
  #missingEnd({ seqId, tokens, usedWallMs }: Kept, cache: PrefixCache): Pending | null {
    if (!this.#recurs) return null;
    for (const checkpoint of cache.checkpoints.along(tokens)) {
      if (this.#isNear(checkpoint.tokens)) continue;
      const holder = this.#memory === "recurrent" ? null : seqId;
      return this.#pendingEnd(checkpoint.tokens, usedWallMs, holder, checkpoint.state);
    }
    return this.#isNear(tokens) ? null : this.#pendingEnd(tokens, usedWallMs, seqId, null);
  }

  /** A restart loses less than a slice of it: as in other kinds of memory that is not worth a file, let alone a state. */
  #isNear(tokens: Int32Array): boolean {
    const last = this.findKnown(tokens).at(-1);
    return last !== undefined && tokensUpTo(last, this.#sliceTokens) > tokens.length - this.#sliceTokens;
  }

  #pendingEnd(tokens: Int32Array, usedWallMs: number, seqId: number | null, rest: SavedState | null): Pending {
    return { name: this.#endOf(tokens), tokens, usedWallMs, seqId, rest };
  }

  #findAmong(tokens: Int32Array, slices: readonly SliceName[]): SliceName[] {
    const whole = this.#files.countLeading(slices.map(({ hash }) => hash));
    if (!this.#recurs) return slices.slice(0, whole);
    for (let depth = this.#memory === "recurrent" ? slices.length : whole; depth >= 0; depth--) {
      const before = slices.slice(0, depth);
      for (const end of this.#files.endsAfter(before.at(-1)?.hash ?? "root")) {
        const length = depth * this.#sliceTokens + (end.extra ?? 0);
        const isPrefix = length <= tokens.length && this.#name(tokens.subarray(0, length), before).hash === end.hash;
        if (isPrefix) return this.#memory === "recurrent" ? [end] : [...before, end];
      }
    }
    return [];
  }

  #name(tokens: Int32Array, slices: readonly SliceName[]): SliceName {
    return nameEnd(tokens, slices, this.#sliceTokens);
  }

  #slicesOf(tokens: Int32Array): SliceName[] {
    const known = this.#slices.get(tokens);
    if (known !== undefined) return known;
    const names = nameSlices(tokens, this.#sliceTokens);
    this.#slices.set(tokens, names);
    return names;
  }

  #endOf(tokens: Int32Array): SliceName {
    const known = this.#ends.get(tokens);
    if (known !== undefined) return known;
    const name = this.#name(tokens, this.#slicesOf(tokens));
    this.#ends.set(tokens, name);
    return name;
  }
}
