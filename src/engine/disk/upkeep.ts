// When what is kept of prompts goes to disk, and when it has to leave memory: in quiet times, before the engine is stopped,
// and when its limits were lowered. What is over the limits is written first; only what can't be written is lost.

import type { Clock } from "../../lib/clock.ts";
import type { EngineLimits } from "../../protocol/messages.ts";
import type { Backend } from "../backend.ts";
import type { Send } from "../outbox.ts";
import type { Kept } from "../prefix/kept-sequences.ts";
import type { PrefixCache } from "../prefix/prefix-cache.ts";
import type { KvStore, WriteTurn } from "./kv-store.ts";

export class Upkeep {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #cache: PrefixCache;
  readonly #store: KvStore | null;
  readonly #send: Send;
  /** Those who wait for everything that is kept to be on disk. */
  readonly #flushes = new Set<number>();
  /** Something was freed, or limits fell: the system gets back what nothing is in. */
  #mayTrim = false;

  constructor(backend: Backend, clock: Clock, cache: PrefixCache, store: KvStore | null, send: Send) {
    this.#backend = backend;
    this.#clock = clock;
    this.#cache = cache;
    this.#store = store;
    this.#send = send;
  }

  /** Says `flushed` once all that is kept is on disk. */
  flush(id: number): void {
    this.#flushes.add(id);
  }

  adjust(limits: EngineLimits): void {
    this.#cache.limits.set(limits);
    this.#mayTrim ||= this.#cache.limits.areLowered;
  }

  /** How long there is nothing to do, in ms, unless a task ends. `isIdle`: nobody wants anything of the engine. */
  restMs(isIdle: boolean): number {
    if (this.#mayTrim || this.#findDroppable() !== null || this.#areCheckpointsDroppable) return 0;
    return this.#store?.restMs(this.#cache, this.#turn(isIdle)) ?? Number.POSITIVE_INFINITY;
  }

  /** Between two steps. */
  step(isIdle: boolean): void {
    this.#store?.step(this.#cache, this.#turn(isIdle));
    this.#shed();
    if (!this.#mayTrim) return;
    this.#mayTrim = false;
    this.#backend.trim();
  }

  /** After a step. */
  answer(): void {
    if (this.#flushes.size === 0 || this.#store?.isSettled(this.#cache) === false) return;
    for (const id of this.#flushes) this.#send({ type: "flushed", id });
    this.#flushes.clear();
  }

  /** What is over the limits is written although somebody computes: memory is short. */
  #turn(isIdle: boolean): WriteTurn {
    if (this.#flushes.size > 0) return "awaited";
    if (this.#isOver || this.#areCheckpointsOver) return "now";
    return isIdle ? "quiet" : "none";
  }

  #shed(): void {
    for (let kept = this.#findDroppable(); kept !== null; kept = this.#findDroppable()) {
      this.#cache.drop(kept);
      this.#mayTrim = true;
    }
    if (!this.#areCheckpointsDroppable) return;
    this.#cache.checkpoints.trimTo(this.#cache.limits.checkpointBytes);
    this.#mayTrim = true;
  }

  get #isOver(): boolean {
    return this.#cache.kept.size > this.#cache.limits.retained;
  }

  /** The kept sequence that goes next, if it can go now. */
  #findDroppable(): Kept | null {
    if (!this.#isOver) return null;
    const least = this.#cache.kept.least(this.#clock.monotonicMs());
    return least === null || this.#store?.isWritten(least, this.#cache) === false ? null : least;
  }

  get #areCheckpointsOver(): boolean {
    return this.#cache.checkpoints.bytes > this.#cache.limits.checkpointBytes;
  }

  get #areCheckpointsDroppable(): boolean {
    return this.#areCheckpointsOver && this.#store?.isSettled(this.#cache) !== false;
  }
}
