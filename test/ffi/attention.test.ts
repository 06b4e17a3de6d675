// The fused attention of our patch (vendor/patches/0006) against the same attention as separate operations of ggml:
// tiles of every size, several sequences in one batch, windows, and both ways to share the work among threads.

import { describe, expect, test } from "bun:test";
import { NativeContext } from "../../src/ffi/context.ts";
import { NativeModel } from "../../src/ffi/model.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { GEMMA_SPEC, LLAMA_SPEC, type ModelSpec } from "../support/model-specs.ts";

const BATCH = 128;
const COMPARED = 8;
/** Keys and values are F16 in both; sums differ in their order, and one of them rounds the weights to F16. */
const LOGIT_DIFFERENCE_MAX = 0.02;

/** Rows of each sequence in each batch, from nothing on. */
const SCHEDULES: Readonly<Record<string, number[][]>> = {
  "one row at a time": Array.from({ length: 40 }, () => [1]),
  "chunks that are no multiple of anything": [[5], [33], [64], [65], [1], [7], [127], [3]],
  "past the first 512 cells": [[128], [128], [128], [128], [128], [1], [1], [17]],
  "rows of several sequences": [
    [30, 40, 50],
    [1, 1, 1],
    [1, 64, 1],
    [1, 1, 17],
    [33, 33, 33],
    [1, 1, 1],
  ],
};

/** The best logits of each sequence's last row in each batch. */
function run(
  model: NativeModel,
  schedule: number[][],
  threads: number,
  flashAttention: boolean,
): Map<number, number>[] {
  using context = NativeContext.make(model, {
    contextLength: 2048,
    batchSize: BATCH,
    microBatchSize: BATCH,
    outputs: 4,
    sequences: 3,
    threads,
    embeddings: false,
    pooling: -1,
    flashAttention,
  });
  const lengths = [0, 0, 0];
  return schedule.flatMap((counts) => {
    const rows = counts.flatMap((count, sequence) => Array.from({ length: count }, (_, i) => ({ sequence, i, count })));
    context.decode({
      length: rows.length,
      tokens: Int32Array.from(
        rows,
        ({ sequence, i }) => 500 + ((sequence * 977 + ((lengths[sequence] ?? 0) + i) * 31) % 3000),
      ),
      positions: Int32Array.from(rows, ({ sequence, i }) => (lengths[sequence] ?? 0) + i),
      sequences: Int32Array.from(rows, ({ sequence }) => sequence),
      outputs: Int8Array.from(rows, ({ i, count }) => Number(i === count - 1)),
    });
    counts.forEach((count, sequence) => {
      lengths[sequence] = (lengths[sequence] ?? 0) + count;
    });
    const last = rows.flatMap(({ i, count }, row) => (i === count - 1 ? [row] : []));
    return last.map((row) => {
      const { tokens, logits } = context.topLogits(row, COMPARED);
      return new Map(Array.from(tokens, (token, i) => [token, logits[i] ?? Number.NaN]));
    });
  });
}

/** Of tokens that are among the best of both; every row has some. */
function largestDifference(fused: Map<number, number>[], separate: Map<number, number>[]): number {
  expect(fused).toHaveLength(separate.length);
  const differences = fused.flatMap((row, i) => {
    const common = [...row].filter(([token]) => separate[i]?.has(token));
    expect(common.length).toBeGreaterThan(COMPARED / 2);
    return common.map(([token, logit]) => Math.abs(logit - (separate[i]?.get(token) ?? Number.NaN)));
  });
  return Math.max(...differences);
}

const MODELS: [string, ModelSpec][] = [
  ["heads that share keys", LLAMA_SPEC],
  ["a sliding window", GEMMA_SPEC],
];

describe.skipIf(!HAS_NATIVE).each(MODELS)("fused attention with %s", (_, spec) => {
  describe.each([1, 2])("on %i threads", (threads) => {
    test.each(Object.entries(SCHEDULES))("equals separate operations: %s", async (_, schedule) => {
      const { library } = await openLlama();
      using job = NativeModel.load(library, cacheModel(spec), { gpuLayers: 0 });
      while (job.poll().kind === "running") Bun.sleepSync(1);
      using model = job.take();
      const separate = run(model, schedule, threads, false);
      const difference = largestDifference(run(model, schedule, threads, true), separate);
      expect(difference).toBeLessThan(LOGIT_DIFFERENCE_MAX);
    });
  });
});
