// Models that people run, by what their config.json says: for plans, which need no file of them.

import type { ModelShape } from "../../src/models/memory/model-shape.ts";
import { readConfigShape } from "../../src/models/memory/shape-from-config.ts";
import type { PlanSubject } from "../../src/router/placement/plan.ts";
import { describeSubject } from "../../src/router/placement/subject.ts";

const LLAMA_70B = {
  architectures: ["LlamaForCausalLM"],
  hidden_size: 8192,
  num_hidden_layers: 80,
  num_attention_heads: 64,
  num_key_value_heads: 8,
  intermediate_size: 28_672,
  vocab_size: 128_256,
  max_position_embeddings: 131_072,
};

export const CONFIGS = {
  "llama-70b": LLAMA_70B,
  "llama-1b": {
    ...LLAMA_70B,
    hidden_size: 2048,
    num_hidden_layers: 16,
    num_attention_heads: 32,
    intermediate_size: 8192,
    tie_word_embeddings: true,
  },
  "qwen3-30b-a3b": {
    architectures: ["Qwen3MoeForCausalLM"],
    hidden_size: 2048,
    num_hidden_layers: 48,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    head_dim: 128,
    intermediate_size: 6144,
    moe_intermediate_size: 768,
    num_experts: 128,
    num_experts_per_tok: 8,
    vocab_size: 151_936,
    max_position_embeddings: 40_960,
  },
  "gemma3-4b": {
    architectures: ["Gemma3ForCausalLM"],
    hidden_size: 2560,
    num_hidden_layers: 34,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    intermediate_size: 10_240,
    sliding_window: 1024,
    vocab_size: 262_144,
    max_position_embeddings: 131_072,
  },
} as const;
export type ConfigName = keyof typeof CONFIGS;
export const CONFIG_NAMES = Object.keys(CONFIGS) as ConfigName[];

export function describeConfig(name: ConfigName, outType = "q4_k_m"): ModelShape {
  const shape = readConfigShape(CONFIGS[name], outType);
  if (shape === null) throw new Error(`${name} has no shape`);
  return shape;
}

/** `draft`: of the model that guesses for it. */
export function makeConfigSubject(name: ConfigName, draft: ConfigName | null = null): PlanSubject {
  const shape = describeConfig(name);
  return describeSubject({
    id: name,
    shape,
    fileBytes: shape.tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    repacking: [],
    draft: draft === null ? null : describeConfig(draft),
    withHead: false,
    besideBytes: 0,
    savesStates: false,
    others: [],
  });
}
