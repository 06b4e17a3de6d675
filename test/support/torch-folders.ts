// Tiny models as PyTorch keeps them: checkpoints in both layouts, in parts, and with views that share storages.

import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tinyTokenizer } from "./hf-tokenizers.ts";
import {
  dict,
  legacyCheckpoint,
  pickle,
  stateDict,
  type TensorToPickle,
  tensorPiece,
  zipCheckpoint,
} from "./pickle-writer.ts";
import { encode, makeTensors, type NamedTensor, type TinyDecoder, writeTinyFolder } from "./tiny-decoders.ts";

export interface StoredTensor extends TensorToPickle {
  data: Uint8Array;
}

const CLASSES = { F32: "FloatStorage", F16: "HalfStorage", BF16: "BFloat16Storage" };

/** One storage for each tensor, in order. */
export function plainTensors(model: TinyDecoder): StoredTensor[] {
  return [...makeTensors(model)].map(([name, { shape, values }], index) => ({
    name,
    shape,
    key: String(index),
    storageClass: CLASSES[model.dtype],
    data: encode(model.dtype, values),
  }));
}

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** The same tensors as views: transposed, inside of larger rows, side by side in one storage, and every other element. */
export function viewTensors(model: TinyDecoder): StoredTensor[] {
  const values = makeTensors(model);
  return plainTensors(model).map((tensor, index) => {
    const { shape, values: of } = values.get(tensor.name) as NamedTensor;
    const [rows = 1, columns = 1] = shape;
    const store = (length: number, place: (row: number, column: number) => number): Uint8Array => {
      const stored = new Float32Array(length).fill(99);
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          stored[place(row, column)] = of[row * columns + column] ?? 0;
        }
      }
      return encode(model.dtype, stored);
    };
    if (shape.length < 2) {
      const data = store(2 * rows + 3, (row) => 3 + 2 * row);
      return { ...tensor, offset: 3, strides: [2], elements: 2 * rows + 3, data };
    }
    switch (index % 3) {
      case 0:
        return { ...tensor, strides: [1, rows], data: store(rows * columns, (row, column) => column * rows + row) };
      case 1: {
        const wide = columns + 5;
        const data = store(rows * wide + 7, (row, column) => 7 + row * wide + column);
        return { ...tensor, offset: 7, strides: [wide, 1], elements: rows * wide + 7, data };
      }
      default:
        return tensor;
    }
  });
}

const storagesOf = (tensors: readonly StoredTensor[]): Record<string, Uint8Array> =>
  Object.fromEntries(tensors.map(({ key, data }) => [key, data]));

export const zipOf = (tensors: readonly StoredTensor[]): Uint8Array =>
  zipCheckpoint(stateDict(tensors), storagesOf(tensors));

export const wrappedZipOf = (tensors: readonly StoredTensor[]): Uint8Array =>
  zipCheckpoint(
    pickle(
      dict([
        ["state_dict", dict(tensors.map((tensor) => [tensor.name, tensorPiece(tensor)] as const))],
        ["optimizer", dict([["step", tensorPiece(tensors[0] as StoredTensor)]])],
      ]),
    ),
    storagesOf(tensors),
  );

export function legacyOf(tensors: readonly StoredTensor[]): Uint8Array {
  const storages = new Map(
    tensors.map(({ key, data, elements, shape }) => [key, { data, elements: elements ?? product(shape) }]),
  );
  return legacyCheckpoint(
    stateDict(tensors),
    [...storages].map(([key, { data, elements }]) => ({ key, elements, bytes: data })),
  );
}

/** Everything of the folder but its weights. */
export function writeFolderOnly(folder: string, model: TinyDecoder, config: Record<string, unknown> = {}): void {
  mkdirSync(folder, { recursive: true });
  writeTinyFolder(folder, { ...model, config: { ...model.config, ...config } }, tinyTokenizer());
  for (const name of readdirSync(folder)) if (/safetensors/.test(name)) rmSync(join(folder, name));
}

export function writeTorchParts(folder: string, tensors: readonly StoredTensor[], parts: number): void {
  const perPart = Math.ceil(tensors.length / parts);
  const weightMap: Record<string, string> = {};
  for (let part = 0; part < parts; part++) {
    const name = `pytorch_model-${String(part + 1).padStart(5, "0")}-of-${String(parts).padStart(5, "0")}.bin`;
    const of = tensors.slice(part * perPart, (part + 1) * perPart);
    writeFileSync(join(folder, name), zipOf(of));
    for (const tensor of of) weightMap[tensor.name] = name;
  }
  writeFileSync(join(folder, "pytorch_model.bin.index.json"), JSON.stringify({ metadata: {}, weight_map: weightMap }));
}
