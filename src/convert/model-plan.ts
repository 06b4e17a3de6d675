// What an architecture says of a folder: the GGUF's own keys and its tensors, before a byte is converted. Types only.

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
  source: /** `heads`: the rows of each head are reordered; null = as they are. */
    | { kind: "weight"; weight: Weight; heads: number | null }
    /** Small and computed, such as RoPE factors. */
    | { kind: "values"; values: Float32Array };
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
