// Tiny encoders of the BERT family with random weights, as Hugging Face folders. Every value is one that the source's
// type holds exactly, so a reference computes with what the file says.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeNormalSource } from "./gguf-builder.ts";
import { writeSafetensors } from "./safetensors-writer.ts";
import { encode, type NamedTensor, roundTo, type SourceDtype } from "./tiny-decoders.ts";
import { addRotaryTensors, rotaryConfig } from "./tiny-rotary-encoders.ts";

export interface TinyEncoder {
  architecture: string;
  modelType: string;
  dtype: SourceDtype;
  layers: number;
  width: number;
  inner: number;
  heads: number;
  vocabulary: number;
  /** Rows of the position embeddings. */
  positions: number;
  /** The first row that is used. */
  positionOffset: number;
  tokenTypes: number;
  epsilon: number;
  /** Before every name but the classifier's. */
  prefix: string;
  /** Of a classifier; none: 0. */
  labels: number;
  /** Further fields of config.json. */
  config?: Record<string, unknown>;
}

export const TINY_BERT: TinyEncoder = {
  architecture: "BertModel",
  modelType: "bert",
  dtype: "F32",
  layers: 2,
  width: 64,
  inner: 96,
  heads: 4,
  vocabulary: 64,
  positions: 64,
  positionOffset: 0,
  tokenTypes: 2,
  epsilon: 1e-12,
  prefix: "",
  labels: 0,
};

const isRotary = ({ modelType }: TinyEncoder): boolean => modelType === "nomic_bert" || modelType === "modernbert";

const isDistilled = ({ modelType }: TinyEncoder): boolean => modelType === "distilbert";

function distilledConfig(model: TinyEncoder): Record<string, unknown> {
  return {
    architectures: [model.architecture],
    model_type: model.modelType,
    dim: model.width,
    hidden_dim: model.inner,
    n_layers: model.layers,
    n_heads: model.heads,
    vocab_size: model.vocabulary,
    max_position_embeddings: model.positions,
    activation: "gelu",
    sinusoidal_pos_embds: false,
    pad_token_id: 0,
    torch_dtype: "float32",
    ...model.config,
  };
}

const DISTILLED_NAMES: readonly [RegExp, string][] = [
  [/encoder\.layer/, "transformer.layer"],
  [/attention\.self\.([qkv])\w+/, "attention.$1_lin"],
  [/attention\.output\.dense/, "attention.out_lin"],
  [/attention\.output\.LayerNorm/, "sa_layer_norm"],
  [/intermediate\.dense/, "ffn.lin1"],
  [/(\d)\.output\.dense/, "$1.ffn.lin2"],
  [/(\d)\.output\.LayerNorm/, "$1.output_layer_norm"],
];

/** BERT's names as DistilBERT has them. */
const distilledName = (name: string): string =>
  DISTILLED_NAMES.reduce((renamed, [pattern, own]) => renamed.replace(pattern, own), name);

function encoderConfig(model: TinyEncoder): Record<string, unknown> {
  if (isDistilled(model)) return distilledConfig(model);
  if (isRotary(model)) return rotaryConfig(model);
  const labels = Array.from({ length: model.labels }, (_, id) => [String(id), `LABEL_${id}`]);
  return {
    architectures: [model.architecture],
    model_type: model.modelType,
    hidden_size: model.width,
    intermediate_size: model.inner,
    num_hidden_layers: model.layers,
    num_attention_heads: model.heads,
    vocab_size: model.vocabulary,
    max_position_embeddings: model.positions,
    type_vocab_size: model.tokenTypes,
    layer_norm_eps: model.epsilon,
    hidden_act: "gelu",
    position_embedding_type: "absolute",
    pad_token_id: Math.max(0, model.positionOffset - 1),
    torch_dtype: { F32: "float32", F16: "float16", BF16: "bfloat16" }[model.dtype],
    ...(model.labels === 0 ? {} : { id2label: Object.fromEntries(labels) }),
    ...model.config,
  };
}

/** Adds a tensor of random numbers, the same for the same name. */
export type AddTensor = (name: string, shape: number[], mean: number, deviation: number) => void;

export function makeEncoderTensors(model: TinyEncoder): Map<string, NamedTensor> {
  const tensors = new Map<string, NamedTensor>();
  const add: AddTensor = (name, shape, mean, deviation) => {
    const random = makeNormalSource(name);
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (let i = 0; i < values.length; i++) values[i] = roundTo(model.dtype, mean + deviation * random());
    tensors.set(name, { shape, values });
  };
  if (isRotary(model)) {
    addRotaryTensors(model, add);
    return tensors;
  }
  addBertTensors(model, add);
  addHeadTensors(model, add);
  return tensors;
}

const addMatrix = (add: AddTensor, name: string, rows: number, columns: number) => {
  add(`${name}.weight`, [rows, columns], 0, 1 / Math.sqrt(columns));
  add(`${name}.bias`, [rows], 0, 0.3);
};

const addNorm = (add: AddTensor, name: string, width: number) => {
  add(`${name}.weight`, [width], 1, 0.2);
  add(`${name}.bias`, [width], 0, 0.2);
};

function addBertTensors({ prefix, width, inner, ...model }: TinyEncoder, add: AddTensor): void {
  const at = `${prefix}embeddings.`;
  add(`${at}word_embeddings.weight`, [model.vocabulary, width], 0, 1);
  add(`${at}position_embeddings.weight`, [model.positions, width], 0, 0.5);
  // DistilBERT has none, which is as good as zeros.
  add(`${at}token_type_embeddings.weight`, [model.tokenTypes, width], 0, model.modelType === "distilbert" ? 0 : 0.5);
  addNorm(add, `${at}LayerNorm`, width);
  for (let layer = 0; layer < model.layers; layer++) {
    const of = `${prefix}encoder.layer.${layer}.`;
    for (const name of ["query", "key", "value"]) addMatrix(add, `${of}attention.self.${name}`, width, width);
    addMatrix(add, `${of}attention.output.dense`, width, width);
    addNorm(add, `${of}attention.output.LayerNorm`, width);
    addMatrix(add, `${of}intermediate.dense`, inner, width);
    addMatrix(add, `${of}output.dense`, width, inner);
    addNorm(add, `${of}output.LayerNorm`, width);
  }
}

function addHeadTensors({ architecture, prefix, width, labels, vocabulary }: TinyEncoder, add: AddTensor): void {
  const isRoberta = architecture.includes("Roberta");
  const hasPooler = !architecture.endsWith("MaskedLM") && !(isRoberta && labels > 0);
  if (hasPooler) addMatrix(add, `${prefix}pooler.dense`, width, width);
  if (isRoberta && architecture.endsWith("MaskedLM")) addNorm(add, "lm_head.layer_norm", width);
  if (architecture === "BertForMaskedLM") add("cls.predictions.bias", [vocabulary], 0, 1);
  if (labels === 0) return;
  if (isRoberta) addMatrix(add, "classifier.dense", width, width);
  addMatrix(add, isRoberta ? "classifier.out_proj" : "classifier", labels, width);
}

/** `files`: by their paths, as bytes, texts or JSON. */
export function writeEncoderFolder(folder: string, model: TinyEncoder, files: Record<string, unknown>): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify(encoderConfig(model), null, 2));
  for (const [name, content] of Object.entries(files)) {
    const bytes = content instanceof Uint8Array || typeof content === "string" ? content : JSON.stringify(content);
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
  const own = [...makeEncoderTensors(model)].filter(([name]) => !isDistilled(model) || !/token_type|pooler/.test(name));
  const tensors = own.map(([name, { shape, values }]) => ({
    name: isDistilled(model) ? distilledName(name) : name,
    dtype: model.dtype as string,
    shape: shape as readonly number[],
    data: encode(model.dtype, values),
  }));
  // Older checkpoints have their positions counted out.
  if (!isRotary(model)) {
    const counted = BigInt64Array.from({ length: model.positions }, (_, i) => BigInt(i));
    const name = `${model.prefix}embeddings.position_ids`;
    tensors.push({ name, dtype: "I64", shape: [1, model.positions], data: new Uint8Array(counted.buffer) });
  }
  writeFileSync(join(folder, "model.safetensors"), writeSafetensors(tensors));
}

/** The files by which sentence-transformers knows how to make one vector of many. */
export function poolingFiles(flag: "mean_tokens" | "cls_token"): Record<string, unknown> {
  const type = (name: string) => `sentence_transformers.models.${name}`;
  return {
    "modules.json": [
      { idx: 0, name: "0", path: "", type: type("Transformer") },
      { idx: 1, name: "1", path: "1_Pooling", type: type("Pooling") },
      { idx: 2, name: "2", path: "2_Normalize", type: type("Normalize") },
    ],
    "1_Pooling/config.json": { word_embedding_dimension: 64, [`pooling_mode_${flag}`]: true },
  };
}
