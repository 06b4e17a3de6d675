// The KV cache as the engine sees it: a place for each running sequence, the kept state of those that ended, and what
// they share. It does to the backend's cells what it notes in the ledger, in the same call, so that the two agree.

import { assert } from "../../lib/assert.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Backend } from "../backend.ts";
import type { AdapterSet } from "../schedule/adapter-sets.ts";
import { Limits } from "../schedule/limits.ts";
import { admits } from "../schedule/scheduler.ts";
import { type Sequence, seqIdOf } from "../sequence.ts";
import { Checkpoints } from "./checkpoints.ts";
import { findDivergence } from "./divergence.ts";
import { type Kept, KeptSequences } from "./kept-sequences.ts";
import { KvLedger } from "./kv-ledger.ts";
import { PrefixCheckpoints } from "./prefix-checkpoints.ts";
import { choosePrefix } from "./prefix-choice.ts";
import { DonorFinder, type Source } from "./prefix-donors.ts";
import { PrefixForest } from "./prefix-forest.ts";

/** `wait`: somebody reads the same beginning right now. `full`: no cells or no seq-id for it yet. */
export type Placement = "placed" | "wait" | "full";

/** How much of a prompt's beginning is on disk, in slices of so many tokens. */
export interface DiskPrefix {
  tokens: number;
  sliceTokens: number;
}

/** Shorter states are read anew as fast as they are found. */
const KEEP_TOKENS_MIN = 16;

export class PrefixCache {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #ledger: KvLedger;
  readonly #index = new PrefixForest();
  readonly #live = new Map<number, Sequence>();
  readonly #donors: DonorFinder;
  readonly kept: KeptSequences;
  readonly checkpoints: Checkpoints;
  readonly limits: Limits;
  readonly stops: PrefixCheckpoints;

  constructor(backend: Backend, clock: Clock, checkpointBytesMax: number) {
    const { contextLength, parallel, retainedMax } = backend.info;
    this.#backend = backend;
    this.#clock = clock;
    this.limits = new Limits(backend.info, checkpointBytesMax);
    this.#ledger = new KvLedger(contextLength, parallel + retainedMax);
    this.kept = new KeptSequences(retainedMax);
    this.checkpoints = new Checkpoints(clock, checkpointBytesMax);
    const { checkpoints, kept, limits } = this;
    const parts = { backend, index: this.#index, ledger: this.#ledger, live: this.#live, kept, checkpoints, limits };
    this.#donors = new DonorFinder(parts);
    this.stops = new PrefixCheckpoints(parts);
  }

  get total(): number {
    return this.#ledger.total;
  }

  get used(): number {
    return this.#ledger.used;
  }

  /** Cells that running sequences may take: the free ones, and those of kept sequences. */
  get available(): number {
    return this.#ledger.free + this.#ledger.idle;
  }

  get live(): Iterable<Sequence> {
    return this.#live.values();
  }

  /**
   * Gives a waiting sequence a seq-id and the longest beginning that is there. Some of it could be read from disk: where
   * that is more, only whole slices are taken over, for the next ones to follow on.
   */
  place(sequence: Sequence, onDisk: DiskPrefix | null): Placement {
    const { donors, nearest, sharedLength } = this.#donors.find(sequence);
    const choice = choosePrefix(donors);
    if (choice.kind === "wait") {
      this.#stopFor(choice.donor);
      return "wait";
    }
    const donor = choice.kind === "fork" ? this.#cutForDisk(choice.donor, onDisk) : null;
    if (!this.#fits(sequence, donor)) return "full";
    const kept = donor === null || donor.seqId === null ? null : this.kept.find(donor.seqId);
    const takesOver = donor !== null && kept !== null && donor.usable === kept.tokens.length;
    sequence.seqId = takesOver && donor.checkpoint === null ? this.#takeOver(kept) : this.#open(donor);
    sequence.computed = donor?.usable ?? 0;
    this.stops.chooseStops(sequence, sharedLength);
    if (donor !== null) sequence.noteReuse(donor.isLive ? "live" : "retained", donor.usable);
    if (nearest !== null) {
      sequence.diverged = findDivergence(sequence, this.kept.find(nearest.key), nearest.length) ?? sequence.diverged;
    }
    this.#live.set(sequence.seqId, sequence);
    this.#index.insert(sequence.set.key, sequence.seqId, sequence.tokens.slice());
    return "placed";
  }

  /** The sequence has computed this many tokens more. */
  grow(sequence: Sequence, count: number): void {
    this.#ledger.grow(seqIdOf(sequence), count);
    sequence.computed += count;
  }

  /** Takes cells from kept sequences until this many are free; false: there are not that many. */
  makeRoom(cells: number): boolean {
    while (this.#ledger.free < cells) {
      const least = this.kept.least(this.#clock.monotonicMs());
      if (least === null) return false;
      this.#shorten(least, cells - this.#ledger.free);
    }
    return true;
  }

  /** Drops the kept sequence that is worth least; false: there is none. */
  dropLeast(): boolean {
    const least = this.kept.least(this.#clock.monotonicMs());
    if (least !== null) this.drop(least);
    return least !== null;
  }

  drop(kept: Kept): void {
    this.kept.remove(kept);
    this.#close(kept.seqId, kept.set, kept.tokens);
  }

  /** The sequence has ended or must leave. What it has computed is kept where that is of use. */
  retire(sequence: Sequence): void {
    const seqId = seqIdOf(sequence);
    this.cut(sequence);
    this.#live.delete(seqId);
    sequence.seqId = null;
    const { computed, set } = sequence;
    sequence.computed = 0;
    const tokens = sequence.tokens.slice(0, computed);
    const isOfUse = computed >= KEEP_TOKENS_MIN && this.stops.isWhole(seqId, computed);
    if (this.kept.capacity === 0 || !sequence.keeps || !isOfUse) {
      this.#close(seqId, set, tokens);
      return;
    }
    this.#index.remove(seqId);
    const others = this.#index.matches(set.key, tokens);
    this.#index.insert(set.key, seqId, tokens);
    for (const { key, length } of others) this.#dropDouble(key, length);
    this.#ledger.setLive(seqId, false);
    this.kept.add({
      seqId,
      tokens,
      set,
      session: sequence.session,
      preambleLength: Math.min(sequence.preambleLength, computed),
      usedMs: this.#clock.monotonicMs(),
      usedWallMs: this.#clock.wallMs(),
    });
    while (this.kept.size > this.kept.capacity) this.dropLeast();
  }

  /** Takes back what was computed for tokens that the sequence did not get. */
  cut(sequence: Sequence): void {
    const length = sequence.length - 1;
    // Without an answer all of it is the prompt's.
    if (sequence.computed <= length || sequence.completionTokens === 0) return;
    this.#truncate(sequence, length);
  }

  #truncate(sequence: Sequence, length: number): void {
    this.#backend.truncateSequence(seqIdOf(sequence), length);
    this.#ledger.truncate(seqIdOf(sequence), length);
    sequence.computed = length;
  }

  /** What the sequence has computed is of no use: it begins anew in its place. */
  restart(sequence: Sequence): void {
    const seqId = seqIdOf(sequence);
    this.#backend.removeSequence(seqId);
    this.#ledger.truncate(seqId, 0);
    sequence.computed = 0;
    this.stops.dropUnheld(sequence.set, sequence.tokens);
  }

  /** A full sequence goes on in its place, without some of its tokens: the KV of what stands behind them is gone. */
  shift(sequence: Sequence): void {
    if (this.#backend.info.memory === "plain") {
      this.#truncate(sequence, sequence.shift());
    } else {
      this.restart(sequence);
      sequence.shift();
    }
    this.#index.remove(seqIdOf(sequence));
    this.#index.insert(sequence.set.key, seqIdOf(sequence), sequence.tokens.slice());
  }

  /** The sequence leaves, and so do its cells. */
  release(sequence: Sequence): void {
    const seqId = seqIdOf(sequence);
    this.#live.delete(seqId);
    sequence.seqId = null;
    sequence.computed = 0;
    this.#close(seqId, sequence.set, sequence.tokens);
  }

  checkIntegrity(): void {
    this.#ledger.checkIntegrity();
  }

  /** Whoever reads what another one waits for stops there, for that one to go on from it. */
  #stopFor({ seqId, promised }: Source): void {
    const reader = seqId === null ? undefined : this.#live.get(seqId);
    assert(reader !== undefined, "only who runs is waited for");
    if (this.#backend.checkpoints) reader.addStops([promised]);
  }

  #cutForDisk(donor: Source, onDisk: DiskPrefix | null): Source | null {
    if (onDisk === null || onDisk.tokens < donor.usable + onDisk.sliceTokens) return donor;
    const whole = donor.usable - (donor.usable % onDisk.sliceTokens);
    return whole === 0 || this.#backend.info.memory !== "plain" ? null : { ...donor, usable: whole };
  }

  #fits(sequence: Sequence, donor: Source | null): boolean {
    if (this.#live.size >= this.limits.places) return false;
    const shared = donor === null || donor.seqId === null ? 0 : donor.usable;
    // Kept cells that it takes over can't be had by others any more.
    const claimed = donor === null || donor.isLive ? 0 : Math.min(shared, this.#ledger.idle);
    return admits(sequence.length - shared, this.#live.size, this.available - claimed);
  }

  #takeOver(kept: Kept): number {
    this.kept.remove(kept);
    this.#index.remove(kept.seqId);
    this.#ledger.setLive(kept.seqId, true);
    return kept.seqId;
  }

  #open(donor: Source | null): number {
    if (this.#ledger.freeSequences === 0) {
      const others = this.kept.leastBeside(donor?.seqId ?? null, this.#clock.monotonicMs());
      assert(others !== null, "there are more seq-ids than running sequences");
      this.drop(others);
    }
    const seqId = this.#ledger.open();
    if (donor === null) return seqId;
    if (donor.seqId !== null) {
      this.#backend.copySequence(donor.seqId, seqId, donor.usable);
      this.#ledger.fork(donor.seqId, seqId, donor.usable);
      this.kept.touch(donor.seqId, this.#clock);
    } else {
      assert(this.makeRoom(donor.usable), `${donor.usable} cells were counted as available`);
      this.#ledger.grow(seqId, donor.usable);
    }
    if (donor.checkpoint !== null) {
      this.#backend.applyRest(donor.checkpoint.state, seqId, donor.usable);
      this.checkpoints.touch(donor.checkpoint);
    }
    return seqId;
  }

  /** A kept sequence whose tokens another one begins with is of no more use. */
  #dropDouble(key: number, length: number): void {
    const double = this.kept.find(key);
    if (double !== null && double.tokens.length === length) this.drop(double);
  }

  /** Frees cells at a kept sequence's end, and all of it where it can't be cut or little would be left. */
  #shorten(kept: Kept, cells: number): void {
    const exclusive = this.#ledger.exclusive(kept.seqId);
    const preamble = kept.preambleLength < kept.tokens.length ? kept.preambleLength : 0;
    const left = Math.max(kept.tokens.length - Math.min(cells, exclusive), preamble);
    if (exclusive === 0 || left < KEEP_TOKENS_MIN || left === kept.tokens.length || !this.#cutKept(kept, left)) {
      this.drop(kept);
    }
  }

  /** Leaves at most `length` tokens of a kept sequence; false: that can't be. */
  #cutKept(kept: Kept, length: number): boolean {
    const before = kept.tokens;
    const checkpoint = this.stops.deepest(kept, length);
    const left = checkpoint?.tokens.length ?? length;
    if (checkpoint !== null) this.#backend.rewind(kept.seqId, left, checkpoint.state);
    else if (this.#backend.info.memory === "plain") this.#backend.truncateSequence(kept.seqId, left);
    else return false;
    this.#ledger.truncate(kept.seqId, left);
    kept.tokens = before.slice(0, left);
    this.#index.remove(kept.seqId);
    this.#index.insert(kept.set.key, kept.seqId, kept.tokens);
    this.stops.dropUnheld(kept.set, before);
    return true;
  }

  /** tokens: those that it held. */
  #close(seqId: number, set: AdapterSet, tokens: Int32Array): void {
    this.#index.remove(seqId);
    this.#backend.removeSequence(seqId);
    this.#ledger.close(seqId);
    this.stops.dropUnheld(set, tokens);
  }
}
