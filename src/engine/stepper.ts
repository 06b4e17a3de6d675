// One batch: plan, make room, decode, and count. It measures what steps cost and sizes the next ones by it. What a full
// cache or a failure means for the sequences is the engine's business.

import { assert } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import type { Backend } from "./backend.ts";
import { DraftGuesses } from "./guess/draft-guesses.ts";
import type { PrefixCache } from "./prefix/prefix-cache.ts";
import type { AdapterSet } from "./schedule/adapter-sets.ts";
import { Rates } from "./schedule/rates.ts";
import { plan } from "./schedule/scheduler.ts";
import { SetTurns, type Turn } from "./schedule/set-turns.ts";
import { StepTimes } from "./schedule/step-times.ts";
import { type Sequence, toPart } from "./sequence.ts";

/** A sequence's rows with output: the part's place among those with output, and what its rows are of. */
export interface StepOutput {
  sequence: Sequence;
  part: number;
  /** Position of its first row with output. */
  start: number;
  /** Rows with output, guesses not counted. */
  count: number;
  /** Nothing of it is missing any more: its last row is sampled. */
  isComplete: boolean;
}

/**
 * `ran`: these have rows to read. `full`: somebody has to give cells back; `crowded` when the backend was full
 * before our count was. `failed`: these were in the batch.
 */
export type StepResult =
  | { kind: "ran"; outputs: StepOutput[] }
  | { kind: "full"; crowded: boolean }
  | { kind: "aborted" }
  | { kind: "failed"; sequences: Sequence[]; thrown: unknown };

interface Share {
  sequence: Sequence;
  /** Tokens that are missing; what it guesses comes on top. */
  count: number;
  decodes: boolean;
}

export interface StepSettings {
  /** Longest gap in a stream that prompts of others may cause; 0 = from the measured rates. */
  itlMsMax: number;
  /** Whether sequences guess ahead from their own text; a backend with a drafter guesses with that too. */
  speculates: boolean;
  /** Told what went wrong and costs no answer. */
  warn?: (message: string) => void;
}

/** One step in so many goes without guesses, so that what a step costs by itself stays known while all guesses are right. */
const PLAIN_STEP_EVERY = 32;

export class Stepper {
  readonly rates = new Rates();
  readonly times: StepTimes;
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #cache: PrefixCache;
  readonly #settings: StepSettings;
  readonly #drafts: DraftGuesses | null;
  readonly #turns = new SetTurns();
  /** The batch that ran last, until its rows are sampled. */
  #pending: { promptRows: number; decodeRows: number; startedMs: number; isScored: boolean } | null = null;
  steps = 0;
  /** Prompt tokens that were computed, those that had to be computed again included. */
  evaluatedTokens = 0;
  /** Tokens that were guessed, and those of them that were right. */
  draftedTokens = 0;
  acceptedTokens = 0;

  constructor(backend: Backend, clock: Clock, cache: PrefixCache, settings: StepSettings) {
    this.#backend = backend;
    this.#clock = clock;
    this.times = new StepTimes(clock);
    this.#cache = cache;
    this.#settings = settings;
    const { drafter } = backend;
    this.#drafts = drafter === null ? null : new DraftGuesses(drafter, clock, settings.warn ?? (() => {}));
  }

  /**
   * Runs one batch of these, at least one, or of those of them that share a set of adapters. `prompts`: how many may be
   * complete with it.
   */
  run(active: readonly Sequence[], prompts: number): StepResult {
    // A guess of a step that did not run is not one for this step.
    for (const sequence of active) sequence.dropDraft();
    const turn = this.#turns.next(active, this.#clock.monotonicMs());
    const shares = this.#share(turn, prompts);
    if (shares === null) return { kind: "full", crowded: false };
    if (this.#settings.speculates || this.#drafts !== null) this.#guess(shares);
    this.#drafts?.watch(shares.map(({ sequence }) => sequence));
    const drafted = shares.reduce((sum, { sequence }) => sum + sequence.draft.length, 0);
    const rows = shares.reduce((sum, { count }) => sum + count, drafted);
    assert(this.#cache.makeRoom(rows), `${rows} cells were counted as available`);
    const decodeRows = shares.filter(({ decodes }) => decodes).length;
    const isScored = shares.some(({ sequence }) => sequence.scores !== null);
    this.#pending = { promptRows: rows - decodeRows, decodeRows, startedMs: this.#clock.monotonicMs(), isScored };
    try {
      this.#backend.useAdapters(setOf(shares).scales);
      const parts = shares.map(({ sequence, count }) => toPart(sequence, count));
      const result = this.times.time("decodeMs", () => this.#backend.decode(parts));
      if (result === "full") return { kind: "full", crowded: true };
      if (result === "aborted") return { kind: "aborted" };
      this.#drafts?.take(shares, parts);
    } catch (thrown) {
      return { kind: "failed", sequences: shares.map(({ sequence }) => sequence), thrown };
    }
    this.steps++;
    this.evaluatedTokens += rows - decodeRows - drafted;
    this.draftedTokens += drafted;
    const outputs = listOutputs(shares);
    for (const { sequence, count } of shares) this.#cache.grow(sequence, count + sequence.draft.length);
    return { kind: "ran", outputs };
  }

  /** A row of the sequence's guess was sampled last: it was right so far, or is over. */
  endDraft(sequence: Sequence, accepted: number): void {
    this.acceptedTokens += Math.min(accepted, sequence.draft.length);
    sequence.endDraft(accepted);
  }

  /** What guesses of the smaller model cost; null without one. */
  get draftRates(): { tokenMs: number; rowMs: number | null } | null {
    return this.#drafts?.rates ?? null;
  }

  /** Its rows are sampled: only now has a backend that computes in the background really ended. */
  measure(): void {
    if (this.#pending === null) return;
    const { promptRows, decodeRows, startedMs, isScored } = this.#pending;
    this.#pending = null;
    // Each scored row has the whole vocabulary's logits computed and read: others' rows cost much less.
    if (isScored) return;
    this.rates.record({ promptRows, decodeRows, ms: this.#clock.monotonicMs() - startedMs });
  }

  /** While no prompt is read, the rows that are left are for guesses. */
  #guess(shares: readonly Share[]): void {
    const { measured } = this.rates;
    const { memory, batchSize } = this.#backend.info;
    if (measured === null || !shares.every(({ decodes }) => decodes)) return;
    if (this.steps % PLAIN_STEP_EVERY === PLAIN_STEP_EVERY - 1) return;
    // Other memories can't take back a row.
    if (memory !== "plain" && memory !== "sliding") return;
    const { stepMs, promptRowMs: rowMs } = measured;
    const costs = { stepMs, tokenMs: stepMs / shares.length, rowMs };
    let left = Math.min(batchSize, this.#backend.outputsMax, this.#cache.available) - shares.length;
    left = Math.min(left, this.#cache.limits.promptRows, this.rates.promptRows(this.#settings.itlMsMax, shares.length));
    // What a sequence's own text says costs nothing, so the smaller model is asked for the others.
    for (const { sequence } of this.#settings.speculates ? shares : []) {
      const room = Math.min(left, sequence.lengthMax - sequence.length - 1);
      const limit = room <= 0 ? 0 : Math.min(room, sequence.speculation.limit(sequence.lengthInAll, costs));
      if (limit === 0) continue;
      sequence.takeDraft(this.#backend.draft(sequence.tokens, limit), sequence.speculation);
      left -= sequence.draft.length;
    }
    const others = shares.map(({ sequence }) => sequence).filter(({ draft }) => draft.length === 0);
    this.#drafts?.guess(others, left, costs);
  }

  #share({ sequences, decodingElsewhere }: Turn<Sequence>, prompts: number): Share[] | null {
    const decodeRows = sequences.filter(({ missing }) => missing === 1).length;
    const decision = plan(sequences, {
      batchSize: this.#cache.limits.batchRows(decodeRows),
      promptRows: this.rates.promptRows(this.#settings.itlMsMax, decodeRows),
      freeCells: this.#cache.available,
      decodingElsewhere,
      prompts,
      outputs: this.#backend.outputsMax,
    });
    if (decision.kind === "full") return null;
    const byId = new Map(sequences.map((sequence) => [sequence.id, sequence]));
    return decision.rows.map(({ id, count }) => {
      const sequence = byId.get(id);
      assert(sequence !== undefined, `request ${id} was planned and does not run`);
      return { sequence, count: Math.min(count, sequence.reachable), decodes: sequence.missing === 1 };
    });
  }
}

/** The set that all of a step's sequences have. */
function setOf([first]: readonly Share[]): AdapterSet {
  assert(first !== undefined, "a step runs somebody");
  return first.sequence.set;
}

/** As the batch was filled, and before the sequences grow. */
function listOutputs(shares: readonly Share[]): StepOutput[] {
  const outputs: StepOutput[] = [];
  for (const { sequence, count } of shares) {
    const isComplete = count === sequence.missing;
    const { needsAllOutput, computed } = sequence;
    if (!isComplete && !needsAllOutput) continue;
    const rows = needsAllOutput ? count : 1;
    outputs.push({ sequence, part: outputs.length, start: computed + count - rows, count: rows, isComplete });
  }
  return outputs;
}
