// What config.json of a Hugging Face folder says about a model: its class, its context, how its weights were quantised.
// Nothing in it is trusted to be there or to be of the right kind.

import { join } from "node:path";
import { isRecord } from "../../lib/is-record.ts";
import { countOf, type FileSource, fieldOf, readJson, textOf } from "../file-source.ts";
import { describeParams, PARAMS_FILE } from "../meta/own-layout.ts";

export interface ModelConfig {
  /** The first of `architectures`. */
  architecture: string | null;
  modelType: string | null;
  contextLength: number | null;
  hiddenSize: number | null;
  layerCount: number | null;
  quantization: ConfigQuantization | null;
}

export interface ConfigQuantization {
  /** In lower case: `gptq`, `awq`, `fp8`, `mlx`, … */
  method: string;
  bits: number | null;
}

/** Real ones have some kilobytes; those of vision models list their labels in some hundred. */
const CONFIG_BYTES_MAX = 1024 * 1024;

/** Null: there is none. `problem`: it is there and can't be read. */
export function readModelConfig(source: FileSource, folder: string): ModelConfig | { problem: string } | null {
  const read = readRecord(source, folder, "config.json");
  if (read !== null && "problem" in read) return read;
  if (read !== null && fieldOf(read.value, "architectures") !== undefined) {
    return describeConfig(read.value, readQuantizationFile(source, folder));
  }
  const params = readRecord(source, folder, PARAMS_FILE);
  const own = describeParams(params !== null && "value" in params ? params.value : read?.value);
  if (own !== null && "config" in own) return describeConfig(own.config, null);
  return read === null ? null : describeConfig(read.value, readQuantizationFile(source, folder));
}

function readRecord(
  source: FileSource,
  folder: string,
  name: string,
): { value: Record<string, unknown> } | { problem: string } | null {
  const path = join(folder, name);
  if (source.stat(path)?.kind !== "file") return null;
  const read = readJson(source, path, CONFIG_BYTES_MAX);
  if ("problem" in read) return { problem: `${name} ${read.problem}` };
  return isRecord(read.value) ? { value: read.value } : { problem: `${name} is no JSON object` };
}

/** Keys in the order of how often models use them; models of several kinds of input have the text part in `text_config`. */
const CONTEXT_KEYS = [
  "max_position_embeddings",
  "n_positions",
  "n_ctx",
  "max_seq_len",
  "seq_length",
  "max_sequence_length",
];
const HIDDEN_KEYS = ["hidden_size", "n_embd", "d_model", "dim"];
const LAYER_KEYS = ["num_hidden_layers", "n_layer", "n_layers"];

function describeConfig(config: Record<string, unknown>, beside: unknown): ModelConfig {
  const architectures = fieldOf(config, "architectures");
  const parts = [config, fieldOf(config, "text_config"), fieldOf(config, "llm_config")];
  const find = (keys: readonly string[]): number | null => {
    for (const part of parts) {
      for (const key of keys) {
        const count = countOf(fieldOf(part, key));
        if (count !== null) return count;
      }
    }
    return null;
  };
  return {
    architecture: Array.isArray(architectures) ? textOf(architectures[0]) : null,
    modelType: textOf(fieldOf(config, "model_type")),
    contextLength: find(CONTEXT_KEYS),
    hiddenSize: find(HIDDEN_KEYS),
    layerCount: find(LAYER_KEYS),
    quantization: readQuantization(config, beside),
  };
}

/** Tools that keep it out of config.json. */
function readQuantizationFile(source: FileSource, folder: string): unknown {
  for (const name of ["hf_quant_config.json", "quant_config.json", "quantize_config.json"]) {
    const path = join(folder, name);
    if (source.stat(path)?.kind !== "file") continue;
    const read = readJson(source, path, CONFIG_BYTES_MAX);
    // Broken or not: config.json and the tensors tell the same, so it is not needed.
    if ("value" in read) return read.value;
  }
  return null;
}

function readQuantization(config: Record<string, unknown>, beside: unknown): ConfigQuantization | null {
  const mlx = fieldOf(config, "quantization");
  if (isRecord(mlx) && countOf(mlx.group_size) !== null) {
    return { method: specify("mlx", fieldOf(mlx, "mode"), ["affine"]), bits: countOf(mlx.bits) };
  }
  const own = fieldOf(config, "quantization_config") ?? fieldOf(fieldOf(config, "text_config"), "quantization_config");
  const method = textOf(fieldOf(own, "quant_method"))?.toLowerCase();
  if (method !== undefined) return describeMethod(method, own);
  const algorithm = textOf(fieldOf(fieldOf(beside, "quantization"), "quant_algo"));
  if (algorithm !== null) return describeMethod("modelopt", fieldOf(beside, "quantization"));
  const bits = countOf(fieldOf(beside, "w_bit")) ?? countOf(fieldOf(beside, "bits"));
  if (bits === null) return null;
  return { method: fieldOf(beside, "w_bit") === undefined ? "gptq" : "awq", bits };
}

function describeMethod(method: string, config: unknown): ConfigQuantization {
  const bits = countOf(fieldOf(config, "bits")) ?? countOf(fieldOf(config, "w_bit"));
  const algorithm = textOf(fieldOf(config, "quant_algo"))?.toLowerCase() ?? "";
  if (method === "modelopt" && algorithm.includes("fp4")) return { method: "nvfp4", bits: 4 };
  if (method === "modelopt" && algorithm.includes("fp8")) return { method: "fp8", bits: 8 };
  if (method.includes("fp8")) return { method: "fp8", bits: 8 };
  if (method === "bitsandbytes") return { method, bits: fieldOf(config, "load_in_8bit") === true ? 8 : 4 };
  if (method === "mxfp4") return { method, bits: 4 };
  if (method === "gptq") {
    return { method: specify(method, fieldOf(config, "checkpoint_format"), ["gptq", "gptq_v2"]), bits };
  }
  if (method === "awq")
    return { method: specify(method, fieldOf(config, "version"), ["gemm", "gemv", "exllama", "ipex"]), bits };
  if (method.endsWith("auto-round")) {
    const packing = textOf(fieldOf(config, "packing_format")) ?? textOf(fieldOf(config, "backend")) ?? "auto_gptq";
    const written = /auto_gptq$/.test(packing) ? "gptq" : /awq/.test(packing) ? "awq" : "auto-round";
    return { method: written, bits };
  }
  if (method !== "compressed-tensors") return { method, bits };
  const format = textOf(fieldOf(config, "format")) ?? "";
  const groups = fieldOf(config, "config_groups");
  const first = isRecord(groups) ? Object.values(groups)[0] : undefined;
  const own = countOf(fieldOf(fieldOf(first, "weights"), "num_bits"));
  if (format.includes("nvfp4")) return { method: "nvfp4", bits: own ?? bits };
  return { method: specify(method, format, COMPRESSED_FORMATS), bits: own ?? bits };
}

const COMPRESSED_FORMATS: readonly string[] = [
  "",
  "dense",
  "float-quantized",
  "int-quantized",
  "naive-quantized",
  "pack-quantized",
];

/** Variants of a method that are kept in another way than the usual ones are named after it. */
function specify(method: string, variant: unknown, usual: readonly string[]): string {
  const name = textOf(variant)?.toLowerCase() ?? null;
  return name === null || usual.includes(name) ? method : `${method} ${name}`;
}
