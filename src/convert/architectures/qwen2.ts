// Qwen 1.5, 2 and 2.5: Llama's form with biases on Q, K and V. Embedding models of the family name their pooling.

import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { readPooling } from "../pooling.ts";
import { type DecoderKind, planDecoder, readSizes } from "./decoder.ts";

export const QWEN2_NAMES: readonly string[] = ["Qwen2ForCausalLM", "Qwen2Model"];

export const QWEN2: DecoderKind = {
  name: "qwen2",
  permutesHeads: false,
  takesRopeFactors: false,
  hasHeadNorms: false,
  biases: ["attn_q", "attn_k", "attn_v"],
  defaults: { contextLength: 32_768, keyValueHeads: 32, headLength: "unset" },
};

export function planQwen2(input: PlanInput): ModelPlan {
  return planQwen(QWEN2, input);
}

export function planQwen(kind: DecoderKind, input: PlanInput): ModelPlan {
  const plan = planDecoder(kind, readSizes(input.config, kind), input);
  const pooling = readPooling(input.folder);
  if (pooling !== null) plan.metadata.set(`${kind.name}.pooling_type`, { type: "u32", value: pooling });
  return plan;
}
