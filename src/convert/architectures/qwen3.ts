// Qwen 3 (dense): Qwen 2's form without biases and with norms on the heads of Q and K. Its rerankers are another kind of
// model, made of two rows of the output head; they are refused.

import { basename } from "node:path";
import { AppError } from "../../protocol/errors.ts";
import { readTextFile } from "../json-file.ts";
import type { ModelPlan, PlanInput } from "../model-plan.ts";
import type { DecoderKind } from "./decoder.ts";
import { planQwen, QWEN2 } from "./qwen2.ts";

export const QWEN3_NAMES: readonly string[] = ["Qwen3ForCausalLM", "Qwen3Model"];

const QWEN3: DecoderKind = {
  ...QWEN2,
  name: "qwen3",
  hasHeadNorms: true,
  defaults: { contextLength: 32_768, keyValueHeads: 32, headLength: 128 },
};

export function planQwen3(input: PlanInput): ModelPlan {
  if (isReranker(input)) {
    throw new AppError({
      code: "format_unsupported",
      message: "this is a Qwen3 reranker, which is not converted yet",
      hint: "Use a GGUF of it.",
    });
  }
  return planQwen(QWEN3, input);
}

function isReranker({ folder, config }: PlanInput): boolean {
  const names = [basename(folder), config.text("_name_or_path") ?? ""];
  if (names.some((name) => name.toLowerCase().includes("qwen3-reranker"))) return true;
  return (readTextFile(folder, "README.md") ?? "").toLowerCase().includes("# qwen3-reranker");
}
