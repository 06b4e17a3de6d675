// KV state that survives: kept sequences are written to disk, slice by slice, while nobody computes, and read back for
// prompts that begin with them. A file that is not what it should be is dropped with a log line, never used. When the
// disk fails, serving goes on.

import { assert } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import type { CacheEntry, EngineStats } from "../protocol/model-info.ts";
import type { Backend, SavedState, Task } from "./backend.ts";
import type { Kept } from "./kept-sequences.ts";
import { KvFiles, nameSlices, SLICE_TOKENS, type SliceName } from "./kv-files.ts";
import type { PrefixCache } from "./prefix-cache.ts";
import { type Sequence, seqIdOf } from "./sequence.ts";

export interface KvStoreOptions {
  /** All models' states; this one's are in a folder of their own, named by `modelKey`. */
  folder: string;
  modelKey: string;
  bytesMax: number;
  warn: (message: string) => void;
  /** Tokens of one slice; tests have shorter ones. */
  sliceTokens?: number;
}

interface Restore {
  sequence: Sequence;
  /** Slices to read, first to last. */
  left: SliceName[];
  taken: number;
  task: Task<SavedState> | null;
}

type TaskState = ReturnType<Task<unknown>["poll"]>;

interface Write {
  name: SliceName;
  bytes: number;
  usedMs: number;
  task: Task<null>;
}

/** After a write that failed, or had no room, none is tried for this long: a full disk does not get better by trying. */
const PAUSE_MS = 60_000;
/** Chains that `/api/cache` lists. */
const LISTED_MAX = 100;

export class KvStore implements Disposable {
  readonly sliceTokens: number;
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #files: KvFiles;
  readonly #warn: (message: string) => void;
  readonly #modelKey: string;
  readonly #restores = new Map<Sequence, Restore>();
  /** Names of the slices of kept sequences: hashing them at every look would take long. */
  readonly #names = new WeakMap<Int32Array, SliceName[]>();
  #write: Write | null = null;
  #pausedUntilMs = 0;
  #warning: string | null = null;

  /** Throws the system's error when the folder can't be used. */
  constructor(backend: Backend, clock: Clock, options: KvStoreOptions) {
    this.#backend = backend;
    this.#clock = clock;
    this.#warn = options.warn;
    this.#modelKey = options.modelKey;
    this.sliceTokens = options.sliceTokens ?? SLICE_TOKENS;
    this.#files = new KvFiles(options.folder, options.modelKey, options.bytesMax);
  }

  /** A slice has come, or one can be written while nobody computes. */
  isReady(cache: PrefixCache, isIdle: boolean): boolean {
    for (const { task } of this.#restores.values()) if (task === null || task.poll().kind !== "running") return true;
    if (this.#write !== null) return this.#write.task.poll().kind !== "running";
    return isIdle && this.#nextToWrite(cache) !== null;
  }

  /** Nothing is being written, and nothing is left to write. */
  isSettled(cache: PrefixCache): boolean {
    return this.#write === null && this.#nextToWrite(cache) === null;
  }

  isRestoring(sequence: Sequence): boolean {
    return this.#restores.has(sequence);
  }

  /** Slices of the sequence's prompt on disk, from the beginning on. Its last token is always computed. */
  find(sequence: Sequence): SliceName[] {
    const names = nameSlices(sequence.tokens.subarray(0, sequence.length - 1), this.sliceTokens);
    return names.slice(0, this.#files.countLeading(names.map(({ hash }) => hash)));
  }

  /** Reads these slices into a sequence that holds all before them. */
  restore(sequence: Sequence, names: readonly SliceName[]): void {
    assert(sequence.computed === ((names[0]?.depth ?? 0) - 1) * this.sliceTokens, "slices follow on what is there");
    this.#files.touch(
      names.map(({ hash }) => hash),
      this.#clock.wallMs(),
    );
    this.#restores.set(sequence, { sequence, left: [...names], taken: 0, task: null });
  }

  /** The sequence ended or left while it was read. */
  forget(sequence: Sequence): void {
    const restore = this.#restores.get(sequence);
    this.#restores.delete(sequence);
    restore?.task?.[Symbol.dispose]();
  }

  /** Between two steps: takes slices that have come, and starts what can be started. */
  step(cache: PrefixCache, isIdle: boolean): void {
    for (const restore of [...this.#restores.values()]) this.#goOn(restore, cache);
    this.#finishWrite();
    if (isIdle && this.#write === null) this.#startWrite(cache);
  }

  /** Tokens of a kept sequence that a restart would not lose. */
  durableTokens(tokens: Int32Array): number {
    return this.sliceTokens * this.#files.countLeading(this.#namesOf(tokens).map(({ hash }) => hash));
  }

  /** Chains that are on disk only. */
  describe(inMemory: readonly Kept[]): CacheEntry[] {
    const known = new Set(inMemory.flatMap(({ tokens }) => this.#namesOf(tokens).map(({ hash }) => hash)));
    const now = this.#clock.wallMs();
    const ends = this.#files.ends().filter(({ name }) => !known.has(name.hash));
    return ends
      .toSorted((a, b) => b.usedMs - a.usedMs)
      .slice(0, LISTED_MAX)
      .map(({ name, usedMs }) => {
        const tokens = name.depth * this.sliceTokens;
        return { state: "disk", tokens, durableTokens: tokens, session: null, idleMs: now - usedMs, preview: "" };
      });
  }

  get stats(): NonNullable<EngineStats["kvStore"]> {
    const { count, bytes, bytesMax } = this.#files;
    return { files: count, bytes, bytesMax, warning: this.#warning };
  }

  #goOn(restore: Restore, cache: PrefixCache): void {
    const { sequence, left } = restore;
    const [name] = left;
    if (name === undefined) {
      this.#restores.delete(sequence);
      // A window of which a part is missing can't be gone on from.
      if (sequence.computed > 0 && !this.#backend.covers(seqIdOf(sequence), sequence.computed)) cache.restart(sequence);
      else sequence.noteReuse("disk", restore.taken * this.sliceTokens);
      return;
    }
    if (restore.task === null) {
      restore.task = this.#backend.readState(this.#files.pathOf(name));
      return;
    }
    const state = restore.task.poll();
    if (state.kind === "running") return;
    using task = restore.task;
    restore.task = null;
    // Running sequences took the cells: it is then read as far as it goes.
    if (!cache.makeRoom(this.sliceTokens)) left.length = 0;
    else this.#takeSlice(restore, name, state, task, cache);
    this.#goOn(restore, cache);
  }

  #takeSlice(restore: Restore, name: SliceName, state: TaskState, task: Task<SavedState>, cache: PrefixCache): void {
    const { sequence, left } = restore;
    try {
      if (state.kind === "failed") throw state.error;
      using saved = task.take();
      if (saved.text !== this.#textOf(name)) throw new Error("it belongs to another model or another prompt");
      this.#backend.applySlice(saved, seqIdOf(sequence), sequence.computed, sequence.computed + this.sliceTokens);
      cache.grow(sequence, this.sliceTokens);
      restore.taken++;
      left.shift();
    } catch (thrown) {
      this.#warn(`a kept state was not used, its prompt is read anew: ${(thrown as Error).message}`);
      this.#files.discard(name.hash);
      left.length = 0;
    }
  }

  #finishWrite(): void {
    if (this.#write === null) return;
    const { name, bytes, usedMs, task } = this.#write;
    const state = task.poll();
    if (state.kind === "running") return;
    this.#write = null;
    task[Symbol.dispose]();
    if (state.kind === "done") {
      this.#files.add(name, bytes, usedMs);
      this.#warning = null;
    } else this.#pause(state.error.message);
  }

  #startWrite(cache: PrefixCache): void {
    const next = this.#nextToWrite(cache);
    if (next === null) return;
    const end = next.name.depth * this.sliceTokens;
    using state = this.#backend.copySlice(next.kept.seqId, end - this.sliceTokens, end);
    const { tokens, usedWallMs } = next.kept;
    // What it goes on from is in use as well: else room would be made of that.
    this.#files.touch(
      this.#namesOf(tokens).map(({ hash }) => hash),
      usedWallMs,
    );
    if (!this.#files.makeRoom(state.bytes, usedWallMs)) {
      // All of the budget holds states that were used later: this one has to do without.
      this.#pausedUntilMs = this.#clock.monotonicMs() + PAUSE_MS;
      return;
    }
    const task = state.write(this.#files.pathOf(next.name), this.#textOf(next.name));
    this.#write = { name: next.name, bytes: state.bytes, usedMs: usedWallMs, task };
  }

  /** The first slice that is missing, of the sequence that was used last. */
  #nextToWrite(cache: PrefixCache): { kept: Kept; name: SliceName } | null {
    if (this.#clock.monotonicMs() < this.#pausedUntilMs) return null;
    for (const kept of [...cache.kept].sort((a, b) => b.usedMs - a.usedMs)) {
      const name = this.#namesOf(kept.tokens).find(({ hash }) => !this.#files.has(hash));
      if (name !== undefined) return { kept, name };
    }
    return null;
  }

  /** Said once, until a write succeeds: a full disk fails at every slice. */
  #pause(message: string): void {
    if (this.#warning === null) this.#warn(`KV state is not written to disk: ${message}`);
    this.#warning = message;
    this.#pausedUntilMs = this.#clock.monotonicMs() + PAUSE_MS;
  }

  #namesOf(tokens: Int32Array): SliceName[] {
    const known = this.#names.get(tokens);
    if (known !== undefined) return known;
    const names = nameSlices(tokens, this.sliceTokens);
    this.#names.set(tokens, names);
    return names;
  }

  #textOf({ hash, depth }: SliceName): string {
    return JSON.stringify({ model: this.#modelKey, slice: hash, tokens: depth * this.sliceTokens });
  }

  [Symbol.dispose](): void {
    for (const { task } of this.#restores.values()) task?.[Symbol.dispose]();
    this.#write?.task[Symbol.dispose]();
  }
}
