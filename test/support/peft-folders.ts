// PEFT adapters of tiny models, as folders, and the models with the adapters in their weights: what an adapter has to do is
// then what plain weights do.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeNormalSource } from "./gguf-builder.ts";
import { tinyTokenizer } from "./hf-tokenizers.ts";
import { type TensorToWrite, writeSafetensors } from "./safetensors-writer.ts";
import { encode, makeTensors, type SourceDtype, type TinyDecoder, writeTinyFolder } from "./tiny-decoders.ts";
import { writeFolderOnly, zipOf } from "./torch-folders.ts";

export interface PeftSpec {
  /** Of each layer that it changes. */
  ranks: (path: string) => number | null;
  alpha: number;
  /** Stronger or weaker than `alpha`. */
  alphas?: Readonly<Record<string, number>>;
  isRankStabilized?: boolean;
  dtype?: SourceDtype;
  /** Added to adapter_config.json. */
  config?: Record<string, unknown>;
  /** As PyTorch's checkpoint. */
  isPickle?: boolean;
}

export interface PeftFactors {
  path: string;
  /** [rank][inputs] and [outputs][rank], as they stand for the weight [outputs][inputs]. */
  a: Float32Array;
  b: Float32Array;
  rank: number;
  rows: number;
  columns: number;
  isEmbedding: boolean;
}

export const ATTENTION_LORA: PeftSpec = { ranks: (path) => (/[qkvo]_proj$/.test(path) ? 4 : null), alpha: 8 };

/** What it adds to a weight is about as large as the weight. */
export function makeFactors(model: TinyDecoder, spec: PeftSpec): PeftFactors[] {
  return [...makeTensors(model)].flatMap(([name, { shape }]): PeftFactors[] => {
    const path = name.replace(/\.weight$/, "");
    const rank = shape.length === 2 ? spec.ranks(path) : null;
    if (rank === null) return [];
    const [rows = 0, columns = 0] = shape;
    const random = makeNormalSource(`lora/${name}`);
    const fill = (length: number, deviation: number) =>
      Float32Array.from({ length }, () => Math.f16round(deviation * random()));
    const a = fill(rank * columns, 1 / Math.sqrt(columns));
    const b = fill(rows * rank, 0.5 / (spec.alpha / rank) / Math.sqrt(rank));
    return [{ path, a, b, rank, rows, columns, isEmbedding: path.endsWith("embed_tokens") }];
  });
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(
    { length: values.length },
    (_, i) => values[(i % rows) * columns + Math.floor(i / rows)] ?? 0,
  );
}

/** Names and shapes as PEFT saves them. */
export function peftTensors(factors: readonly PeftFactors[], dtype: SourceDtype = "F32"): TensorToWrite[] {
  return factors.flatMap(({ path, a, b, rank, rows, columns, isEmbedding }): TensorToWrite[] => {
    const at = `base_model.model.${path}`;
    if (!isEmbedding) {
      return [
        { name: `${at}.lora_A.weight`, dtype, shape: [rank, columns], data: encode(dtype, a) },
        { name: `${at}.lora_B.weight`, dtype, shape: [rows, rank], data: encode(dtype, b) },
      ];
    }
    // Of an embedding the first factor has the tokens.
    return [
      { name: `${at}.lora_embedding_A`, dtype, shape: [rank, rows], data: encode(dtype, transpose(b, rows, rank)) },
      {
        name: `${at}.lora_embedding_B`,
        dtype,
        shape: [columns, rank],
        data: encode(dtype, transpose(a, rank, columns)),
      },
    ];
  });
}

export function peftConfig(spec: PeftSpec, base: string): Record<string, unknown> {
  return {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: base,
    r: 4,
    lora_alpha: spec.alpha,
    alpha_pattern: spec.alphas ?? {},
    use_rslora: spec.isRankStabilized ?? false,
    use_dora: false,
    bias: "none",
    modules_to_save: null,
    target_modules: ["q_proj"],
    ...spec.config,
  };
}

export function writePeftFolder(folder: string, model: TinyDecoder, spec: PeftSpec, base = "some-org/Tiny-Base"): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(peftConfig(spec, base)));
  const tensors = peftTensors(makeFactors(model, spec), spec.dtype);
  if (spec.isPickle !== true) {
    writeFileSync(join(folder, "adapter_model.safetensors"), writeSafetensors(tensors));
    return;
  }
  const classes = { F32: "FloatStorage", F16: "HalfStorage", BF16: "BFloat16Storage" };
  const stored = tensors.map((tensor, index) => ({
    ...tensor,
    key: String(index),
    storageClass: classes[spec.dtype ?? "F32"],
  }));
  writeFileSync(join(folder, "adapter_model.bin"), zipOf(stored));
}

export function writeBase(folder: string, model: TinyDecoder): void {
  writeTinyFolder(folder, model, tinyTokenizer());
}

/** The model with the adapter's products in its weights, as PEFT's definition adds them. */
export function writeMerged(folder: string, model: TinyDecoder, spec: PeftSpec): void {
  const factors = new Map(makeFactors(model, spec).map((factor) => [`${factor.path}.weight`, factor]));
  const tensors = [...makeTensors(model)].map(([name, { shape, values }]) => {
    const factor = factors.get(name);
    const merged = factor === undefined ? values : addProduct(values, factor, scaleOf(spec, factor));
    return { name, shape, dtype: "F32", data: encode("F32", merged) };
  });
  writeFolderOnly(folder, model);
  writeFileSync(join(folder, "model.safetensors"), writeSafetensors(tensors));
}

function scaleOf({ alpha, alphas = {}, isRankStabilized = false }: PeftSpec, { path, rank }: PeftFactors): number {
  const own = Object.entries(alphas).find(([name]) => path.endsWith(name))?.[1] ?? alpha;
  return own / (isRankStabilized ? Math.sqrt(rank) : rank);
}

function addProduct(values: Float32Array, { a, b, rank, rows, columns }: PeftFactors, scale: number): Float32Array {
  return values.map((value, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    if (row >= rows) return value;
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += (b[row * rank + k] ?? 0) * (a[k * columns + column] ?? 0);
    return value + scale * sum;
  });
}
