// Tiny Hugging Face-style models with random weights, as folders: config.json, tokenizer.json and SafeTensors parts.
// Every value is one that the source's type holds exactly, so a reference computes with what the file says.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeNormalSource } from "./gguf-builder.ts";
import { writeSafetensors } from "./safetensors-writer.ts";
import { type ExpertArchitecture, expertConfig, listExpertMatrices, type TinyExperts } from "./tiny-experts.ts";

export type SourceDtype = "F32" | "F16" | "BF16";

export type TinyArchitecture =
  | "LlamaForCausalLM"
  | "LlamaModel"
  | "MistralForCausalLM"
  | "Qwen2ForCausalLM"
  | "Qwen3ForCausalLM"
  | ExpertArchitecture;

export interface TinyDecoder {
  architecture: TinyArchitecture;
  dtype: SourceDtype;
  parts: number;
  layers: number;
  width: number;
  inner: number;
  heads: number;
  keyValueHeads: number;
  headLength: number;
  vocabulary: number;
  contextLength: number;
  theta: number;
  epsilon: number;
  isTied: boolean;
  /** Of Q, K and V. */
  hasQkvBias: boolean;
  /** Of the other projections. */
  hasOtherBias: boolean;
  scaling: Record<string, unknown> | null;
  /** In place of one feed-forward part. */
  experts?: TinyExperts;
  /** Further fields of config.json. */
  config?: Record<string, unknown>;
}

export interface NamedTensor {
  shape: number[];
  values: Float32Array;
}

export const TINY: TinyDecoder = {
  architecture: "LlamaForCausalLM",
  dtype: "F32",
  parts: 1,
  layers: 2,
  width: 64,
  inner: 96,
  heads: 4,
  keyValueHeads: 2,
  headLength: 16,
  vocabulary: 300,
  contextLength: 256,
  theta: 10_000,
  epsilon: 1e-5,
  isTied: false,
  hasQkvBias: false,
  hasOtherBias: false,
  scaling: null,
};

/** For tests that look at everything but its numbers. */
export const TINIEST: TinyDecoder = { ...TINY, layers: 1, width: 32, heads: 2, keyValueHeads: 1, inner: 32 };

const MODEL_TYPES: Record<TinyDecoder["architecture"], string> = {
  LlamaForCausalLM: "llama",
  LlamaModel: "llama",
  MistralForCausalLM: "mistral",
  Qwen2ForCausalLM: "qwen2",
  Qwen3ForCausalLM: "qwen3",
  MixtralForCausalLM: "mixtral",
  Qwen2MoeForCausalLM: "qwen2_moe",
  Qwen3MoeForCausalLM: "qwen3_moe",
};

const HEAD_NORMS: ReadonlySet<TinyArchitecture> = new Set(["Qwen3ForCausalLM", "Qwen3MoeForCausalLM"]);

export function configOf(model: TinyDecoder): Record<string, unknown> {
  return {
    architectures: [model.architecture],
    model_type: MODEL_TYPES[model.architecture],
    hidden_size: model.width,
    intermediate_size: model.inner,
    num_hidden_layers: model.layers,
    num_attention_heads: model.heads,
    num_key_value_heads: model.keyValueHeads,
    ...(model.headLength * model.heads === model.width ? {} : { head_dim: model.headLength }),
    vocab_size: model.vocabulary,
    max_position_embeddings: model.contextLength,
    rms_norm_eps: model.epsilon,
    rope_theta: model.theta,
    rope_scaling: model.scaling,
    tie_word_embeddings: model.isTied,
    hidden_act: "silu",
    bos_token_id: 256,
    eos_token_id: 257,
    torch_dtype: { F32: "float32", F16: "float16", BF16: "bfloat16" }[model.dtype],
    ...expertConfig(model),
    ...model.config,
  };
}

/** All tensors by transformers' names. The same for the same description. */
export function makeTensors(model: TinyDecoder): Map<string, NamedTensor> {
  const tensors = new Map<string, NamedTensor>();
  const prefix = model.architecture === "LlamaModel" ? "" : "model.";
  const add = (name: string, shape: number[], mean: number, deviation: number) => {
    const random = makeNormalSource(name);
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (let i = 0; i < values.length; i++) values[i] = roundTo(model.dtype, mean + deviation * random());
    tensors.set(name, { shape, values });
  };
  const { width, inner, heads, keyValueHeads, headLength } = model;
  const matrix = (name: string, rows: number, columns: number, hasBias: boolean) => {
    add(`${name}.weight`, [rows, columns], 0, 1 / Math.sqrt(columns));
    if (hasBias) add(`${name}.bias`, [rows], 0, 0.3);
  };
  add(`${prefix}embed_tokens.weight`, [model.vocabulary, width], 0, 1);
  add(`${prefix}norm.weight`, [width], 1, 0.2);
  if (!model.isTied && prefix !== "") add("lm_head.weight", [model.vocabulary, width], 0, 1 / Math.sqrt(width));
  for (let layer = 0; layer < model.layers; layer++) {
    const at = `${prefix}layers.${layer}.`;
    add(`${at}input_layernorm.weight`, [width], 1, 0.2);
    add(`${at}post_attention_layernorm.weight`, [width], 1, 0.2);
    matrix(`${at}self_attn.q_proj`, heads * headLength, width, model.hasQkvBias);
    matrix(`${at}self_attn.k_proj`, keyValueHeads * headLength, width, model.hasQkvBias);
    matrix(`${at}self_attn.v_proj`, keyValueHeads * headLength, width, model.hasQkvBias);
    matrix(`${at}self_attn.o_proj`, width, heads * headLength, model.hasOtherBias);
    for (const [name, rows, columns] of listExpertMatrices(model)) matrix(`${at}${name}`, rows, columns, false);
    if (model.experts === undefined) {
      matrix(`${at}mlp.gate_proj`, inner, width, model.hasOtherBias);
      matrix(`${at}mlp.up_proj`, inner, width, model.hasOtherBias);
      matrix(`${at}mlp.down_proj`, width, inner, model.hasOtherBias);
    }
    if (!HEAD_NORMS.has(model.architecture)) continue;
    add(`${at}self_attn.q_norm.weight`, [headLength], 1, 0.2);
    add(`${at}self_attn.k_norm.weight`, [headLength], 1, 0.2);
  }
  return tensors;
}

export function roundTo(dtype: SourceDtype, value: number): number {
  if (dtype === "F32") return Math.fround(value);
  if (dtype === "F16") return Math.f16round(value);
  const bits = new Uint32Array(new Float32Array([value]).buffer);
  bits[0] = (bits[0] ?? 0) & 0xffff_0000;
  return new Float32Array(bits.buffer)[0] ?? 0;
}

export function encode(dtype: SourceDtype, values: Float32Array): Uint8Array {
  if (dtype === "F32") return new Uint8Array(values.slice().buffer);
  if (dtype === "F16") return new Uint8Array(new Float16Array(values).buffer);
  const bits = new Uint32Array(values.slice().buffer);
  return new Uint8Array(Uint16Array.from(bits, (value) => value >>> 16).buffer);
}

/** The whole folder. Parts are cut in the middle of the list, so a layer lies in two of them. */
export function writeTinyFolder(folder: string, model: TinyDecoder, tokenizer: Record<string, unknown>): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify(configOf(model), null, 2));
  for (const [name, content] of Object.entries(tokenizer)) {
    const bytes = content instanceof Uint8Array || typeof content === "string" ? content : JSON.stringify(content);
    writeFileSync(join(folder, name), bytes);
  }
  writeParts(folder, model);
}

function writeParts(folder: string, model: TinyDecoder): void {
  writeTensors(folder, makeTensors(model), model.dtype, model.parts);
}

export function writeTensors(
  folder: string,
  named: ReadonlyMap<string, NamedTensor>,
  dtype: SourceDtype,
  parts: number,
): void {
  const tensors = [...named].map(([name, { shape, values }]) => ({ name, dtype, shape, data: encode(dtype, values) }));
  if (parts === 1) {
    writeFileSync(join(folder, "model.safetensors"), writeSafetensors(tensors));
    return;
  }
  const weightMap: Record<string, string> = {};
  const perPart = Math.ceil(tensors.length / parts);
  for (let part = 0; part < parts; part++) {
    const of = tensors.slice(part * perPart, (part + 1) * perPart);
    const name = `model-${String(part + 1).padStart(5, "0")}-of-${String(parts).padStart(5, "0")}.safetensors`;
    writeFileSync(join(folder, name), writeSafetensors(of, { format: "pt" }));
    for (const tensor of of) weightMap[tensor.name] = name;
  }
  const index = { metadata: { total_size: 0 }, weight_map: weightMap };
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
}
