// The tiny models that the converter is tested with: every architecture, and what a model of it may have.

import { TINY, type TinyDecoder } from "./tiny-decoders.ts";

export const LLAMA3_SCALING = {
  rope_type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
};
const YARN = { type: "yarn", factor: 4, original_max_position_embeddings: 64 };

/** By names that are good as folder names. */
export const TINY_MODELS: Readonly<Record<string, TinyDecoder>> = {
  llama: TINY,
  "llama-ungrouped-heads": { ...TINY, keyValueHeads: 4, dtype: "F16" },
  "llama3-bf16-parts-tied": {
    ...TINY,
    dtype: "BF16",
    parts: 3,
    isTied: true,
    theta: 500_000,
    scaling: LLAMA3_SCALING,
  },
  "llama-biases": { ...TINY, hasQkvBias: true, hasOtherBias: true, dtype: "BF16" },
  "llama-linear": { ...TINY, scaling: { type: "linear", factor: 4 } },
  "llama-yarn": { ...TINY, theta: 1_000, scaling: YARN },
  "llama-headless": { ...TINY, architecture: "LlamaModel", isTied: true },
  "mistral-wide-heads": {
    ...TINY,
    architecture: "MistralForCausalLM",
    headLength: 32,
    dtype: "BF16",
    config: { sliding_window: 64 },
  },
  qwen2: { ...TINY, architecture: "Qwen2ForCausalLM", dtype: "BF16", parts: 2, isTied: true, hasQkvBias: true },
  "qwen2-yarn": { ...TINY, architecture: "Qwen2ForCausalLM", theta: 1_000_000, hasQkvBias: true, scaling: YARN },
  qwen3: { ...TINY, architecture: "Qwen3ForCausalLM", headLength: 32, dtype: "BF16", parts: 2 },
  "qwen3-tied": { ...TINY, architecture: "Qwen3ForCausalLM", headLength: 32, isTied: true, dtype: "F16" },
};

const EXPERTS = { count: 6, used: 2, inner: 64, sharedInner: 0 };

export const EXPERT_MODELS: Readonly<Record<string, TinyDecoder>> = {
  mixtral: { ...TINY, architecture: "MixtralForCausalLM", theta: 1_000_000, experts: EXPERTS },
  "mixtral-parts": {
    ...TINY,
    architecture: "MixtralForCausalLM",
    dtype: "BF16",
    parts: 3,
    isTied: true,
    experts: { ...EXPERTS, count: 12, used: 3 },
  },
  qwen3moe: { ...TINY, architecture: "Qwen3MoeForCausalLM", headLength: 32, experts: EXPERTS },
  "qwen3moe-parts": {
    ...TINY,
    architecture: "Qwen3MoeForCausalLM",
    dtype: "BF16",
    parts: 3,
    isTied: true,
    experts: { ...EXPERTS, count: 12, used: 4 },
  },
  "qwen3moe-yarn": { ...TINY, architecture: "Qwen3MoeForCausalLM", headLength: 32, experts: EXPERTS, scaling: YARN },
  qwen2moe: {
    ...TINY,
    architecture: "Qwen2MoeForCausalLM",
    hasQkvBias: true,
    experts: { ...EXPERTS, sharedInner: 80 },
  },
  "qwen2moe-parts": {
    ...TINY,
    architecture: "Qwen2MoeForCausalLM",
    dtype: "F16",
    parts: 2,
    hasQkvBias: true,
    experts: { ...EXPERTS, used: 3, sharedInner: 96 },
  },
};
