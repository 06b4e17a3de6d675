// The batch's columns: rows of each part in order, outputs where they were asked for, nothing left of the last fill.

import { expect, test } from "bun:test";
import { Batch } from "../../../src/engine/llama/batch.ts";
import { AssertionFailed } from "../../../src/lib/assert.ts";

const part = (seqId: number, tokens: number[], start: number, output: boolean) => ({
  seqId,
  tokens: Int32Array.from(tokens),
  start,
  output,
});

function rows(batch: Batch) {
  const { length, tokens, positions, sequences, outputs } = batch.columns;
  return Array.from({ length }, (_, i) => [tokens[i], positions[i], sequences[i], outputs[i]]);
}

test("parts lie one after the other, with output in the last row of those that want it", () => {
  const batch = new Batch(8);
  batch.fill([part(2, [10, 11, 12], 5, true), part(0, [20], 9, false), part(1, [30, 31], 0, true)]);
  expect(rows(batch)).toEqual([
    [10, 5, 2, 0],
    [11, 6, 2, 0],
    [12, 7, 2, 1],
    [20, 9, 0, 0],
    [30, 0, 1, 0],
    [31, 1, 1, 1],
  ]);
  expect(batch.rows).toEqual([2, 5]);
});

test("a second fill leaves nothing of the first", () => {
  const batch = new Batch(4);
  batch.fill([part(3, [1, 2, 3, 4], 0, true)]);
  batch.fill([part(0, [7, 8, 9, 10], 2, false)]);
  expect(rows(batch)).toEqual([
    [7, 2, 0, 0],
    [8, 3, 0, 0],
    [9, 4, 0, 0],
    [10, 5, 0, 0],
  ]);
  expect(batch.rows).toEqual([]);
  batch.fill([part(1, [5], 0, true)]);
  expect(batch.columns.length).toBe(1);
});

test("for pooling every row has output, and inputs are sequences 0, 1, …", () => {
  const batch = new Batch(4);
  batch.fillForPooling([Int32Array.of(1, 2), Int32Array.of(3)]);
  expect(rows(batch)).toEqual([
    [1, 0, 0, 1],
    [2, 1, 0, 1],
    [3, 0, 1, 1],
  ]);
});

test("what does not fit, or is empty, is a bug", () => {
  expect(() => new Batch(2).fill([part(0, [1, 2, 3], 0, true)])).toThrow(AssertionFailed);
  expect(() => new Batch(2).fill([part(0, [], 0, true)])).toThrow(AssertionFailed);
});
