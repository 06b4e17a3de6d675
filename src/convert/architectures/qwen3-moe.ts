// Qwen 3 with experts: the dense form's attention, and in every layer experts in place of the feed-forward part, of which
// each token's weights are made to sum up to one.

import type { ModelPlan, PlanInput } from "../model-plan.ts";
import type { DecoderKind } from "./decoder.ts";
import { planQwenExperts } from "./qwen-experts.ts";
import { QWEN2 } from "./qwen2.ts";

export const QWEN3_MOE_NAMES: readonly string[] = ["Qwen3MoeForCausalLM"];

const QWEN3_MOE: DecoderKind = {
  ...QWEN2,
  name: "qwen3moe",
  hasHeadNorms: true,
  biases: [],
  defaults: { contextLength: 32_768, keyValueHeads: 4, headLength: "unset" },
};

export function planQwen3Moe(input: PlanInput): ModelPlan {
  return planQwenExperts(QWEN3_MOE, input, {
    counts: { count: "num_experts", standard: { count: 128, used: 8 } },
    inner: 768,
    sharedInner: null,
    sumsToOne: true,
  });
}
