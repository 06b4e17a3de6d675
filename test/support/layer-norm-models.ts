// The tiny models with layer norms that the converter is tested with, by names that are good as folder names.

import type { TinyFamily } from "./tiny-families.ts";
import { makeNeox } from "./tiny-gpt-neox.ts";
import { makeGpt2 } from "./tiny-gpt2.ts";
import { makeStarcoder2 } from "./tiny-starcoder2.ts";

const GPT2 = { dtype: "F32", parts: 1, inner: null, prefix: "transformer.", isTied: true } as const;
const STARCODER2 = { dtype: "F32", parts: 1, keyValueHeads: 2, isTied: true, theta: 100_000, factor: 1 } as const;
const NEOX = {
  dtype: "F32",
  parts: 1,
  rotated: 0.25,
  theta: 10_000,
  isParallel: true,
  isTied: false,
  linearFactor: 1,
} as const;

export const LAYER_NORM_MODELS: Readonly<Record<string, TinyFamily>> = {
  gpt2: makeGpt2(GPT2),
  "gpt2-bf16-parts": makeGpt2({ ...GPT2, dtype: "BF16", parts: 2, prefix: "", isTied: false }),
  "gpt2-f16": makeGpt2({ ...GPT2, dtype: "F16" }),
  starcoder2: makeStarcoder2(STARCODER2),
  "starcoder2-bf16-parts": makeStarcoder2({ ...STARCODER2, dtype: "BF16", parts: 2, isTied: false }),
  "starcoder2-yarn": makeStarcoder2({ ...STARCODER2, theta: 1_000, factor: 4 }),
  gptneox: makeNeox(NEOX),
  "gptneox-bf16-parts": makeNeox({ ...NEOX, dtype: "BF16", parts: 2, rotated: 1, isParallel: false }),
};

/** What llama.cpp's converter does not take, or takes for something else. */
export const LAYER_NORM_MODELS_BEYOND: Readonly<Record<string, TinyFamily>> = {
  "gpt2-narrow": makeGpt2({ ...GPT2, inner: 96 }),
  "gptneox-tied": makeNeox({ ...NEOX, isTied: true }),
  "gptneox-theta": makeNeox({ ...NEOX, theta: 100 }),
  "gptneox-linear": makeNeox({ ...NEOX, linearFactor: 4, rotated: 0.5 }),
};
