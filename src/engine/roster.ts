// Who waits, who runs, and what of the cache each has: places are given, taken back and left here, in the order that
// the scheduler decides. It tells nobody anything; the engine does.

import { assert } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import type { SliceName } from "./disk/kv-names.ts";
import type { KvStore } from "./disk/kv-store.ts";
import type { Placement, PrefixCache } from "./prefix/prefix-cache.ts";
import { RunningSet } from "./running-set.ts";
import { PromptSpread } from "./schedule/prompt-spread.ts";
import { chooseVictim, chooseYielding } from "./schedule/scheduler.ts";
import type { Sequence } from "./sequence.ts";
import { WaitingList } from "./waiting-list.ts";

export class Roster implements Iterable<Sequence> {
  readonly cache: PrefixCache;
  readonly #clock: Clock;
  readonly #store: KvStore | null;
  readonly #waiting = new WaitingList();
  readonly #running = new RunningSet();
  readonly #spread = new PromptSpread();
  /** The backend was full before our count was. Who had to leave must not come back before somebody got on. */
  #isCrowded = false;

  constructor(clock: Clock, cache: PrefixCache, store: KvStore | null) {
    this.cache = cache;
    this.#clock = clock;
    this.#store = store;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get running(): number {
    return this.#running.size;
  }

  /** Those that run and whose prompt's beginning is there: nothing more of it comes from disk. */
  *settled(): Iterable<Sequence> {
    for (const sequence of this.#running) if (this.#store?.isRestoring(sequence) !== true) yield sequence;
  }

  /** Those that can compute now: their reader keeps up as well. */
  active(): Sequence[] {
    return [...this.settled()].filter((sequence) => !sequence.paused);
  }

  /** Somebody can compute, or be given a place. */
  get isBusy(): boolean {
    // Whoever waits gets a place, unless those who run are only waiting for the disk.
    return this.active().length > 0 || (this.#waiting.first() !== undefined && this.#running.active().length === 0);
  }

  /** How many prompts may be complete with the next step. */
  get promptsPerStep(): number {
    return this.#spread.promptsPerStep(this.#running.size, this.#waiting.size);
  }

  add(sequence: Sequence): void {
    this.#waiting.add(sequence);
  }

  find(id: number): Sequence | undefined {
    return this.#running.find(id) ?? this.#waiting.find(id);
  }

  /** Gives places to those who wait, in order. */
  placeWaiting(): void {
    if (this.#isCrowded && this.#running.active().length > 0) return;
    for (const sequence of this.#waiting.active()) {
      const sliceTokens = this.#store?.sliceTokens ?? 1;
      const slices = sequence.reuses ? (this.#store?.find(sequence) ?? []) : [];
      const onDisk = slices.length === 0 ? null : { tokens: this.#store?.countTokens(slices) ?? 0, sliceTokens };
      const place = (): Placement => this.cache.place(sequence, onDisk);
      let placement = place();
      while (placement === "full" && this.#yieldPlace(sequence)) placement = place();
      // Nobody is overtaken by those who need less room; only who waits for a prefix lets others pass.
      if (placement === "full") return;
      if (placement === "placed") this.#start(sequence, slices);
    }
  }

  /** A step ran: whoever had to leave may come back. */
  noteProgress(): void {
    this.#isCrowded = false;
  }

  /**
   * The cache is full and somebody gives cells back. Returns a sequence that has to end, because it is the only one
   * and nothing else can go; else null. `crowded`: the backend was full before our count was.
   */
  makeWay(crowded: boolean): Sequence | null {
    this.#isCrowded ||= crowded;
    if (crowded && this.cache.dropLeast()) return null;
    const id = chooseVictim([...this.#running]);
    assert(id !== null, "the cache is full and nobody runs");
    const sequence = this.#running.get(id);
    if (this.#running.size === 1) return sequence;
    this.#evict(sequence);
    return null;
  }

  /** The sequence has ended. `trusted`: what it computed is right, and may be kept for others. */
  remove(sequence: Sequence, trusted: boolean): void {
    if (this.#running.has(sequence)) this.#spread.note(sequence.completionTokens);
    this.#takeOut(sequence, trusted);
  }

  #takeOut(sequence: Sequence, trusted: boolean): void {
    if (this.#running.has(sequence)) {
      this.#running.remove(sequence);
      this.#store?.forget(sequence);
      if (trusted) this.cache.retire(sequence);
      else this.cache.release(sequence);
    } else {
      this.#waiting.remove(sequence);
    }
  }

  #start(sequence: Sequence, slices: readonly SliceName[]): void {
    this.#waiting.remove(sequence);
    this.#running.add(sequence);
    sequence.startedMs ??= this.#clock.monotonicMs();
    this.#store?.restore(sequence, slices);
  }

  /** Whoever runs for a reader who is behind leaves for one who waits; so does batch work, for a place. */
  #yieldPlace(waiting: Sequence): boolean {
    const isOccupied = this.#running.size >= this.cache.limits.places;
    const id = this.#running.lastPaused()?.id ?? (isOccupied ? chooseYielding([...this.#running], waiting) : null);
    if (id !== null) this.#evict(this.#running.get(id));
    return id !== null;
  }

  /** Gives its place back and goes on later: its tokens stay, and its KV as far as nobody needs the cells. */
  #evict(sequence: Sequence): void {
    this.#takeOut(sequence, true);
    sequence.hadToLeave = true;
    this.#waiting.add(sequence);
  }

  *[Symbol.iterator](): Iterator<Sequence> {
    yield* this.#waiting;
    yield* this.#running;
  }
}
