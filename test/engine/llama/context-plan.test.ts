// Settings and facts to contexts: limits are kept in order, and what a model is for decides what is made.

import { describe, expect, test } from "bun:test";
import { planContexts } from "../../../src/engine/llama/context-plan.ts";
import type { ModelFacts } from "../../../src/ffi/model.ts";
import type { EngineSettings } from "../../../src/protocol/messages.ts";

const SETTINGS: EngineSettings = {
  modelPath: "m.gguf",
  plugins: [],
  contextLength: 0,
  parallel: 4,
  batchSize: 2048,
  microBatchSize: 512,
  threads: 0,
  gpuLayers: -1,
  itlMsMax: 0,
  speculates: false,
  draft: null,
  retainedMax: 8,
  kvStore: null,
  adapters: [],
};

const FACTS: ModelFacts = {
  architecture: "llama",
  description: "",
  parameterCount: 1,
  sizeBytes: 2 ** 30,
  vocabularySize: 1000,
  embeddingLength: 64,
  trainedContextLength: 32_768,
  slidingWindow: 0,
  pooling: -1,
  hasRankHead: false,
  causal: true,
  hasDecoder: true,
  hasEncoder: false,
  layers: 24,
  keyLengths: [64],
  valueLengths: [64],
  canFuseAttention: true,
  isRecurrent: false,
  hasChatTemplate: true,
  argumentFormat: "json",
  devices: [],
  headLayers: 0,
  headIsLoaded: false,
  headProblem: "",
};

const planWith = (settings: Partial<EngineSettings> = {}, facts: Partial<ModelFacts> = {}) =>
  planContexts({ ...SETTINGS, ...settings }, { ...FACTS, ...facts }, 8);

test("places cost nothing, but a recurrent model's cost a state each", () => {
  expect(planWith({ parallel: 0 })).toMatchObject({ parallel: 64, retainedMax: 8 });
  expect(planWith({ parallel: 0 }, { isRecurrent: true })).toMatchObject({ parallel: 4, retainedMax: 4 });
  expect(planWith({ parallel: 0 }).main).toMatchObject({ outputs: 64, sequences: 73 });
});

describe("a model that generates", () => {
  test("gets the automatic context, or the one that was asked for", () => {
    expect(planWith().main).toMatchObject({
      contextLength: 16_384,
      embeddings: false,
      pooling: -1,
      outputs: 32,
      sequences: 13,
    });
    expect(planWith({}, { trainedContextLength: 4096 }).main.contextLength).toBe(4096);
    expect(planWith({ contextLength: 100_000 }).main.contextLength).toBe(100_000);
  });

  test("batches are not larger than the context, micro batches not larger than batches", () => {
    expect(planWith().main).toMatchObject({ batchSize: 2048, microBatchSize: 512 });
    expect(planWith({ contextLength: 300 }).main).toMatchObject({ batchSize: 300, microBatchSize: 300 });
    expect(planWith({ batchSize: 64 }).main).toMatchObject({ batchSize: 64, microBatchSize: 64 });
  });

  test("embeds the last token in a context of its own", () => {
    const plan = planWith();
    expect(plan).toMatchObject({ canGenerate: true, pooling: "last", embeddingLimit: 2048 });
    expect(plan.embedding).toMatchObject({ embeddings: true, pooling: 3, contextLength: 2048, microBatchSize: 512 });
    expect(planWith({ pooling: "mean" }).embedding).toMatchObject({ microBatchSize: 2048, sequences: 16 });
    // They would run one after the other.
    expect(planWith({}, { isRecurrent: true }).embedding.sequences).toBe(1);
    expect(planWith({ microBatchSize: 8192 }).embeddingLimit).toBe(8192);
    expect(planWith({}, { trainedContextLength: 320 }).embeddingLimit).toBe(320);
  });
});

describe("a model that embeds", () => {
  test.each([
    [{ causal: false }, "mean"],
    [{ causal: false, pooling: 2 }, "cls"],
    [{ pooling: 3 }, "last"],
    [{ pooling: 4, hasRankHead: true }, "rank"],
    [{ hasDecoder: false }, "last"],
  ] as [Partial<ModelFacts>, string][])("%j has one context and pools by %s", (facts, pooling) => {
    const plan = planWith({}, facts);
    expect(plan.main).toEqual(plan.embedding);
    expect(plan.main).toMatchObject({ embeddings: true });
    expect(plan).toMatchObject({ canGenerate: false, pooling });
  });
});

describe("threads", () => {
  test("all cores, one for a tiny model, or what was asked for", () => {
    expect(planWith().main.threads).toBe(8);
    expect(planWith({}, { sizeBytes: 1_000_000 }).main.threads).toBe(1);
    expect(planWith({ threads: 3 }, { sizeBytes: 1_000_000 }).main.threads).toBe(3);
  });
});

describe("pooling", () => {
  const encoder = { causal: false, hasDecoder: false, pooling: 2 } as const;

  test("is the model's own, unless another one is asked for", () => {
    expect(planWith({}, encoder)).toMatchObject({ pooling: "cls", canGenerate: false });
    expect(planWith({ pooling: "mean" }, encoder)).toMatchObject({ pooling: "mean", embedding: { pooling: 1 } });
    expect(planWith({ pooling: "none" }, encoder)).toMatchObject({ pooling: "none", embedding: { pooling: 0 } });
  });

  test("of a chat model's embeddings can be chosen, and it still chats", () => {
    const planned = planWith({ pooling: "mean" });
    expect(planned).toMatchObject({ pooling: "mean", canGenerate: true, main: { pooling: -1, embeddings: false } });
  });

  test("rank is not for chat models, which load as without it, unless they have the head", () => {
    expect(planWith({ pooling: "rank" })).toEqual(planWith());
    const headed = planWith({ pooling: "rank" }, { hasRankHead: true });
    expect(headed).toMatchObject({ pooling: "rank", canGenerate: true, main: { pooling: -1 } });
  });

  test("rank needs a head", () => {
    const ranker = { ...encoder, pooling: 4, hasRankHead: true };
    expect(planWith({}, ranker)).toMatchObject({ pooling: "rank", canGenerate: false });
    expect(() => planWith({}, { ...ranker, hasRankHead: false })).toThrow("although its pooling is rank");
    expect(() => planWith({ pooling: "rank" }, encoder)).toThrow("has no head to rank with");
    expect(planWith({ pooling: "cls" }, { ...ranker, hasRankHead: false })).toMatchObject({ pooling: "cls" });
  });
});

test("as many inputs of an embedding at once as its rows can be divided by", () => {
  const inputs = (rows: number) => planWith({}, { causal: false, trainedContextLength: rows }).embedding.sequences;
  expect([512, 62, 510, 61].map(inputs)).toEqual([16, 2, 15, 1]);
  expect(planWith({}, { causal: false, trainedContextLength: 62 })).toMatchObject({ parallel: 2, embeddingLimit: 62 });
});

test("keys and values in F32 are not rounded by fused attention, an encoder's neither", () => {
  const exact = planContexts({ ...SETTINGS, kvType: "f32" }, FACTS, 4);
  expect(exact.main).toMatchObject({ kvType: "f32", flashAttention: false });
  expect(planContexts({ ...SETTINGS, kvType: "bf16" }, FACTS, 4).main.flashAttention).toBeUndefined();
  const encoder = { ...FACTS, causal: false, hasDecoder: false, hasEncoder: true };
  expect(planContexts({ ...SETTINGS, kvType: "f32" }, encoder, 4).main).toMatchObject({ flashAttention: false });
  expect(planContexts({ ...SETTINGS, kvType: "q8_0" }, encoder, 4).main.kvType).toBe("f16");
});
