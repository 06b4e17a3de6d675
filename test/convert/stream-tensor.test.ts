// Tensors that are made of parts of weights: slices one after the other, and turned on their diagonal.

import { expect, test } from "bun:test";
import type { PlannedTensor, TensorSource } from "../../src/convert/model-plan.ts";
import { streamTensor } from "../../src/convert/stream-tensor.ts";
import type { Weight, WeightSource } from "../../src/convert/weights.ts";

/** 6 rows of 2 numbers: 0 to 11. */
const weight: Weight = { name: "w", dtype: "F32", shape: [6, 2] };
const numbers = new Uint8Array(Float32Array.from({ length: 12 }, (_, i) => i).buffer);
const source: WeightSource = {
  tensors: new Map([["w", weight]]),
  read: (_, offset, target) => target.set(numbers.subarray(offset, offset + target.byteLength)),
  [Symbol.dispose]: () => {},
};

function stream(from: TensorSource): number[] {
  const tensor: PlannedTensor = { name: "t", dims: [], source: from };
  // A chunk is only good until the next one is asked for.
  return [...streamTensor(source, tensor, "F32")].flatMap((chunk) => [...new Float32Array(chunk.slice().buffer)]);
}

const slice = (fromRow: number, rows: number) => ({ weight, fromRow, rows, heads: null });

test("slices, in their order", () => {
  expect(stream({ kind: "slices", slices: [slice(4, 2), slice(0, 1)] })).toEqual([8, 9, 10, 11, 0, 1]);
});

test("a map of each slice", () => {
  const map = (values: Float32Array) => values.set(values.map((value) => value + 1));
  expect(stream({ kind: "slices", slices: [slice(1, 1), slice(0, 1)], map })).toEqual([3, 4, 1, 2]);
});

test("a weight that is turned, and slices that are turned each for itself", () => {
  expect(stream({ kind: "transposed", weight })).toEqual([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]);
  expect(stream({ kind: "transposed-slices", slices: [slice(0, 3), slice(3, 3)] })).toEqual([
    0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11,
  ]);
});
