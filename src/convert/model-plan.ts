// What an architecture says of a folder: the GGUF's own keys and its tensors, before a byte is converted.

import type { GgufEntry } from "../formats/gguf/write-header.ts";
import type { Fields } from "./json-file.ts";
import type { Weight } from "./weights.ts";

export interface PlanInput {
  folder: string;
  config: Fields;
  weights: ReadonlyMap<string, Weight>;
  /** llama.cpp's number of what most tensors will be. */
  fileType: number;
}

export interface PlannedTensor {
  name: string;
  /** Fastest-varying dimension first. */
  dims: readonly number[];
  source: TensorSource;
}

export type TensorSource =
  /** One slice after the other: a whole weight, a part of a fused one, or the experts of a layer. */
  | { kind: "slices"; slices: readonly Slice[]; map?: ValueMap }
  /** [columns, rows] → [rows, columns], as the projections of GPT-2 are stored. */
  | { kind: "transposed"; weight: Weight }
  /** The same of each slice, one after the other, as in the heads of a weight; with `take` some of the rows that come out. */
  | { kind: "transposed-slices"; slices: readonly Slice[]; take?: Take }
  /** Every so-manieth element of rows, such as the biases of gates and inner projections that lie in turn. */
  | { kind: "elements"; weight: Weight; take: Take }
  /** Numbers of four bits with a scale for each 32 of a row, which ggml has in another order. */
  | { kind: "mxfp4"; blocks: Weight; scales: Weight; take: Take }
  /** Small and computed, such as RoPE factors. */
  | { kind: "values"; values: Float32Array };

/** One of each `step`, from `first` on. */
export interface Take {
  first: number;
  step: number;
}

/** Rows of a weight; a row is all that shares every index but the last. A weight of one dimension is one element a row. */
export interface Slice {
  weight: Weight;
  fromRow: number;
  rows: number;
  /** The rows of each of so many heads are reordered; null: as they are. */
  heads: number | null;
}

/** Changes single-precision values in place, such as norms that are stored less one. */
export type ValueMap = (values: Float32Array) => void;

export function countRows({ shape }: Weight): number {
  const outer = shape.length > 1 ? shape.slice(0, -1) : shape;
  return outer.reduce((product, size) => product * size, 1);
}

/** A weight as it is, or with the rows of its heads reordered. */
export function takeWhole(weight: Weight, heads: number | null = null): TensorSource {
  return { kind: "slices", slices: [wholeSlice(weight, heads)] };
}

export function wholeSlice(weight: Weight, heads: number | null = null): Slice {
  return { weight, fromRow: 0, rows: countRows(weight), heads };
}

export interface ModelPlan {
  /** GGUF's name, such as `llama`. */
  architecture: string;
  /** Keys in the order in which they are written. */
  metadata: Map<string, GgufEntry>;
  tensors: PlannedTensor[];
  /** What the user should know: the model will run, but not in all as its makers meant. */
  notes: string[];
}

export function weightsOf({ source }: PlannedTensor): readonly Weight[] {
  switch (source.kind) {
    case "slices":
    case "transposed-slices":
      return source.slices.map(({ weight }) => weight);
    case "transposed":
    case "elements":
      return [source.weight];
    // Blocks are bytes: what they are was checked by whoever planned them.
    case "mxfp4":
    case "values":
      return [];
  }
}
