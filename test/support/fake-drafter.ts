// A smaller model without a model, for tests: it guesses what the fake backend will say, as long as the test lets it, and
// insists on the order of things: shown, then asked once, and never for more rows than it takes.

import type { BatchPart } from "../../src/engine/backend.ts";
import type { Drafter, DraftPart, RowTaker } from "../../src/engine/guess/drafter.ts";
import { assert } from "../../src/lib/assert.ts";
import { seeTokens } from "./fake-memory.ts";
import { pickGreedily } from "./fake-sampler.ts";
import { END, PRESERVED } from "./fake-vocabulary.ts";

interface FakeSlot {
  held: number[];
  /** Tokens that it was shown since its last guess; null: none. */
  shown: number[] | null;
}

export class FakeDrafter implements Drafter {
  readonly name: string = "The draft model";
  readonly rows: RowTaker | null = null;
  readonly batchSize = 48;
  readonly lengthMax = 4096;
  readonly tokensMax = 8;
  /** Most rows that one call read. */
  rowsRead = 0;
  guesses = 0;
  /** What goes wrong, as the test says. */
  fault: (() => string | null) | null = null;
  /** Told of rows that it reads. */
  onRead: (rows: number) => void = () => {};
  readonly #slots: FakeSlot[];
  readonly #fails: () => boolean | null;

  constructor(slots: number, fails: () => boolean | null = () => false) {
    this.#slots = Array.from({ length: slots }, () => ({ held: [], shown: null }));
    this.#fails = fails;
  }

  get slots(): number {
    return this.#slots.length;
  }

  show(slot: number, tokens: Int32Array, rows: number): number {
    assert(rows <= this.batchSize, `${rows} rows of a drafter that takes ${this.batchSize}`);
    const state = this.#at(slot);
    const common = state.held.findIndex((token, i) => token !== tokens[i]);
    const kept = Math.min(common < 0 ? state.held.length : common, tokens.length - 1);
    const end = Math.min(tokens.length - 1, kept + rows);
    this.rowsRead = Math.max(this.rowsRead, end - kept);
    this.onRead(Math.max(0, end - kept));
    state.held = [...tokens.subarray(0, Math.max(kept, end))];
    state.shown = [...tokens];
    return tokens.length - state.held.length;
  }

  /** Told of every batch that runs. */
  noteBatch(_parts: readonly BatchPart[]): void {}

  guess(parts: readonly DraftPart[]): Int32Array[] {
    const fault = this.fault?.() ?? null;
    if (fault !== null) throw new Error(fault);
    assert(new Set(parts.map(({ slot }) => slot)).size === parts.length, "the slots of one guess are different");
    let rows = 0;
    const guesses = parts.map(({ slot, limit }) => {
      const state = this.#at(slot);
      assert(state.shown !== null && limit > 0 && limit <= this.tokensMax, "a slot is shown tokens before a guess");
      rows += state.shown.length - state.held.length;
      const guess = this.#guessOn(state.shown, limit);
      state.held = [...state.shown, ...guess.slice(0, -1)];
      state.shown = null;
      return Int32Array.from(guess);
    });
    assert(rows <= this.batchSize, `${rows} rows of a drafter that takes ${this.batchSize}`);
    this.guesses++;
    return guesses;
  }

  #guessOn(tokens: readonly number[], limit: number): number[] {
    const guess: number[] = [];
    while (guess.length < limit) {
      const fails = this.#fails();
      if (fails === null) break;
      const token = fails ? PRESERVED : pickGreedily(seeTokens([...tokens, ...guess]));
      guess.push(token);
      if (token === END) break;
    }
    return guess;
  }

  #at(slot: number): FakeSlot {
    const state = this.#slots[slot];
    assert(state !== undefined, `there is no slot ${slot}`);
    return state;
  }

  [Symbol.dispose](): void {}
}
