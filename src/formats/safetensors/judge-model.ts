// Whether a Hugging Face model whose files are whole can be converted, and what the outcome will take; else what it lacks or
// why not. Pure: everything that it goes by was read before.

import { basename } from "node:path";
import { quotePath } from "../../lib/shell-quote.ts";
import {
  COMPUTED_TENSORS,
  CONVERTIBLE_ARCHITECTURES,
  CONVERTIBLE_TOKENIZERS,
  EXACT_DTYPES,
  isConvertibleFile,
  isUnpacked,
  ROUNDED_DTYPES,
} from "../convertible.ts";
import { type Finding, showText } from "../detection.ts";
import type { ModelConfig } from "../hugging-face/read-config.ts";
import type { TokenizerFacts } from "../hugging-face/read-tokenizer.ts";
import { OWN_EMBEDDINGS } from "../meta/own-layout.ts";
import type { WeightsKind, WeightTensor } from "./weights-kind.ts";

export interface ModelFacts {
  found: Omit<Finding, "verdict" | "reason">;
  folder: string;
  config: ModelConfig | null;
  tokenizer: TokenizerFacts;
  weights: WeightsKind;
  /** How its weights were quantised; null: they are plain numbers. */
  method: string | null;
  tensors: ReadonlyMap<string, WeightTensor>;
}

/** Numbers that ggml knows as they are. */
const KEPT_METHOD = "mxfp4";
/** Whose layout of them is known. */
const KEPT_ARCHITECTURE = "GptOssForCausalLM";
/** Of an f16 or bf16 weight. */
const HALF_BYTES = 2;
/** Of a q4_k_m weight, on the average. */
const SMALL_BYTES = 4.9 / 8;
/** From this size on many machines run the smaller type only. */
const LARGE_BYTES = 4e9;

export function judgeModel(facts: ModelFacts): Finding {
  const { found, config, tokenizer } = facts;
  const refused = findRefusal(facts);
  if (refused !== null) return { ...found, verdict: "unsupported", ...refused };
  const broken = config === null ? [] : findContradictions(config, facts.tensors);
  if (broken.length > 0) {
    const reason = "its weights do not fit its config.json. Fetch the model again.";
    return { ...found, verdict: "damaged", missing: broken, reason };
  }
  if (tokenizer.missing.length > 0) {
    const reason = "its tokenizer is not whole, and no text can be read without it. Fetch the missing files.";
    return { ...found, verdict: "damaged", missing: tokenizer.missing, reason };
  }
  const halfBytes = found.parameterCount == null ? null : found.parameterCount * HALF_BYTES;
  // What is kept as it is makes a file as large.
  const resultBytes = facts.method === KEPT_METHOD ? (found.sizeBytes ?? null) : halfBytes;
  return {
    ...found,
    ...describeResult(facts, resultBytes ?? 0),
    command: `ml-offload convert ${quotePath(facts.folder)}`,
    resultBytes,
    memoryBytes: resultBytes,
  };
}

function describeResult(facts: ModelFacts, bytes: number): Pick<Finding, "verdict" | "reason"> {
  const { verdict, reason } = describeLoss(facts);
  if (bytes < LARGE_BYTES || facts.method === KEPT_METHOD) return { verdict, reason };
  const small = ((bytes / HALF_BYTES) * SMALL_BYTES) / 1e9;
  return {
    verdict,
    reason: `${reason} With --outtype q4_k_m it takes about ${small.toFixed(1)} GB and answers nearly as well.`,
  };
}

function describeLoss({ found, method, weights }: ModelFacts): Pick<Finding, "verdict" | "reason"> {
  const makes = "llama.cpp runs GGUF files. Converting makes one";
  if (method === KEPT_METHOD) {
    return { verdict: "convertible", reason: `${makes}, in which the experts keep their four bits (MXFP4).` };
  }
  if (method !== null) {
    const reason = `${makes} and unpacks the weights (${found.quantization}) to 16 bits: larger, and no better than they are. A GGUF of the original weights is better, where there is one.`;
    return { verdict: "convertible-with-loss", reason };
  }
  if (ROUNDED_DTYPES.has(weights.dtype ?? "")) {
    const reason = `${makes} and rounds its 32-bit weights to 16 bits, unless told otherwise.`;
    return { verdict: "convertible-with-loss", reason };
  }
  return { verdict: "convertible", reason: `${makes} with the same 16-bit weights.` };
}

type Refusal = { reason: string; missing?: readonly string[] };

function findRefusal({ found, config, method, tokenizer, tensors }: ModelFacts): Refusal | null {
  if (config === null) {
    const reason = "weights alone: without the config.json of its folder nothing tells what they compute.";
    return { reason, missing: ["config.json"] };
  }
  const name = found.architecture ?? null;
  if (name === null)
    return { reason: "its config.json names no architecture.", missing: ["architectures in config.json"] };
  if (!CONVERTIBLE_ARCHITECTURES.has(name)) {
    const known = [...CONVERTIBLE_ARCHITECTURES.keys()].join(", ");
    const reason = `the architecture ${showText(name)} is not among those that are converted (${known}). Look for a GGUF of it.`;
    return { reason };
  }
  const isForeign = method === KEPT_METHOD && name !== KEPT_ARCHITECTURE;
  if (method !== null && (isForeign || config.quantization === null || !isUnpacked(method, config.quantization.bits))) {
    const reason = `its weights are quantised (${found.quantization}), in a way that is not converted. Fetch the original weights or a GGUF.`;
    return { reason };
  }
  // Positions counted out, masks and frequencies are no weights.
  const isComputed = ({ name }: { name: string }) => name.endsWith("position_ids") || COMPUTED_TENSORS.test(name);
  const numbers = [...tensors.values()].filter((tensor) => !isComputed(tensor));
  const dtypes = new Set(numbers.map(({ dtype }) => dtype));
  const others = [...dtypes].filter((dtype) => !EXACT_DTYPES.has(dtype) && !ROUNDED_DTYPES.has(dtype));
  if (method === null && others.length > 0)
    return { reason: `it has weights of the type ${others.join(", ")}, which are not converted.` };
  const odd = (found.files ?? []).map((file) => basename(file)).find((file) => !isConvertibleFile(file));
  if (odd !== undefined) {
    return {
      reason: `the converter looks for model.safetensors, model-*.safetensors or pytorch_model.bin: give ${showText(odd)} such a name.`,
    };
  }
  const whole = tokenizer.missing.length === 0 && tokenizer.file !== null;
  if (whole && !CONVERTIBLE_TOKENIZERS.has(tokenizer.file ?? "")) {
    const reason = `its tokenizer is a ${tokenizer.file}; the converter reads ${[...CONVERTIBLE_TOKENIZERS].join(" or ")}.`;
    return { reason, missing: ["tokenizer.json"] };
  }
  return null;
}

/**
 * Decoders: without a head on top, as for embeddings, the names begin one level lower; beside an image part, one higher.
 * The others are those of BERT and its kin, of GPT-2, of GPT-NeoX, and of Llama's makers.
 */
const EMBEDDINGS: readonly RegExp[] = [
  /^(model\.language_model\.|language_model\.model\.|model\.)?embed_tokens\.weight$/,
  /(^|\.)embeddings\.(word|tok)_embeddings\.weight$/,
  /^(transformer\.)?wte\.weight$/,
  /^gpt_neox\.embed_in\.weight$/,
  /^tok_embeddings\.weight$/,
];
const LAYERS: readonly RegExp[] = [
  /^(?:model\.language_model\.|language_model\.model\.|model\.)?layers\.(\d{1,6})\./,
  /(?:^|\.)encoder\.layers?\.(\d{1,6})\./,
  /^(?:transformer\.)?h\.(\d{1,6})\./,
  /^gpt_neox\.layers\.(\d{1,6})\./,
  /^layers\.(\d{1,6})\./,
  /^(?:distilbert\.)?transformer\.layer\.(\d{1,6})\./,
];

/** What config.json says and the tensors do not have. */
function findContradictions(config: ModelConfig, tensors: ReadonlyMap<string, WeightTensor>): string[] {
  const broken: string[] = [];
  const embedding = [...tensors.values()].find(({ name }) => EMBEDDINGS.some((form) => form.test(name)));
  if (embedding === undefined) broken.push("the tensor model.embed_tokens.weight");
  // Packed ones have fewer words than numbers.
  else if (embedding.dtype !== "U32" && config.hiddenSize !== null && !fits(embedding, config.hiddenSize)) {
    broken.push(`embeddings of ${config.hiddenSize} numbers, as config.json says; they have ${embedding.shape[1]}`);
  }
  const layers = new Set<number>();
  for (const name of tensors.keys()) {
    for (const form of LAYERS) {
      const layer = form.exec(name)?.[1];
      if (layer !== undefined) layers.add(Number(layer));
    }
  }
  const expected = Math.min(config.layerCount ?? 0, LAYERS_MAX);
  for (let layer = 0; layer < expected; layer++) {
    if (!layers.has(layer)) broken.push(`the tensors of layer ${layer}`);
  }
  return broken;
}

/** Of the files of Llama's makers each may have a part of the columns. */
function fits({ name, shape }: WeightTensor, width: number): boolean {
  const columns = shape[1] ?? 0;
  return columns === width || (name === OWN_EMBEDDINGS && columns > 0 && width % columns === 0);
}

/** The deepest models have some 130 layers; a hostile config.json may say anything. */
const LAYERS_MAX = 4_096;
