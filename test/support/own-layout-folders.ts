// Tiny models in the layout of Llama's makers: by their names, with rotary rows as neighbours, in several files of which each
// has a part of every matrix, as checkpoints, SafeTensors or NumPy archives. Shares no code with src.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tinyPieces, toSentencePieceModel } from "./hf-tokenizers.ts";
import { packMlx } from "./packed-words.ts";
import { type TensorToWrite, writeSafetensors } from "./safetensors-writer.ts";
import { encode, makeTensors, type NamedTensor, type TinyDecoder } from "./tiny-decoders.ts";
import { type StoredTensor, zipOf } from "./torch-folders.ts";
import { writeZip } from "./zip-writer.ts";

const NAMES: readonly [RegExp, string][] = [
  [/^model\.embed_tokens/, "tok_embeddings"],
  [/^model\.norm/, "norm"],
  [/^lm_head/, "output"],
  [/^model\.layers/, "layers"],
  [/self_attn\.([qkvo])_proj/, "attention.w$1"],
  [/mlp\.gate_proj/, "feed_forward.w1"],
  [/mlp\.down_proj/, "feed_forward.w2"],
  [/mlp\.up_proj/, "feed_forward.w3"],
  [/input_layernorm/, "attention_norm"],
  [/post_attention_layernorm/, "ffn_norm"],
];
const rename = (name: string): string => NAMES.reduce((renamed, [pattern, own]) => renamed.replace(pattern, own), name);

const paramsOf = (model: TinyDecoder): Record<string, unknown> => ({
  dim: model.width,
  n_layers: model.layers,
  n_heads: model.heads,
  n_kv_heads: model.keyValueHeads,
  multiple_of: 32,
  norm_eps: model.epsilon,
  vocab_size: -1,
});

/** Rows 0, half, 1, half + 1, … of each head: elements that turn together are neighbours. */
function neighbour({ shape, values }: NamedTensor, heads: number): NamedTensor {
  const [rows = 0, columns = 0] = shape;
  const length = rows / heads;
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const [head, place] = [Math.floor(row / length), row % length];
    const from = head * length + (place % 2) * (length / 2) + Math.floor(place / 2);
    turned.set(values.subarray(from * columns, (from + 1) * columns), row * columns);
  }
  return { shape, values: turned };
}

function ownTensors(model: TinyDecoder): Map<string, NamedTensor> {
  const tensors = new Map<string, NamedTensor>();
  for (const [name, tensor] of makeTensors(model)) {
    const [, kind] = /\.([qk])_proj\.weight$/.exec(name) ?? [];
    const heads = kind === "q" ? model.heads : model.keyValueHeads;
    tensors.set(rename(name), kind === undefined ? tensor : neighbour(tensor, heads));
  }
  const frequencies = new Float32Array(model.headLength / 2).fill(0.5);
  return tensors.set("rope.freqs", { shape: [model.headLength / 2], values: frequencies });
}

/** One file's part. `embeddingsByRows`: as since Llama 3. */
function cut(
  name: string,
  tensor: NamedTensor,
  [index, count]: [number, number],
  embeddingsByRows: boolean,
): NamedTensor {
  const { shape, values } = tensor;
  const [rows = 0, columns = 0] = shape;
  if (shape.length < 2) return tensor;
  const byColumns = /\.(wo|w2)\./.test(name) || (name.startsWith("tok_") && !embeddingsByRows);
  if (!byColumns) {
    const size = rows / count;
    return { shape: [size, columns], values: values.slice(index * size * columns, (index + 1) * size * columns) };
  }
  const size = columns / count;
  const part = new Float32Array(rows * size);
  for (let row = 0; row < rows; row++) {
    part.set(values.subarray(row * columns + index * size, row * columns + (index + 1) * size), row * size);
  }
  return { shape: [rows, size], values: part };
}

function writeFolder(folder: string, params: Record<string, unknown>, file = "params.json"): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, file), JSON.stringify(params));
  writeFileSync(join(folder, "tokenizer.model"), toSentencePieceModel(tinyPieces()));
}

const CLASSES = { F32: "FloatStorage", F16: "HalfStorage", BF16: "BFloat16Storage" };

export function writeMetaFolder(
  folder: string,
  model: TinyDecoder,
  { parts = 1, embeddingsByRows = false, params = {} }: MetaOptions = {},
): void {
  writeFolder(folder, { ...paramsOf(model), ...params });
  for (let index = 0; index < parts; index++) {
    const stored = [...ownTensors(model)].map(([name, tensor], key): StoredTensor => {
      const { shape, values } = cut(name, tensor, [index, parts], embeddingsByRows);
      return { name, shape, key: String(key), storageClass: CLASSES[model.dtype], data: encode(model.dtype, values) };
    });
    writeFileSync(join(folder, `consolidated.${String(index).padStart(2, "0")}.pth`), zipOf(stored));
  }
}

export interface MetaOptions {
  parts?: number;
  embeddingsByRows?: boolean;
  params?: Record<string, unknown>;
}

export function writeMistralFolder(folder: string, model: TinyDecoder): void {
  const { inner, headLength, vocabulary } = model;
  const own = { hidden_dim: inner, head_dim: headLength, vocab_size: vocabulary, rope_theta: model.theta };
  writeFolder(folder, { ...paramsOf(model), ...own });
  writeFileSync(join(folder, "consolidated.safetensors"), writeSafetensors(plain(model)));
}

const plain = (model: TinyDecoder): TensorToWrite[] =>
  [...ownTensors(model)]
    .filter(([name]) => name !== "rope.freqs")
    .map(([name, { shape, values }]) => ({ name, shape, dtype: model.dtype, data: encode(model.dtype, values) }));

const NPY_TYPES: Readonly<Record<string, string>> = { F32: "<f4", F16: "<f2", BF16: "|V2", U32: "<u4" };

export function npyOf({ dtype, shape, data }: TensorToWrite, isFortran = false): Uint8Array {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const order = isFortran ? "True" : "False";
  const fields = `{'descr': '${NPY_TYPES[dtype]}', 'fortran_order': ${order}, 'shape': (${sizes}), }`;
  const header = `${fields.padEnd(117)}\n`;
  const magic = Buffer.from("\x93NUMPY\x01\0", "latin1");
  return new Uint8Array(Buffer.concat([magic, Buffer.from([118, 0]), Buffer.from(header), data]));
}

export interface NpzOptions {
  /** Of the feed-forward parts. */
  bits?: number;
  files?: number;
  deflate?: boolean;
  isFortran?: boolean;
}

/** As MLX wrote them. Returns the feed-forward weights that packed ones stand for, by transformers' names. */
export function writeNpzFolder(
  folder: string,
  model: TinyDecoder,
  { bits, files = 1, deflate = false, isFortran = false }: NpzOptions = {},
): Map<string, Float32Array> {
  const packed = bits === undefined ? {} : { quantization: { group_size: 32, bits } };
  writeFolder(folder, { ...paramsOf(model), model_type: "llama", ...packed }, "config.json");
  const meant = new Map<string, Float32Array>();
  const names = new Map([...makeTensors(model).keys()].map((name) => [rename(name), name]));
  const tensors = plain(model).flatMap((tensor) => {
    if (bits === undefined || !tensor.name.includes("feed_forward")) return [tensor];
    const [rows = 0, columns = 0] = tensor.shape;
    const result = packMlx(bits, 32, "F16")(tensor.name.replace(/\.weight$/, ""), rows, columns);
    meant.set(names.get(tensor.name) ?? "", result.values);
    return result.tensors;
  });
  for (let file = 0; file < files; file++) {
    const own = tensors.filter((_, index) => index % files === file);
    const entries = own.map((tensor) => ({ name: `${tensor.name}.npy`, data: npyOf(tensor, isFortran), deflate }));
    writeFileSync(join(folder, files === 1 ? "weights.npz" : `weights.${file}.npz`), writeZip(entries));
  }
  return meant;
}
