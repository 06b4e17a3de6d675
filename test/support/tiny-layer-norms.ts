// What tiny models with layer norms have in common: sizes, norms and projections with biases, fields of config.json.

import type { SourceDtype } from "./tiny-decoders.ts";
import type { TensorList } from "./tiny-families.ts";

export const WIDTH = 64;
export const HEADS = 4;
export const HEAD_LENGTH = WIDTH / HEADS;
export const LAYERS = 2;
export const VOCABULARY = 300;
export const CONTEXT_LENGTH = 256;
export const EPSILON = 1e-5;

const TYPES: Record<SourceDtype, string> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

export interface Choices {
  dtype: SourceDtype;
  parts: number;
}

export function addNorm(list: TensorList, name: string): void {
  list.norm(name, WIDTH);
  list.add(`${name}.bias`, [WIDTH], 0, 0.2);
}

export function addProjection(list: TensorList, name: string, rows: number, columns: number): void {
  list.matrix(name, rows, columns);
  list.add(`${name}.bias`, [rows], 0, 0.3);
}

export function commonConfig(dtype: SourceDtype): Record<string, unknown> {
  return { vocab_size: VOCABULARY, bos_token_id: 256, eos_token_id: 257, torch_dtype: TYPES[dtype] };
}
