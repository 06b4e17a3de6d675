// Who of the decoding sequences is guessed for with a smaller model or the model's own prediction layers, and how much it
// may cost: a model reads what it has not seen of a sequence in small chunks beside the steps, layers take rows of steps,
// and both guess for all sequences in one batch. A failure of it costs guesses, never answers. How far a guess goes and
// when guessing rests is decided in speculation.ts.

import type { Clock } from "../../lib/clock.ts";
import type { BatchPart } from "../backend.ts";
import type { Sequence } from "../sequence.ts";
import type { Drafter, DraftPart, StepRows } from "./drafter.ts";
import { Speculation } from "./speculation.ts";

/** So few missing tokens are run together with the guess itself: they are what the last step accepted. */
const BEHIND_MAX = 32;
/** What a step may cost more while the smaller model reads a prompt. */
const READING_SHARE = 0.5;
/** A chunk as long as nothing is measured, and the least one: less would read the weights for nothing. */
const CHUNK_ROWS = 16;
/** A first guess: with a floor under the probability of its tokens, short ones cost nothing. */
const LENGTH_MIN = 3;
/** A slot that nobody asked for in so many steps may go to somebody else. */
const SLOT_STEPS = 32;
/** Weight of the latest measurement. */
const WEIGHT = 0.2;

interface Holder {
  sequence: Sequence;
  step: number;
}

export interface GuessCosts {
  stepMs: number;
  tokenMs: number;
  rowMs: number;
}

/** What a sequence ran in a step. */
export interface StepShare {
  sequence: Sequence;
  /** Tokens of its own; others of its part are a guess. */
  count: number;
}

export class DraftGuesses {
  readonly #drafter: Drafter;
  readonly #clock: Clock;
  readonly #warn: (message: string) => void;
  readonly #holders: (Holder | null)[];
  readonly #speculations = new WeakMap<Sequence, Speculation>();
  #step = 0;
  #rowMs: number | null = null;
  #tokenMs = 0;
  /** Share of guesses that has to be right, as it was when that was asked last. */
  #rateToPay = 0;
  /** Slots of those whose rows of this step are taken. */
  #watched = new Map<Sequence, number>();
  #guesses = 0;
  #failed = false;

  constructor(drafter: Drafter, clock: Clock, warn: (message: string) => void) {
    this.#drafter = drafter;
    this.#clock = clock;
    this.#warn = warn;
    this.#holders = Array.from({ length: drafter.slots }, () => null);
  }

  /** Measured milliseconds: of one guessed token, and of one token that is read; null until there was one. */
  get rates(): { tokenMs: number; rowMs: number | null } {
    return { tokenMs: this.#tokenMs, rowMs: this.#rowMs };
  }

  /** Guesses for those of these sequences for which it pays, `rows` tokens together at most. */
  guess(sequences: readonly Sequence[], rows: number, costs: GuessCosts): void {
    if (this.#failed) return;
    this.#step++;
    try {
      const chosen = this.#choose(sequences, rows, costs);
      if (chosen.size > 0) this.#run(chosen);
    } catch (thrown) {
      for (const sequence of sequences) sequence.dropDraft();
      this.#fail(thrown);
    }
  }

  /** Before a step of these: whose rows are taken after it. Where nobody's are, the step costs what it costs without. */
  watch(sequences: readonly Sequence[]): void {
    const { rows } = this.#drafter;
    if (rows === null) return;
    const wasOn = this.#watched.size > 0;
    this.#watched = new Map();
    for (const sequence of this.#failed ? [] : sequences) {
      const slot = this.#isOfUse(sequence) ? this.#slotOf(sequence) : null;
      if (slot !== null) this.#watched.set(sequence, slot);
    }
    if (this.#watched.size > 0 !== wasOn) rows.watch(!wasOn);
  }

  /** After a step that ran, and before its rows are sampled. */
  take(shares: readonly StepShare[], parts: readonly BatchPart[]): void {
    let row = 0;
    for (const [i, { sequence, count }] of shares.entries()) {
      const part = parts[i];
      const slot = this.#watched.get(sequence);
      if (part === undefined) continue;
      if (slot !== undefined) this.#takeRows(slot, sequence, { ...part, certain: count, row });
      row += part.tokens.length;
    }
  }

  #takeRows(slot: number, sequence: Sequence, rows: StepRows): void {
    if (this.#failed) return;
    try {
      this.#drafter.rows?.take(slot, sequence.tokens, rows);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #fail(thrown: unknown): void {
    this.#failed = true;
    this.#warn(`${this.#drafter.name} failed and is not asked any more: ${(thrown as Error).message}`);
  }

  /** Rows of a prompt are taken while guesses pay for others; of who decodes, unless its guesses rest. */
  #isOfUse(sequence: Sequence): boolean {
    if (Math.min(sequence.lengthMax, this.#drafter.lengthMax) - sequence.length <= 1) return false;
    const known = this.#speculations.get(sequence);
    if (known !== undefined) return !known.rests(sequence.lengthInAll);
    return (this.#usualRate() ?? 1) > this.#rateToPay;
  }

  #choose(sequences: readonly Sequence[], rows: number, costs: GuessCosts): Map<Sequence, DraftPart> {
    const { batchSize, lengthMax } = this.#drafter;
    const chosen = new Map<Sequence, DraftPart>();
    let left = rows;
    let toRun = batchSize;
    let toRead = Math.min(batchSize, this.#chunkRows(costs.stepMs));
    for (const sequence of sequences) {
      const room = Math.min(left, Math.min(sequence.lengthMax, lengthMax) - sequence.length - 1);
      if (room < 1) continue;
      const limit = Math.min(room, this.#limit(sequence, costs));
      const slot = limit < 1 ? null : this.#slotOf(sequence);
      if (slot === null) continue;
      let behind = this.#drafter.show(slot, sequence.tokens, 0);
      if (behind === Number.POSITIVE_INFINITY) continue;
      if (behind > BEHIND_MAX && toRead > 0) {
        const read = this.#read(slot, sequence, behind, toRead);
        behind -= read;
        toRead -= read;
      }
      if (behind > Math.min(BEHIND_MAX, toRun)) continue;
      toRun -= behind;
      left -= limit;
      chosen.set(sequence, { slot, limit });
    }
    return chosen;
  }

  #run(chosen: ReadonlyMap<Sequence, DraftPart>): void {
    const started = this.#clock.monotonicMs();
    const guesses = this.#drafter.guess([...chosen.values()]);
    const ms = this.#clock.monotonicMs() - started;
    // A guess of nothing cost a round as well.
    const tokens = guesses.reduce((sum, guess) => sum + Math.max(1, guess.length), 0);
    // The first one pays for what llama.cpp makes once.
    if (this.#guesses === 1) this.#tokenMs = ms / tokens;
    else if (this.#guesses > 1) this.#tokenMs += WEIGHT * (ms / tokens - this.#tokenMs);
    this.#guesses++;
    for (const [i, sequence] of [...chosen.keys()].entries()) {
      const guess = guesses[i];
      const speculation = this.#speculationOf(sequence);
      if (guess === undefined || guess.length === 0) speculation.noteNothing();
      else sequence.takeDraft(guess, speculation);
    }
  }

  /** Returns how many tokens were read: fewer where there is no room. */
  #read(slot: number, sequence: Sequence, behind: number, rows: number): number {
    const started = this.#clock.monotonicMs();
    const read = behind - this.#drafter.show(slot, sequence.tokens, rows);
    const ms = this.#clock.monotonicMs() - started;
    if (read > 0) this.#rowMs = this.#rowMs === null ? ms / read : this.#rowMs + WEIGHT * (ms / read - this.#rowMs);
    return read;
  }

  #chunkRows(stepMs: number): number {
    if (this.#rowMs === null) return CHUNK_ROWS;
    const rows = (READING_SHARE * stepMs) / this.#rowMs;
    return Number.isFinite(rows) ? Math.max(CHUNK_ROWS, Math.floor(rows)) : this.#drafter.batchSize;
  }

  #limit(sequence: Sequence, { tokenMs, rowMs }: GuessCosts): number {
    const costs = { tokenMs, rowMs: rowMs + this.#tokenMs };
    this.#rateToPay = costs.rowMs / costs.tokenMs;
    return this.#speculationOf(sequence).limit(sequence.lengthInAll, costs);
  }

  #speculationOf(sequence: Sequence): Speculation {
    const known = this.#speculations.get(sequence);
    if (known !== undefined) return known;
    const { tokensMax } = this.#drafter;
    const lengths = { lengthMin: Math.min(LENGTH_MIN, tokensMax), lengthMax: tokensMax };
    const made = new Speculation(lengths, this.#usualRate());
    this.#speculations.set(sequence, made);
    return made;
  }

  /** How right it was for those who had a slot last: it is right or wrong about a model more than about a text. */
  #usualRate(): number | undefined {
    const holders = this.#holders.filter((holder) => holder !== null);
    const known = holders.map(({ sequence }) => this.#speculations.get(sequence)).filter((one) => one !== undefined);
    return known.length === 0 ? undefined : known.reduce((sum, { rate }) => sum + rate, 0) / known.length;
  }

  /** Null: all slots belong to others. What a slot held before is of use when the sequence begins like it. */
  #slotOf(sequence: Sequence): number | null {
    let slot = this.#holders.findIndex((holder) => holder?.sequence === sequence);
    if (slot < 0) slot = this.#oldestFreeSlot();
    if (slot < 0) return null;
    this.#holders[slot] = { sequence, step: this.#step };
    return slot;
  }

  /** -1: there is none. A slot is free when its sequence has no place any more, or has not asked for long. */
  #oldestFreeSlot(): number {
    const steps = this.#holders.map((holder) => {
      if (holder === null) return 0;
      const isFree = holder.sequence.seqId === null || this.#step - holder.step > SLOT_STEPS;
      return isFree ? holder.step : Number.POSITIVE_INFINITY;
    });
    const oldest = Math.min(...steps);
    return Number.isFinite(oldest) ? steps.indexOf(oldest) : -1;
  }
}
