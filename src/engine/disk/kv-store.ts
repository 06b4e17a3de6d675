// KV state that survives: kept sequences are written to disk, slice by slice, while nobody computes, and read back for
// prompts that begin with them. A file that is not what it should be is dropped with a log line, never used. When the
// disk fails, serving goes on.

import { assert } from "../../lib/assert.ts";
import type { Clock } from "../../lib/clock.ts";
import { SLICE_TOKENS } from "../../protocol/context-sizes.ts";
import type { CacheEntry, EngineStats } from "../../protocol/model-info.ts";
import { AbandonedTasks } from "../abandoned-tasks.ts";
import type { Backend, SavedState, Task } from "../backend.ts";
import type { Kept } from "../prefix/kept-sequences.ts";
import type { PrefixCache } from "../prefix/prefix-cache.ts";
import { type Sequence, seqIdOf } from "../sequence.ts";
import { type Held, KvChains, type Pending } from "./kv-chains.ts";
import { KvFiles } from "./kv-files.ts";
import { KvLookup } from "./kv-lookup.ts";
import { type SliceName, tokensUpTo } from "./kv-names.ts";
import { WritePause } from "./write-pause.ts";

export interface KvStoreOptions {
  /** All models' states; this one's are in a folder of their own, named by `modelKey`. */
  folder: string;
  modelKey: string;
  bytesMax: number;
  warn: (message: string) => void;
  /** Tokens of one slice; tests have shorter ones. */
  sliceTokens?: number;
  /** How long nobody must have computed before something is written; tests don't wait. */
  quietMs?: number;
}

/** May states be written: only what is being written ends, or once it has been quiet for a while, or at once, or while somebody waits. */
export type WriteTurn = "none" | "quiet" | "now" | "awaited";

interface Restore {
  sequence: Sequence;
  /** States to read, first to last. */
  left: SliceName[];
  /** Tokens that were read. */
  taken: number;
  task: Task<SavedState> | null;
}

type TaskState = ReturnType<Task<unknown>["poll"]>;

interface Write {
  name: SliceName;
  bytes: number;
  usedMs: number;
  awaited: boolean;
  task: Task<null>;
}

/**
 * A conversation's next request follows within moments. Copying and writing a slice takes 50 to 100 ms of a small
 * machine's time, which that request would wait for.
 */
const QUIET_MS = 500;

export class KvStore implements Disposable {
  readonly sliceTokens: number;
  readonly lookup: KvLookup;
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #files: KvFiles;
  readonly #warn: (message: string) => void;
  readonly #modelKey: string;
  readonly #quietMs: number;
  readonly #restores = new Map<Sequence, Restore>();
  readonly #chains: KvChains;
  /** Reads that nobody waits for. */
  readonly #abandoned = new AbandonedTasks();
  readonly #pause: WritePause;
  #write: Write | null = null;
  #computedMs = Number.NEGATIVE_INFINITY;

  /** Throws the system's error when the folder can't be used. */
  constructor(backend: Backend, clock: Clock, options: KvStoreOptions) {
    this.#backend = backend;
    this.#clock = clock;
    this.#warn = options.warn;
    this.#pause = new WritePause(clock, options.warn);
    this.#modelKey = options.modelKey;
    this.sliceTokens = options.sliceTokens ?? SLICE_TOKENS;
    this.#quietMs = options.quietMs ?? QUIET_MS;
    this.#files = new KvFiles(options.folder, options.modelKey, options.bytesMax);
    this.#chains = new KvChains(this.#files, backend.info.memory, this.sliceTokens);
    this.lookup = new KvLookup(this.#chains, this.#files);
  }

  /** Something was computed just now. */
  noteWork(): void {
    this.#computedMs = this.#clock.monotonicMs();
  }

  /** How long there is nothing to do, in ms, unless a task ends: 0 when a slice has come, or one can be written. */
  restMs(cache: PrefixCache, turn: WriteTurn): number {
    const mayRead = !this.#isReading();
    for (const { task } of this.#restores.values()) {
      if (task === null ? mayRead : task.poll().kind !== "running") return 0;
    }
    if (this.#write !== null) return this.#write.task.poll().kind !== "running" ? 0 : Number.POSITIVE_INFINITY;
    if (this.#restores.size > 0) return Number.POSITIVE_INFINITY;
    return turn === "none" || this.#nextToWrite(cache) === null ? Number.POSITIVE_INFINITY : this.#untilTurnMs(turn);
  }

  /** Nothing is being written, and nothing is left to write. */
  isSettled(cache: PrefixCache): boolean {
    return this.#write === null && this.#nextToWrite(cache) === null;
  }

  /** Nothing of it is left to write, or nothing can be written now. */
  isWritten(kept: Kept, cache: PrefixCache): boolean {
    return this.#pause.isOn || this.#chains.missingOf(kept, cache) === null;
  }

  isRestoring(sequence: Sequence): boolean {
    return this.#restores.has(sequence);
  }

  /** States on disk that the sequence's prompt can start from, in order. Its last token is always computed. */
  find(sequence: Sequence): readonly SliceName[] {
    return this.lookup.find(sequence);
  }

  /** Tokens that a sequence has when all of these are read. */
  countTokens(names: readonly SliceName[]): number {
    const last = names.at(-1);
    return last === undefined ? 0 : tokensUpTo(last, this.sliceTokens);
  }

  /** Reads what follows on the tokens that the sequence has; nothing where these states don't. */
  restore(sequence: Sequence, all: readonly SliceName[]): void {
    const names = all.slice(all.findIndex((name) => this.#startOf(name) === sequence.computed));
    if (names[0] === undefined || this.#startOf(names[0]) !== sequence.computed) return;
    // Recurrent state comes with the last one, so that all of them are needed.
    if (this.#backend.checkpoints && names.length < all.length) return;
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
    this.#abandoned.add(restore?.task ?? null);
  }

  /** Between two steps: takes slices that have come, and starts what can be started. */
  step(cache: PrefixCache, turn: WriteTurn): void {
    this.#abandoned.sweep();
    for (const restore of [...this.#restores.values()]) this.#goOn(restore, cache);
    this.#finishWrite();
    // One that stands back may take seconds on a busy machine, and can't be hurried: it is begun anew.
    if (turn === "awaited" && this.#write?.awaited === false) {
      this.#abandoned.add(this.#write.task);
      this.#write = null;
    }
    if (this.#write === null && this.#restores.size === 0 && this.#untilTurnMs(turn) === 0)
      this.#startWrite(cache, turn === "awaited");
  }

  /** Tokens of a kept sequence, or of a checkpoint, that a restart would not lose. */
  durableTokens(held: Held): number {
    return this.countTokens(this.#chains.findKnown(held));
  }

  /** Chains that are on disk only. */
  describe(cache: PrefixCache): CacheEntry[] {
    return this.#chains.describe(cache, this.#clock.wallMs());
  }

  get stats(): NonNullable<EngineStats["kvStore"]> {
    const { count, bytes, bytesMax } = this.#files;
    return { files: count, bytes, bytesMax, warning: this.#pause.warning };
  }

  #goOn(restore: Restore, cache: PrefixCache): void {
    const { sequence, left } = restore;
    const [name] = left;
    if (name === undefined) {
      this.#restores.delete(sequence);
      // A window of which a part is missing can't be gone on from.
      if (sequence.computed > 0 && !this.#backend.covers(seqIdOf(sequence), sequence.computed)) cache.restart(sequence);
      else sequence.noteReuse("disk", restore.taken);
      return;
    }
    if (restore.task === null) {
      if (this.#isReading()) return;
      restore.task = this.#backend.readState(this.#files.pathOf(name));
      return;
    }
    const state = restore.task.poll();
    if (state.kind === "running") return;
    using task = restore.task;
    restore.task = null;
    // Running sequences took the cells: it is then read as far as it goes.
    if (!cache.makeRoom(tokensUpTo(name, this.sliceTokens) - sequence.computed)) left.length = 0;
    else this.#takeSlice(restore, name, state, task, cache);
    this.#goOn(restore, cache);
  }

  /** One after the other, and nothing is begun to be written meanwhile: a slice may have 100 MB, which a plan counts once. */
  #isReading(): boolean {
    return [...this.#restores.values()].some(({ task }) => task !== null);
  }

  #takeSlice(restore: Restore, name: SliceName, state: TaskState, task: Task<SavedState>, cache: PrefixCache): void {
    const { sequence, left } = restore;
    try {
      if (state.kind === "failed") throw state.error;
      using saved = task.take();
      if (saved.text !== this.#textOf(name)) throw new Error("it belongs to another model or another prompt");
      const { computed } = sequence;
      const end = tokensUpTo(name, this.sliceTokens);
      if (name.extra === undefined) this.#backend.applySlice(saved, seqIdOf(sequence), computed, end);
      else this.#backend.applyEnd(saved, seqIdOf(sequence), computed, end);
      cache.grow(sequence, end - computed);
      restore.taken += end - computed;
      left.shift();
    } catch (thrown) {
      // That another engine made room with it is no trouble to tell of.
      const isGone = state.kind === "failed" && !this.#files.isThere(name);
      if (!isGone) this.#warn(`a kept state was not used, its prompt is read anew: ${(thrown as Error).message}`);
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
      this.#pause.noteSuccess();
    } else this.#pause.noteFailure(state.error.message);
  }

  #startWrite(cache: PrefixCache, awaited: boolean): void {
    const next = this.#nextToWrite(cache);
    if (next === null) return;
    const { name, usedWallMs } = next;
    using own = new DisposableStack();
    // What has no cells is written as it lies in memory, where it stays.
    const state = next.seqId === null ? next.rest : own.use(this.#copy(next, next.seqId));
    assert(state !== null, "a state without cells is a checkpoint's");
    // What it goes on from is in use as well: else room would be made of that.
    this.#files.touch(
      this.#chains.namesOf(next).map(({ hash }) => hash),
      usedWallMs,
    );
    if (!this.#files.makeRoom(state.bytes, usedWallMs)) {
      // All of the budget holds states that were used later: this one has to do without.
      this.#pause.start();
      return;
    }
    const task = state.write(this.#files.pathOf(name), this.#textOf(name), awaited);
    this.#write = { name, bytes: state.bytes, usedMs: usedWallMs, awaited, task };
  }

  #copy({ name, rest }: Pending, seqId: number): SavedState {
    const [start, end] = [this.#startOf(name), tokensUpTo(name, this.sliceTokens)];
    if (name.extra === undefined) return this.#backend.copySlice(seqId, start, end);
    return this.#backend.copyEnd(seqId, start, end, rest);
  }

  /** Tokens that a sequence must have for the state to follow on. */
  #startOf({ depth, extra }: SliceName): number {
    if (extra === undefined) return (depth - 1) * this.sliceTokens;
    return this.#backend.info.memory === "recurrent" ? 0 : depth * this.sliceTokens;
  }

  #untilTurnMs(turn: WriteTurn): number {
    if (turn !== "quiet") return turn === "none" ? Number.POSITIVE_INFINITY : 0;
    return Math.max(0, this.#computedMs + this.#quietMs - this.#clock.monotonicMs());
  }

  #nextToWrite(cache: PrefixCache): Pending | null {
    return this.#pause.isOn ? null : this.#chains.nextMissing(cache);
  }

  #textOf(name: SliceName): string {
    return JSON.stringify({ model: this.#modelKey, slice: name.hash, tokens: tokensUpTo(name, this.sliceTokens) });
  }

  [Symbol.dispose](): void {
    for (const { task } of this.#restores.values()) task?.[Symbol.dispose]();
    this.#write?.task[Symbol.dispose]();
    this.#abandoned[Symbol.dispose]();
  }
}
