// Granite: Llama's form with four multipliers: of the embeddings, of the scores, of what each part of a layer adds, and a
// divisor of the logits.

import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { requireNumber } from "./checks.ts";
import { type DecoderKind, planDecoder, readSizes } from "./decoder.ts";

export const GRANITE_NAMES: readonly string[] = ["GraniteForCausalLM"];

export const GRANITE: DecoderKind = {
  name: "granite",
  permutesHeads: true,
  takesRopeFactors: true,
  hasHeadNorms: false,
  biases: ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"],
  defaults: { contextLength: 2_048, keyValueHeads: null, headLength: "unset" },
};

const MULTIPLIERS: readonly [field: string, key: string][] = [
  ["attention_multiplier", "attention.scale"],
  ["embedding_multiplier", "embedding_scale"],
  ["residual_multiplier", "residual_scale"],
  ["logits_scaling", "logit_scale"],
];

export function planGranite(input: PlanInput): ModelPlan {
  return planGraniteForm(GRANITE, input);
}

export function planGraniteForm(kind: DecoderKind, input: PlanInput): ModelPlan {
  // transformers divides the width by the heads, whatever stands there.
  const config = input.config.with({ head_dim: null });
  const sizes = readSizes(config, kind);
  const plan = planDecoder(kind, sizes, { ...input, config });
  const set = (key: string, type: "u32" | "f32", value: number) =>
    plan.metadata.set(`${kind.name}.${key}`, { type, value });
  set("vocab_size", "u32", sizes.vocabulary);
  set("rope.dimension_count", "u32", sizes.headLength);
  for (const [field, key] of MULTIPLIERS) set(key, "f32", requireNumber(config, field, 1));
  return plan;
}
