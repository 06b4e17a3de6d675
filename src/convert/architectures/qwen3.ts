// Qwen 3 (dense): Qwen 2's form without biases and with norms on the heads of Q and K.

import type { ModelPlan, PlanInput } from "../model-plan.ts";
import type { DecoderKind } from "./decoder.ts";
import { planQwen, QWEN2 } from "./qwen2.ts";
import { isReranker, planReranker } from "./qwen3-reranker.ts";

export const QWEN3_NAMES: readonly string[] = ["Qwen3ForCausalLM", "Qwen3Model"];

const QWEN3: DecoderKind = {
  ...QWEN2,
  name: "qwen3",
  hasHeadNorms: true,
  defaults: { contextLength: 32_768, keyValueHeads: 32, headLength: 128 },
};

export function planQwen3(input: PlanInput): ModelPlan {
  return isReranker(input) ? planReranker(QWEN3, input) : planQwen(QWEN3, input);
}
