// Llama 1 to 3 and what has its form: Mistral, Yi, SmolLM, TinyLlama and many more.

import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { type DecoderKind, planDecoder, readSizes } from "./decoder.ts";

export const LLAMA_NAMES: readonly string[] = [
  "LlamaForCausalLM",
  "LLaMAForCausalLM",
  "LlamaModel",
  "MistralForCausalLM",
];

export const LLAMA: DecoderKind = {
  name: "llama",
  permutesHeads: true,
  takesRopeFactors: true,
  hasHeadNorms: false,
  biases: ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"],
  defaults: { contextLength: 2048, keyValueHeads: null, headLength: "divided" },
};

const MISTRAL: DecoderKind = {
  ...LLAMA,
  defaults: { contextLength: 131_072, keyValueHeads: 8, headLength: "unset" },
};

const ASSUMED =
  "the model's own layout does not say how long its texts may be; taken is what models of its generation have";

export function planLlama(input: PlanInput): ModelPlan {
  const kind = input.config.text("model_type") === "mistral" ? MISTRAL : LLAMA;
  // Weights of the makers' own layout are as ggml wants them.
  const permutesHeads = input.config.truth("rotates_neighbours") !== true;
  const plan = planLlamaForm({ ...kind, permutesHeads }, input);
  return input.config.truth("has_assumed_context") === true ? { ...plan, notes: [...plan.notes, ASSUMED] } : plan;
}

export function planLlamaForm(kind: DecoderKind, input: PlanInput): ModelPlan {
  const sizes = readSizes(input.config, kind);
  const plan = planDecoder(kind, sizes, input);
  plan.metadata.set("llama.vocab_size", { type: "u32", value: sizes.vocabulary });
  plan.metadata.set("llama.rope.dimension_count", { type: "u32", value: sizes.headLength });
  return plan;
}
