// What a SafeTensors file or folder is: its tensors from the headers, its class and context from config.json, its tokenizer
// from the files beside it, and whether `convert` takes it. Weights themselves are not read.

import { basename } from "node:path";
import type { Finding } from "../detection.ts";
import type { FileSource } from "../file-source.ts";
import { ADAPTER_CONFIG, judgeAdapter } from "../hugging-face/judge-adapter.ts";
import { type ModelConfig, readModelConfig } from "../hugging-face/read-config.ts";
import { readTokenizer, type TokenizerFacts } from "../hugging-face/read-tokenizer.ts";
import { isZeroAtEnd } from "../zero-tail.ts";
import type { Shards } from "./gather-shards.ts";
import { judgeModel, type ModelFacts } from "./judge-model.ts";
import { readSafetensorsHeader, SafetensorsError, type SafetensorsTensor } from "./read-header.ts";
import { judgeWeights } from "./weights-kind.ts";

export interface SafetensorsPlace {
  folder: string;
  /** Names in the folder. */
  names: readonly string[];
  shards: Shards;
  /** Reads a large tokenizer as a whole. */
  thorough: boolean;
}

export function detectSafetensors(source: FileSource, place: SafetensorsPlace): Finding {
  const { folder, shards } = place;
  const sizeBytes = shards.files.reduce((sum, file) => sum + (source.stat(file)?.sizeBytes ?? 0), 0);
  const config = readModelConfig(source, folder);
  const tokenizer = readTokenizer(source, folder, place.thorough);
  const known = config === null || "problem" in config ? null : config;
  const base = describeBase(shards, sizeBytes, known, tokenizer);
  if (shards.problem !== null)
    return damaged(base, [shards.problem], "the list of the model's files can't be followed");
  const read = readShards(source, shards.files);
  if (read instanceof SafetensorsFailure) return describeFailure(base, read);
  if (shards.missing.length > 0)
    return damaged(base, shards.missing, `${shards.missing.length} of its files are missing`);
  const facts = describeModel(place, read, known, tokenizer, base);
  if (config !== null && "problem" in config) return damaged(facts.found, [config.problem], config.problem);
  const absent = findAbsent(shards, read);
  if (absent.length > 0) return damaged(facts.found, absent, "tensors that the index lists are in none of its files");
  const isAdapter = facts.found.variant === "peft-adapter";
  const empty = isAdapter ? undefined : shards.files.find((file) => source.use(file, isZeroAtEnd));
  if (empty !== undefined) {
    const what = `the end of ${basename(empty)} is zeros: a download that reserved its space and did not finish`;
    return damaged(facts.found, [`the end of ${basename(empty)}`], what);
  }
  return isAdapter ? judgeAdapter(source, folder, facts.found) : judgeModel(facts);
}

export function damaged(found: Omit<Finding, "verdict" | "reason">, missing: readonly string[], what: string): Finding {
  return { ...found, verdict: "damaged", missing, reason: `${what}. Fetch what is missing again.` };
}

function describeBase(
  shards: Shards,
  sizeBytes: number,
  config: ModelConfig | null,
  tokenizer: TokenizerFacts,
): Omit<Finding, "verdict" | "reason"> {
  return {
    format: "safetensors",
    variant: shards.kind,
    architecture: config?.architecture ?? config?.modelType ?? null,
    contextLength: config?.contextLength ?? null,
    tokenizer: tokenizer.name,
    hasChatTemplate: config === null ? null : tokenizer.hasChatTemplate,
    files: shards.files,
    sizeBytes,
  };
}

/** A shard that could not be read, and why. */
class SafetensorsFailure {
  constructor(
    readonly path: string,
    readonly error: SafetensorsError,
  ) {}
}

interface ReadShards {
  tensors: Map<string, SafetensorsTensor>;
  shardOf: Map<string, string>;
}

function readShards(source: FileSource, files: readonly string[]): ReadShards | SafetensorsFailure {
  const read: ReadShards = { tensors: new Map(), shardOf: new Map() };
  for (const path of files) {
    try {
      const header = source.use(path, readSafetensorsHeader);
      for (const [name, tensor] of header.tensors) {
        if (read.tensors.has(name)) {
          const error = new SafetensorsError("damaged", `the tensor "${name.slice(0, 80)}" is in two of the files`);
          return new SafetensorsFailure(path, error);
        }
        read.tensors.set(name, tensor);
        read.shardOf.set(name, basename(path));
      }
    } catch (thrown) {
      if (thrown instanceof SafetensorsError) return new SafetensorsFailure(path, thrown);
      throw thrown;
    }
  }
  return read;
}

function describeFailure(base: Omit<Finding, "verdict" | "reason">, { path, error }: SafetensorsFailure): Finding {
  const reason = `${basename(path)}: ${error.message}`;
  if (error.reason === "unsupported") return { ...base, verdict: "unsupported", reason: `${reason}.` };
  const lacks = error.missingBytes === null ? [] : [`${error.missingBytes} bytes at the end of ${basename(path)}`];
  return damaged(base, lacks, reason);
}

function findAbsent(shards: Shards, read: ReadShards): string[] {
  if (shards.weightMap === null) return [];
  return [...shards.weightMap]
    .filter(([name, shard]) => read.shardOf.get(name) !== shard)
    .map(([name]) => name.slice(0, 120));
}

function describeModel(
  place: SafetensorsPlace,
  read: ReadShards,
  config: ModelConfig | null,
  tokenizer: TokenizerFacts,
  base: Omit<Finding, "verdict" | "reason">,
): ModelFacts {
  const tensors = [...read.tensors.values()];
  const weights = judgeWeights(tensors.map((tensor) => ({ ...tensor, bytes: tensor.end - tensor.start })));
  const adapter = place.names.includes(ADAPTER_CONFIG) || tensors.some(({ name }) => /\.lora_[AB]\./.test(name));
  // config.json knows which of the ways that share names it is; without it the tensors tell.
  const method = weights.method === null ? null : (config?.quantization?.method ?? weights.method);
  const bits = config?.quantization?.bits ?? null;
  const label = method === null ? weights.dtype : labelMethod(method, bits);
  const found = {
    ...base,
    variant: adapter ? "peft-adapter" : (method ?? base.variant ?? null),
    parameterCount: weights.count(bits),
    quantization: label,
  };
  return { found, folder: place.folder, config, tokenizer, weights, method, tensors: read.tensors };
}

const METHOD_NAMES: Readonly<Record<string, string>> = {
  mlx: "MLX",
  fp8: "FP8",
  nvfp4: "NVFP4",
  mxfp4: "MXFP4",
  gptq: "GPTQ",
  awq: "AWQ",
  "compressed-tensors": "compressed-tensors",
  bitsandbytes: "bitsandbytes",
};

/** Words for a method, which may be any text of a config.json. */
export function labelMethod(method: string, bits: number | null): string {
  const name = METHOD_NAMES[method] ?? method.replace(/[^\w.-]/g, "?").slice(0, 40);
  const says = /\d$/.test(name);
  return bits === null || says ? name : `${name} ${bits}-bit`;
}
