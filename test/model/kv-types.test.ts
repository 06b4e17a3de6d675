// Keys and values in every type that may be asked for: the model goes on as with f16, as far as the type is fine enough,
// their cells take what the type takes, and a type that does not fit is refused in words.

import { describe, expect, test } from "bun:test";
import type { LlamaBackend } from "../../src/engine/llama/llama-backend.ts";
import { KV_TYPES, type KvType } from "../../src/protocol/memory-need.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { PROMPT } from "../support/llama-logits.ts";
import { BERT_CLS_SPEC, LFM2_SPEC, LLAMA_SPEC, type ModelSpec } from "../support/model-specs.ts";

const SPEC: ModelSpec = { ...LLAMA_SPEC, tokenizer: "llama-spm" };
const CANDIDATES = 1000;

/** Largest deviation of a logit from f16's, against their spread; what has nothing to do with them comes to 1. */
const DEVIATION: Record<KvType, number> = {
  f32: 0.01,
  f16: 0,
  bf16: 0.02,
  q8_0: 0.05,
  q5_1: 0.3,
  q5_0: 0.3,
  q4_1: 0.5,
  q4_0: 0.5,
  iq4_nl: 0.5,
};

async function load(spec: ModelSpec, kvType: KvType): Promise<LlamaBackend> {
  return loadModelFile(cacheModel(spec), { kvType });
}

async function logitsWith(kvType: KvType): Promise<Map<number, number>> {
  using backend = await load(SPEC, kvType);
  const half = PROMPT.length / 2;
  backend.decode([{ seqId: 0, tokens: Int32Array.from(PROMPT.slice(0, half)), start: 0, output: false }]);
  backend.decode([{ seqId: 0, tokens: Int32Array.from(PROMPT.slice(half)), start: half, output: true }]);
  const { tokens, logits } = backend.topLogits(CANDIDATES);
  return new Map(Array.from(tokens, (token, i) => [token, logits[i] ?? Number.NaN]));
}

describe.skipIf(!HAS_NATIVE)("a type of keys and values", () => {
  test.each([...KV_TYPES])("%s computes as f16 does, within its fineness", async (kvType) => {
    const expected = await logitsWith("f16");
    const found = await logitsWith(kvType);
    const shared = [...expected].filter(([token]) => found.has(token));
    expect(shared.length).toBeGreaterThan(CANDIDATES / 2);
    const values = [...expected.values()];
    const spread = Math.max(...values) - Math.min(...values);
    const deviation = Math.max(...shared.map(([token, logit]) => Math.abs((found.get(token) ?? 0) - logit)));
    expect(deviation / spread).toBeLessThanOrEqual(DEVIATION[kvType]);
  });

  test("shapes the bytes of states, and is refused where heads are no whole blocks", async () => {
    using f16 = await load(SPEC, "f16");
    using q8 = await load(SPEC, "q8_0");
    expect(q8.stateLayout).not.toBe(f16.stateLayout);
    await expect(load(LFM2_SPEC, "q8_0")).rejects.toThrow(/heads are 16 numbers long, and q8_0 has blocks of 32/);
  });

  test("means nothing for an encoder, which keeps none", async () => {
    using backend = await load(BERT_CLS_SPEC, "q4_0");
    expect(backend.info.canGenerate).toBe(false);
  });

  test("a draft model keeps its own in it too, or the load is refused", async () => {
    const draft = { modelPath: cacheModel({ ...SPEC, headSize: 16 }), tokensMax: 4 };
    await expect(loadModelFile(cacheModel(SPEC), { kvType: "q4_0", draft })).rejects.toThrow(/heads are 16 numbers/);
  });
});
