// The architectures that are converted, by the names that config.json gives them.

import { AppError } from "../../protocol/errors.ts";
import { damagedModel, Fields } from "../json-file.ts";
import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { BERT_NAMES, planBert } from "./bert.ts";
import { DEEPSEEK_NAMES, planDeepseek } from "./deepseek2.ts";
import { DISTILBERT_NAMES, planDistilBert } from "./distilbert.ts";
import { EMBEDDING_GEMMA_NAMES, planEmbeddingGemma } from "./embedding-gemma.ts";
import { GEMMA2_NAMES, planGemma2 } from "./gemma2.ts";
import { GEMMA3_DEFAULTS, GEMMA3_NAMES, planGemma3 } from "./gemma3.ts";
import { GPT_NEOX_NAMES, planGptNeox } from "./gpt-neox.ts";
import { GPT_OSS_NAMES, planGptOss } from "./gpt-oss.ts";
import { GPT2_NAMES, planGpt2 } from "./gpt2.ts";
import { GRANITE_NAMES, planGranite } from "./granite.ts";
import { GRANITE_MOE_NAMES, planGraniteMoe } from "./granite-moe.ts";
import { LLAMA_NAMES, planLlama } from "./llama.ts";
import { MIXTRAL_NAMES, planMixtral } from "./mixtral.ts";
import { MODERN_BERT_NAMES, planModernBert } from "./modern-bert.ts";
import { NOMIC_BERT_NAMES, planNomicBert } from "./nomic-bert.ts";
import { OLMO2_NAMES, planOlmo2 } from "./olmo2.ts";
import { PHI3_NAMES, planPhi3 } from "./phi3.ts";
import { planQwen2, QWEN2_NAMES } from "./qwen2.ts";
import { planQwen2Moe, QWEN2_MOE_NAMES } from "./qwen2-moe.ts";
import { planQwen3, QWEN3_NAMES } from "./qwen3.ts";
import { planQwen3Moe, QWEN3_MOE_NAMES } from "./qwen3-moe.ts";
import { planRoberta, ROBERTA_NAMES } from "./roberta.ts";
import { planStarcoder2, STARCODER2_NAMES } from "./starcoder2.ts";

export interface Architecture {
  names: readonly string[];
  plan: (input: PlanInput) => ModelPlan;
  /** What transformers assumes where config.json is silent, and published models are. */
  defaults?: Readonly<Record<string, unknown>>;
}

const ARCHITECTURES: readonly Architecture[] = [
  { names: LLAMA_NAMES, plan: planLlama },
  { names: MIXTRAL_NAMES, plan: planMixtral },
  { names: QWEN2_NAMES, plan: planQwen2 },
  { names: QWEN2_MOE_NAMES, plan: planQwen2Moe },
  { names: QWEN3_NAMES, plan: planQwen3 },
  { names: QWEN3_MOE_NAMES, plan: planQwen3Moe },
  { names: GPT2_NAMES, plan: planGpt2 },
  { names: STARCODER2_NAMES, plan: planStarcoder2 },
  { names: GPT_NEOX_NAMES, plan: planGptNeox },
  { names: GPT_OSS_NAMES, plan: planGptOss },
  { names: GEMMA2_NAMES, plan: planGemma2 },
  { names: GEMMA3_NAMES, plan: planGemma3, defaults: GEMMA3_DEFAULTS },
  { names: EMBEDDING_GEMMA_NAMES, plan: planEmbeddingGemma },
  { names: PHI3_NAMES, plan: planPhi3 },
  { names: OLMO2_NAMES, plan: planOlmo2 },
  { names: GRANITE_NAMES, plan: planGranite },
  { names: GRANITE_MOE_NAMES, plan: planGraniteMoe },
  { names: DEEPSEEK_NAMES, plan: planDeepseek },
  { names: BERT_NAMES, plan: planBert },
  { names: DISTILBERT_NAMES, plan: planDistilBert },
  { names: ROBERTA_NAMES, plan: planRoberta },
  { names: NOMIC_BERT_NAMES, plan: planNomicBert },
  { names: MODERN_BERT_NAMES, plan: planModernBert },
];

export const ARCHITECTURE_NAMES: readonly string[] = ARCHITECTURES.flatMap(({ names }) => names);

/** With what is assumed; of a model of several kinds of input, with the fields of its text part. */
export function completeConfig(config: Fields, { defaults = {} }: Architecture): Fields {
  const text = config.object("text_config")?.values ?? {};
  return new Fields(config.source, { ...defaults, ...config.values, ...text });
}

export function findArchitecture(config: Fields): Architecture {
  const name = config.list("architectures")[0];
  if (typeof name !== "string") {
    throw damagedModel('config.json lacks "architectures"', "Fetch the config.json of the model.");
  }
  const found = ARCHITECTURES.find(({ names }) => names.includes(name));
  if (found !== undefined) return found;
  throw new AppError({
    code: "format_unsupported",
    message: `the architecture ${name.slice(0, 80)} is not converted`,
    hint: `These are: ${ARCHITECTURE_NAMES.join(", ")}.`,
  });
}
