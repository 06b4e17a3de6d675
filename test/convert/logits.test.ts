// Converted models compute what their definition says: a tiny random model of each architecture is converted, loaded by
// llama.cpp, and its logits are compared with a forward pass written in plain TypeScript (support/reference-decoder.ts).

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OutType, PlainType } from "../../src/convert/out-types.ts";
import { convertFolder } from "../support/convert-folder.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { askLlama, DIFFERENCE_MAX, PROMPT, relativeDifference } from "../support/llama-logits.ts";
import { computeLogits } from "../support/reference-decoder.ts";
import { makeTensors, TINY, type TinyDecoder, writeTinyFolder } from "../support/tiny-decoders.ts";
import { EXPERT_MODELS, LLAMA3_SCALING, TINY_MODELS } from "../support/tiny-models.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-convert-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Weights and, in the products with them, activations are rounded. */
const ROUNDED_MAX: Record<Exclude<PlainType, "f32">, number> = { f16: 2e-3, bf16: 2e-2, q8_0: 3e-2 };

async function convert(model: TinyDecoder, outType: OutType): Promise<string> {
  const source = join(folder, Bun.hash(JSON.stringify(model)).toString(36));
  writeTinyFolder(source, model, tinyTokenizer());
  const { path } = await convertFolder(source, outType);
  return path;
}

describe.skipIf(!HAS_NATIVE)("logits of a converted model", () => {
  beforeAll(async () => {
    await openLlama();
  });

  test.each(Object.entries({ ...TINY_MODELS, ...EXPERT_MODELS }))("%s: as the definition says", async (_, model) => {
    const path = await convert(model, "f32");
    const expected = computeLogits(model, makeTensors(model), PROMPT);
    expect(relativeDifference(await askLlama(path, model.vocabulary), expected)).toBeLessThan(DIFFERENCE_MAX);
  });

  test.each(Object.entries(ROUNDED_MAX))("as %s: within its rounding", async (outType, limit) => {
    for (const architecture of ["LlamaForCausalLM", "Qwen3ForCausalLM"] as const) {
      const model: TinyDecoder = { ...TINY, architecture, headLength: 32 };
      const path = await convert(model, outType as OutType);
      const expected = computeLogits(model, makeTensors(model), PROMPT);
      expect(relativeDifference(await askLlama(path, model.vocabulary), expected)).toBeLessThan(limit);
    }
  });

  test("the comparison notices another scaling, another epsilon and heads in another order", async () => {
    const model = { ...TINY, contextLength: 250 };
    const found = await askLlama(await convert(model, "f32"), model.vocabulary);
    const tensors = makeTensors(model);
    const difference = (of: TinyDecoder) => relativeDifference(found, computeLogits(of, tensors, PROMPT));
    expect(difference(model)).toBeLessThan(DIFFERENCE_MAX);
    expect(difference({ ...model, scaling: LLAMA3_SCALING })).toBeGreaterThan(10 * DIFFERENCE_MAX);
    expect(difference({ ...model, epsilon: 1e-2 })).toBeGreaterThan(DIFFERENCE_MAX);
    const rows = tensors.get("model.layers.0.self_attn.q_proj.weight");
    rows?.values.copyWithin(0, 8 * model.width, 16 * model.width);
    expect(difference(model)).toBeGreaterThan(10 * DIFFERENCE_MAX);
  });
});
