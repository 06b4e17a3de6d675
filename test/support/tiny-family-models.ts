// The tiny models of families with definitions of their own that the converter is tested with.

import { type DeepseekChoices, makeDeepseek } from "./tiny-deepseek.ts";
import type { TinyFamily } from "./tiny-families.ts";
import { type GemmaChoices, makeGemma } from "./tiny-gemma.ts";
import { makeGptOss } from "./tiny-gpt-oss.ts";
import { makeGranite } from "./tiny-granite.ts";
import { makeOlmo2 } from "./tiny-olmo2.ts";
import { makePhi3, type PhiChoices } from "./tiny-phi3.ts";

export const GEMMA2: GemmaChoices = {
  generation: 2,
  dtype: "F32",
  parts: 1,
  layers: 3,
  heads: 4,
  keyValueHeads: 2,
  headLength: 32,
  prefix: "model.",
  seesImages: false,
  window: 16,
  linearFactor: 1,
  attentionCap: 5,
  finalCap: 3,
};
/** More layers than the period of windows. */
export const GEMMA3: GemmaChoices = { ...GEMMA2, generation: 3, layers: 7, attentionCap: null, finalCap: null };

export const GRANITE = { attention: 0.1, embedding: 1.5, residual: 0.6, logits: 4 };

export const PHI3: PhiChoices = {
  dtype: "F32",
  parts: 1,
  keyValueHeads: 4,
  part: 1,
  contextLength: 256,
  original: 256,
  window: null,
  isTied: false,
  factors: null,
};

export const DEEPSEEK2: DeepseekChoices = {
  generation: 2,
  dtype: "F32",
  parts: 1,
  layers: 3,
  denseLayers: 1,
  queryRank: 24,
  groups: null,
  normalises: false,
  yarn: null,
  nextLayers: 0,
};

export const DEEPSEEK3: DeepseekChoices = {
  ...DEEPSEEK2,
  generation: 3,
  groups: [4, 2],
  normalises: true,
  yarn: 1,
  nextLayers: 1,
};
/** llama.cpp tells these models by their depth. */
const LITE = { layers: 27, denseLayers: 25, queryRank: null };

/** By names that are good as folder names; of one with "phi3" llama.cpp expects the tokens of the published Phi 3. */
export const TINY_FAMILIES: Readonly<Record<string, TinyFamily>> = {
  gemma2: makeGemma(GEMMA2),
  "gemma2-bf16-parts": makeGemma({ ...GEMMA2, dtype: "BF16", parts: 2, keyValueHeads: 1, headLength: 16 }),
  gemma3: makeGemma(GEMMA3),
  "gemma3-linear-bf16": makeGemma({ ...GEMMA3, dtype: "BF16", linearFactor: 8, finalCap: 3 }),
  "gemma3-with-images": makeGemma({ ...GEMMA3, dtype: "BF16", seesImages: true, prefix: "model.language_model." }),
  phi: makePhi3({ ...PHI3, window: 128 }),
  "phi-pieces": makePhi3({ ...PHI3, dtype: "BF16" }),
  "phi-long": makePhi3({ ...PHI3, contextLength: 512, original: 32, factors: [8, 1.5] }),
  "phi-short-part-tied": makePhi3({
    ...PHI3,
    dtype: "BF16",
    parts: 2,
    keyValueHeads: 2,
    part: 0.75,
    contextLength: 1_024,
    factors: [8, 1.5],
    isTied: true,
  }),
  olmo2: makeOlmo2("F32", 4),
  "olmo2-grouped-bf16": makeOlmo2("BF16", 2),
  olmo3: makeOlmo2("F32", 2, { windows: [true, true, true, false, true], hasYarn: false, statesLayers: false }),
  "olmo3-yarn-bf16": makeOlmo2("BF16", 4, { windows: [true, false, true], hasYarn: true, statesLayers: true }),
  granite: makeGranite("F32", GRANITE),
  "granite-bf16": makeGranite("BF16", { attention: 0.25, embedding: 1, residual: 1, logits: 1 }),
  "granite-experts": makeGranite("F32", GRANITE, { sharedInner: null }),
  "granite-experts-shared": makeGranite("BF16", GRANITE, { sharedInner: 32 }),
  deepseek2: makeDeepseek(DEEPSEEK2),
  "deepseek2-lite-yarn": makeDeepseek({ ...DEEPSEEK2, ...LITE, dtype: "BF16", yarn: 0.7 }),
  deepseek3: makeDeepseek(DEEPSEEK3),
  "gpt-oss": makeGptOss({ dtype: "F32", hasYarn: false }),
  "gpt-oss-yarn-bf16": makeGptOss({ dtype: "BF16", hasYarn: true }),
};
