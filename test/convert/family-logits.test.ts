// Families with definitions of their own compute what those say: tiny random models are converted, loaded by llama.cpp,
// and their logits are compared with forward passes in plain TypeScript (support/tiny-*.ts).

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertFolder } from "../support/convert-folder.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { askLlama, DIFFERENCE_MAX, PROMPT, relativeDifference } from "../support/llama-logits.ts";
import { makePackedDeepseek, writePackedFamily } from "../support/packed-families.ts";
import { makeDeepseek } from "../support/tiny-deepseek.ts";
import { type TinyFamily, writeFamilyFolder } from "../support/tiny-families.ts";
import { DEEPSEEK2, DEEPSEEK3, GEMMA2, GEMMA3, GRANITE, PHI3, TINY_FAMILIES } from "../support/tiny-family-models.ts";
import { makeGemma } from "../support/tiny-gemma.ts";
import { makeGptOss, packGptOss } from "../support/tiny-gpt-oss.ts";
import { makeGranite } from "../support/tiny-granite.ts";
import { makePhi3 } from "../support/tiny-phi3.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-families-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Inputs of products with weights of four bits are rounded to eight. */
const FOUR_BITS_MAX = 3e-2;

/** In `config.json` or in its text part. */
function sizeOfVocabulary({ config, tensors }: TinyFamily): number {
  const embeddings = [...tensors].find(([name]) => name.endsWith("embed_tokens.weight"))?.[1];
  return embeddings?.shape[0] ?? (config.vocab_size as number);
}

async function askConverted(name: string, family: TinyFamily): Promise<Float64Array> {
  const source = join(folder, name);
  writeFamilyFolder(source, family, tinyTokenizer());
  const { path } = await convertFolder(source, "f32");
  return askLlama(path, sizeOfVocabulary(family));
}

/** A model, and one with the same weights that computes something else. */
const CONTRASTS: readonly [string, TinyFamily, TinyFamily][] = [
  ["Gemma 2's window", makeGemma(GEMMA2), makeGemma({ ...GEMMA2, window: 20 })],
  ["Gemma 2's caps", makeGemma(GEMMA2), makeGemma({ ...GEMMA2, attentionCap: null })],
  ["Gemma 3's scaling", makeGemma({ ...GEMMA3, linearFactor: 8 }), makeGemma(GEMMA3)],
  ["Phi's part", makePhi3({ ...PHI3, part: 0.5 }), makePhi3(PHI3)],
  ["Phi's factors", makePhi3({ ...PHI3, original: 32, factors: [8, 1.5] }), makePhi3({ ...PHI3, original: 32 })],
  ["Granite's residuals", makeGranite("F32", GRANITE), makeGranite("F32", { ...GRANITE, residual: 1 })],
  ["DeepSeek's YaRN", makeDeepseek({ ...DEEPSEEK2, yarn: 0.7 }), makeDeepseek(DEEPSEEK2)],
  ["DeepSeek's factor", makeDeepseek({ ...DEEPSEEK2, yarn: 0.7 }), makeDeepseek({ ...DEEPSEEK2, yarn: 1 })],
  ["DeepSeek's sums", makeDeepseek({ ...DEEPSEEK2, normalises: true }), makeDeepseek(DEEPSEEK2)],
  ["DeepSeek's groups", makeDeepseek(DEEPSEEK3), makeDeepseek({ ...DEEPSEEK3, groups: null })],
];

describe.skipIf(!HAS_NATIVE)("logits of a converted model", () => {
  beforeAll(async () => {
    await openLlama();
  });

  test.each(Object.entries(TINY_FAMILIES))("%s: as the definition says", async (name, family) => {
    const difference = relativeDifference(await askConverted(name, family), family.compute(PROMPT));
    expect(difference).toBeLessThan(DIFFERENCE_MAX);
  });

  test("DeepSeek V3 as it was published, in FP8: as the definition says", async () => {
    const packed = makePackedDeepseek();
    const source = join(folder, "packed");
    writePackedFamily(source, packed, tinyTokenizer());
    const { path, report } = await convertFolder(source, "f32");
    expect(report.architecture).toBe("deepseek2");
    const found = await askLlama(path, sizeOfVocabulary(packed.family));
    expect(relativeDifference(found, packed.family.compute(PROMPT))).toBeLessThan(DIFFERENCE_MAX);
  });

  test("gpt-oss with experts of four bits: within what llama.cpp rounds in products with them", async () => {
    const packed = packGptOss(makeGptOss({ dtype: "F32", hasYarn: true }));
    const source = join(folder, "four-bits");
    writePackedFamily(source, packed, tinyTokenizer());
    const { path } = await convertFolder(source, "f32");
    const found = await askLlama(path, sizeOfVocabulary(packed.family));
    expect(relativeDifference(found, packed.family.compute(PROMPT))).toBeLessThan(FOUR_BITS_MAX);
    const other = makeGptOss({ dtype: "F32", hasYarn: true });
    expect(relativeDifference(found, other.compute(PROMPT))).toBeGreaterThan(3 * FOUR_BITS_MAX);
  });

  test.each(CONTRASTS)("%s: the comparison notices another", async (name, family, other) => {
    const found = await askConverted(name.replaceAll(/\W/g, "-"), family);
    expect(relativeDifference(found, family.compute(PROMPT))).toBeLessThan(DIFFERENCE_MAX);
    expect(relativeDifference(found, other.compute(PROMPT))).toBeGreaterThan(3 * DIFFERENCE_MAX);
  });
});
