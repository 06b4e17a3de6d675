// Tiny models of families with definitions of their own: what config.json says, tensors with random values by
// transformers' names, and the forward pass that the definition gives. Every value is one that the source's type holds.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeNormalSource } from "./gguf-builder.ts";
import { type NamedTensor, roundTo, type SourceDtype, writeTensors } from "./tiny-decoders.ts";

export interface TinyFamily {
  config: Record<string, unknown>;
  dtype: SourceDtype;
  parts: number;
  tensors: ReadonlyMap<string, NamedTensor>;
  /** Logits of the last token. */
  compute: (tokens: readonly number[]) => Float64Array;
}

export class TensorList {
  readonly tensors = new Map<string, NamedTensor>();
  readonly #dtype: SourceDtype;

  constructor(dtype: SourceDtype) {
    this.#dtype = dtype;
  }

  add(name: string, shape: number[], mean: number, deviation: number): void {
    const random = makeNormalSource(name);
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (let i = 0; i < values.length; i++) values[i] = roundTo(this.#dtype, mean + deviation * random());
    this.tensors.set(name, { shape, values });
  }

  norm(name: string, size: number, mean = 1): void {
    this.add(`${name}.weight`, [size], mean, 0.2);
  }

  /** `share`: of the size that keeps the size of what goes through. */
  matrix(name: string, rows: number, columns: number, share = 1): void {
    this.add(`${name}.weight`, [rows, columns], 0, share / Math.sqrt(columns));
  }

  embeddings(name: string, rows: number, columns: number): void {
    this.add(`${name}.weight`, [rows, columns], 0, 1);
  }
}

/** `files`: the tokenizer and whatever else the folder has. */
export function writeFamilyFolder(folder: string, family: TinyFamily, files: Record<string, unknown>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of Object.entries({ "config.json": family.config, ...files })) {
    const isRaw = content instanceof Uint8Array || typeof content === "string";
    writeFileSync(join(folder, name), isRaw ? content : JSON.stringify(content, null, 2));
  }
  writeTensors(folder, family.tensors, family.dtype, family.parts);
}
