// Qwen 1.5 and 2 with experts: the dense form's attention, experts whose weights are taken as they come, and beside them
// one that every token goes to.

import type { ModelPlan, PlanInput } from "../model-plan.ts";
import type { DecoderKind } from "./decoder.ts";
import { planQwenExperts } from "./qwen-experts.ts";
import { QWEN2 } from "./qwen2.ts";

export const QWEN2_MOE_NAMES: readonly string[] = ["Qwen2MoeForCausalLM"];

const QWEN2_MOE: DecoderKind = {
  ...QWEN2,
  name: "qwen2moe",
  defaults: { contextLength: 32_768, keyValueHeads: 16, headLength: "unset" },
};

export function planQwen2Moe(input: PlanInput): ModelPlan {
  return planQwenExperts(QWEN2_MOE, input, {
    counts: { count: "num_experts", standard: { count: 60, used: 4 } },
    inner: 1_408,
    sharedInner: 5_632,
    sumsToOne: false,
  });
}
