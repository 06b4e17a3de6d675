// Writes LoRA adapters for the generated models, and models into which adapters are merged: what an adapter has to do
// is then what plain weights do. Random from a fixed seed; large enough that a mix-up changes the output.

import { readFileSync, writeFileSync } from "node:fs";
import { readGgufHeader } from "../../src/formats/gguf/read-header.ts";
import { withFile } from "../../src/formats/read-at.ts";
import { makeNormalSource } from "./gguf-builder.ts";
import { type MetadataValue, type TensorSource, writeGguf } from "./gguf-writer.ts";
import type { ModelSpec } from "./model-specs.ts";
import { planWeights } from "./model-tensors.ts";

export interface LoraSpec {
  seed: string;
  rank: number;
  alpha: number;
  /** Names of the weights that it changes. */
  targets: RegExp;
}

export const SMALL_LORA: LoraSpec = {
  seed: "one",
  rank: 4,
  alpha: 8,
  targets: /(attn_q|attn_v|attn_output|ffn_down|ffn_gate|ssm_out|shortconv\.out_proj)\.weight$/,
};

/** Of what it adds to a weight, against the weight itself. */
const GAIN = 0.5;
/** The plan only needs it for the embedding, which has no adapter here. */
const VOCABULARY = 32;

/** The two factors of a weight of `columns` by `rows`: [rank][columns] and [rows][rank]. */
interface Factors {
  name: string;
  columns: number;
  rows: number;
  a: Float32Array;
  b: Float32Array;
}

function planFactors(model: ModelSpec, lora: LoraSpec): Factors[] {
  const weights = planWeights(model, VOCABULARY).filter(
    ({ name, shape }) => shape.length === 2 && lora.targets.test(name),
  );
  return weights.map(({ name, shape: [columns = 0, rows = 0] }) => {
    const random = makeNormalSource(`${lora.seed}/${name}`);
    const fill = (length: number, deviation: number) => Float32Array.from({ length }, () => deviation * random());
    const scale = lora.alpha / lora.rank;
    const a = fill(lora.rank * columns, 1 / Math.sqrt(columns));
    return { name, columns, rows, a, b: fill(rows * lora.rank, GAIN / scale / Math.sqrt(lora.rank)) };
  });
}

export interface LoraChanges {
  /** Instead of the keys of these names, or besides them. */
  metadata?: Record<string, MetadataValue>;
  tensors?: (tensors: TensorSource[]) => TensorSource[];
}

const text = (value: string): MetadataValue => ({ type: "string", value });

export function writeLora(path: string, model: ModelSpec, lora: LoraSpec, changes: LoraChanges = {}): void {
  const metadata: Record<string, MetadataValue> = {
    "general.type": text("adapter"),
    "general.architecture": text(model.shape),
    "adapter.type": text("lora"),
    "adapter.lora.alpha": { type: "f32", value: lora.alpha },
    ...changes.metadata,
  };
  const tensors = planFactors(model, lora).flatMap(({ name, columns, rows, a, b }): TensorSource[] => [
    makeTensor(`${name}.lora_a`, [columns, lora.rank], a),
    makeTensor(`${name}.lora_b`, [lora.rank, rows], b),
  ]);
  writeGguf(path, { metadata: Object.entries(metadata), tensors: changes.tensors?.(tensors) ?? tensors });
}

export function makeTensor(name: string, shape: number[], values: Float32Array): TensorSource {
  return { name, shape, type: "F32", fill: (out, start) => out.set(values.subarray(start, start + out.length)) };
}

/** The model of `source` with these adapters in its weights, which must be F32. */
export function mergeLoras(
  source: string,
  target: string,
  model: ModelSpec,
  loras: readonly { lora: LoraSpec; scale: number }[],
): void {
  const { tensors, dataOffset } = withFile(source, (file) => readGgufHeader(file, { tensors: true }));
  const bytes = new Uint8Array(readFileSync(source));
  for (const { lora, scale } of loras) {
    for (const factors of planFactors(model, lora)) {
      const tensor = tensors?.find(({ name }) => name === factors.name);
      if (tensor?.type !== "F32") throw new Error(`${factors.name} is ${tensor?.type}`);
      const weights = new Float32Array(bytes.buffer, dataOffset + tensor.offset, tensor.bytes / 4);
      addProduct(weights, factors, lora.rank, (scale * lora.alpha) / lora.rank);
    }
  }
  writeFileSync(target, bytes);
}

function addProduct(weights: Float32Array, { columns, rows, a, b }: Factors, rank: number, scale: number): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += (b[row * rank + k] ?? 0) * (a[k * columns + column] ?? 0);
      weights[row * columns + column] = (weights[row * columns + column] ?? 0) + scale * sum;
    }
  }
}
