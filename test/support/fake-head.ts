// Prediction layers without a model, for tests: a fake drafter that can guess only from rows that it was given, and that
// insists on being given the right ones: of steps that it watched, each at its place in the batch.

import type { BatchPart } from "../../src/engine/backend.ts";
import type { RowTaker, StepRows } from "../../src/engine/guess/drafter.ts";
import { assert } from "../../src/lib/assert.ts";
import { FakeDrafter } from "./fake-drafter.ts";
import type { FakeOptions } from "./fake-options.ts";

export function makeFakeDrafter({ draftSlots, draftFails, draftsFromRows }: FakeOptions): FakeDrafter | null {
  if (draftSlots === undefined) return null;
  return draftsFromRows === true ? new FakeHead(draftSlots, draftFails) : new FakeDrafter(draftSlots, draftFails);
}

export class FakeHead extends FakeDrafter implements RowTaker {
  override readonly name = "The head";
  override readonly rows: RowTaker = this;
  /** Steps whose rows it could have. */
  watchedSteps = 0;
  takenRows = 0;
  /** What goes wrong while rows are taken. */
  takeFault: string | null = null;
  #isWatching = false;
  #batch: number[] | null = null;
  /** Of each slot: the tokens up to the last one whose row was taken. */
  readonly #known = new Map<number, number[]>();

  override noteBatch(parts: readonly BatchPart[]): void {
    this.#batch = this.#isWatching ? parts.flatMap(({ tokens }) => [...tokens]) : null;
    if (this.#isWatching) this.watchedSteps++;
  }

  watch(on: boolean): void {
    assert(on !== this.#isWatching, "it is told of changes only");
    this.#isWatching = on;
  }

  take(slot: number, before: Int32Array, { start, tokens, certain, row }: StepRows): void {
    if (this.takeFault !== null) throw new Error(this.takeFault);
    assert(this.#batch !== null && before.length >= start, "the step was watched");
    const ran = this.#batch.slice(row, row + tokens.length);
    assert(ran.length === tokens.length && ran.every((token, i) => token === tokens[i]), "these rows ran there");
    const own = before.subarray(start, start + certain);
    assert(certain <= tokens.length && own.every((token, i) => token === tokens[i]), "these tokens are its own");
    this.takenRows += tokens.length;
    this.#known.set(slot, [...before.subarray(0, start), ...tokens]);
  }

  override show(slot: number, tokens: Int32Array): number {
    const known = this.#known.get(slot) ?? [];
    const needed = tokens.length - 1;
    if (known.length < needed || !tokens.subarray(0, needed).every((token, i) => token === known[i])) {
      return Number.POSITIVE_INFINITY;
    }
    let left = tokens.length;
    while (left > 1) left = super.show(slot, tokens, this.batchSize);
    return super.show(slot, tokens, 0);
  }
}
