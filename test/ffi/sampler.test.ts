// Sampling of rows at once and on several threads, and the short way to the top-k: tokens are those of the plain way.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { NativeContext } from "../../src/ffi/context.ts";
import { NativeModel } from "../../src/ffi/model.ts";
import { NativeSampler } from "../../src/ffi/sampler.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { QWEN3_SPEC } from "../support/model-specs.ts";

const ROWS = 8;
const ROUNDS = 8;

const SETTINGS: Record<string, object> = {
  greedy: { temperature: 0 },
  "greedy with biases": {
    temperature: 0,
    logitBias: [
      [40, 100],
      [5000, -100],
      [151_000, 3],
    ],
  },
  "the default chain": { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05 },
  "all tokens": { temperature: 0.8, topK: 0, topP: 0.95, minP: 0.05 },
  penalties: { temperature: 0.8, topK: 40, repeatPenalty: 1.3, repeatLastN: 64 },
  "a grammar": { temperature: 0.8, topK: 40, grammar: "root ::= [a-z ]*" },
};

describe.skipIf(!HAS_NATIVE)("sampling", () => {
  let model: NativeModel;
  let context: NativeContext;

  beforeAll(async () => {
    const { library } = await openLlama();
    using job = NativeModel.load(library, cacheModel(QWEN3_SPEC), { gpuLayers: 0 });
    while (job.poll().kind === "running") Bun.sleepSync(1);
    model = job.take();
    context = NativeContext.make(model, {
      contextLength: 256,
      batchSize: 64,
      microBatchSize: 64,
      outputs: ROWS,
      sequences: ROWS,
      threads: 2,
      embeddings: false,
      pooling: -1,
    });
    context.decode({
      length: ROWS,
      tokens: Int32Array.from({ length: ROWS }, (_, row) => 300 + 17 * row),
      positions: new Int32Array(ROWS),
      sequences: Int32Array.from({ length: ROWS }, (_, row) => row),
      outputs: new Int8Array(ROWS).fill(1),
    });
  });

  afterAll(() => {
    context?.[Symbol.dispose]();
    model?.[Symbol.dispose]();
  });

  const rows = Array.from({ length: ROWS }, (_, row) => row);

  /** The tokens of all rounds, of all rows in one call or of one row in each. */
  function sampleRounds(settings: object, together: boolean): number[][] {
    const samplers = rows.map((row) => NativeSampler.make(model, { seed: 7 + row, ...settings }, null));
    const rounds = Array.from({ length: ROUNDS }, () => {
      if (together) return [...context.sample(rows, samplers).tokens];
      return rows.map((row) => context.sample([row], [samplers[row] as NativeSampler]).tokens[0] ?? -1);
    });
    for (const sampler of samplers) sampler[Symbol.dispose]();
    return rounds;
  }

  test.each(Object.entries(SETTINGS))("rows at once are sampled as one by one: %s", (_name, settings) => {
    const together = sampleRounds(settings, true);
    expect(together).toEqual(sampleRounds(settings, false));
    expect(together.flat().every((token) => token >= 0)).toBe(true);
  });

  test("the short way to the top-k picks as the chain does", () => {
    // A bias, even of nothing, makes the chain look at all tokens.
    const plain = { logitBias: [[5, 0]] };
    for (const settings of [
      { topK: 40, topP: 0.95, minP: 0.05, temperature: 0.8 },
      { topK: 1, temperature: 1 },
      { topK: 300, topP: 1, minP: 0, temperature: 1.5 },
      { topK: 40, temperature: 1, xtcProbability: 0.5, xtcThreshold: 0.05 },
      { topK: 40, temperature: 1, grammar: "root ::= [a-z ]*" },
    ]) {
      expect(sampleRounds(settings, true)).toEqual(sampleRounds({ ...settings, ...plain }, true));
    }
  });

  test("the largest logit is the first of the largest", () => {
    using sampler = NativeSampler.make(model, { temperature: 0 }, null);
    for (const row of rows) {
      const [best] = context.topLogits(row, 1).tokens;
      expect(context.sample([row], [sampler]).tokens[0]).toBe(best);
    }
  });

  test("a row without output fails alone, and says so whichever thread met it", () => {
    const samplers = [...rows, 0].map((row) =>
      NativeSampler.make(model, { seed: row, temperature: 0.8, grammar: "root ::= [a-z ]*" }, null),
    );
    const { tokens, error } = context.sample([...rows, 63], samplers);
    expect(tokens[ROWS]).toBe(-1);
    expect([...tokens.subarray(0, ROWS)].every((token) => token >= 0)).toBe(true);
    expect(error?.message).toContain("row 63 has no output");
    for (const sampler of samplers) sampler[Symbol.dispose]();
  });
});
