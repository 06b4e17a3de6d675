// One batch: plan, make room, decode, and count. It measures what steps cost and sizes the next ones by it. What a full
// cache or a failure means for the sequences is the engine's business.

import { assert } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import type { Backend } from "./backend.ts";
import type { PrefixCache } from "./prefix-cache.ts";
import { Rates } from "./rates.ts";
import { plan } from "./scheduler.ts";
import { type Sequence, toPart } from "./sequence.ts";

/**
 * `ran`: these have a row to sample from. `full`: somebody has to give cells back; `crowded` when the backend was full
 * before our count was. `failed`: these were in the batch.
 */
export type StepResult =
  | { kind: "ran"; complete: Sequence[] }
  | { kind: "full"; crowded: boolean }
  | { kind: "aborted" }
  | { kind: "failed"; sequences: Sequence[]; thrown: unknown };

interface Share {
  sequence: Sequence;
  count: number;
  decodes: boolean;
}

export class Stepper {
  readonly rates = new Rates();
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #cache: PrefixCache;
  readonly #itlMsMax: number;
  #pending: { promptRows: number; decodeRows: number; startedMs: number } | null = null;
  steps = 0;
  /** Prompt tokens that were computed, those that had to be computed again included. */
  evaluatedTokens = 0;

  constructor(backend: Backend, clock: Clock, cache: PrefixCache, itlMsMax: number) {
    this.#backend = backend;
    this.#clock = clock;
    this.#cache = cache;
    this.#itlMsMax = itlMsMax;
  }

  run(active: readonly Sequence[]): StepResult {
    const shares = this.#share(active);
    if (shares === null) return { kind: "full", crowded: false };
    const rows = shares.reduce((sum, { count }) => sum + count, 0);
    assert(this.#cache.makeRoom(rows), `${rows} cells were counted as available`);
    const decodeRows = shares.filter(({ decodes }) => decodes).length;
    this.#pending = { promptRows: rows - decodeRows, decodeRows, startedMs: this.#clock.monotonicMs() };
    try {
      const result = this.#backend.decode(shares.map(({ sequence, count }) => toPart(sequence, count)));
      if (result === "full") return { kind: "full", crowded: true };
      if (result === "aborted") return { kind: "aborted" };
    } catch (thrown) {
      return { kind: "failed", sequences: shares.map(({ sequence }) => sequence), thrown };
    }
    this.steps++;
    this.evaluatedTokens += rows - decodeRows;
    for (const { sequence, count } of shares) this.#cache.grow(sequence, count);
    return { kind: "ran", complete: shares.map(({ sequence }) => sequence).filter(({ missing }) => missing === 0) };
  }

  /** Its rows are sampled: only now has a backend that computes in the background really ended. */
  measure(): void {
    if (this.#pending === null) return;
    const { promptRows, decodeRows, startedMs } = this.#pending;
    this.#pending = null;
    this.rates.record({ promptRows, decodeRows, ms: this.#clock.monotonicMs() - startedMs });
  }

  #share(active: readonly Sequence[]): Share[] | null {
    const decision = plan(active, {
      batchSize: this.#backend.info.batchSize,
      promptRows: this.rates.promptRows(this.#itlMsMax),
      freeCells: this.#cache.available,
    });
    if (decision.kind === "full") return null;
    const byId = new Map(active.map((sequence) => [sequence.id, sequence]));
    return decision.rows.map(({ id, count }) => {
      const sequence = byId.get(id);
      assert(sequence !== undefined, `request ${id} was planned and does not run`);
      return { sequence, count, decodes: sequence.missing === 1 };
    });
  }
}
