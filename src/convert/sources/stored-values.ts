// The tensors that packed weights are made of: looked up with their type and shape checked, and read as numbers.

import { type SourceType, toFloats } from "../encode-values.ts";
import { damagedModel } from "../json-file.ts";
import { countElements, type Weight, type WeightSource } from "../weights.ts";
import { BYTE_VALUES, type ByteType } from "./byte-values.ts";
import { HeldBytes } from "./held-bytes.ts";

export type StoredTensors = ReadonlyMap<string, Weight>;

export const FLOAT_TYPES: readonly string[] = ["F32", "F16", "BF16"];
export const WORD_TYPES: readonly string[] = ["I32", "U32"];

const TYPE_BYTES: Readonly<Record<string, number>> = { I64: 8, F32: 4, I32: 4, U32: 4, F16: 2, BF16: 2 };
/** Scales of the largest weights in groups of 32 take a sixteenth of what the weights took before. */
const WHOLE_BYTES_MAX = 512 * 1024 * 1024;

export function wrongTensor(name: string, why: string): Error {
  return damagedModel(`the tensor "${name.slice(0, 120)}" ${why}`, "Fetch the model again, or use a GGUF of it.");
}

/** A part of a packed weight, of one of these types. Throws where it is missing or is of another one. */
export function takePart(stored: StoredTensors, name: string, types: readonly string[]): Weight {
  const found = stored.get(name);
  if (found === undefined) throw wrongTensor(name, "is missing, without which its weight can't be unpacked");
  if (!types.includes(found.dtype)) throw wrongTensor(name, `has the type ${found.dtype}, not ${types.join(" or ")}`);
  return found;
}

export function requireShape({ name, shape }: Weight, expected: readonly number[]): void {
  if (shape.length === expected.length && shape.every((size, index) => size === expected[index])) return;
  throw wrongTensor(name, `has the shape [${shape.join(", ")}], where [${expected.join(", ")}] fits its weight`);
}

/** The sizes of a matrix. */
export function matrixSizes({ name, shape }: Weight): [rows: number, columns: number] {
  const [rows = 0, columns = 0] = shape;
  if (shape.length !== 2 || rows < 1 || columns < 1) throw wrongTensor(name, `has the shape [${shape.join(", ")}]`);
  return [rows, columns];
}

/** The 16-bit type of scales, where they have one. */
export function halfTypeOf({ dtype }: Weight): Pick<Weight, "halfType"> {
  return dtype === "F16" || dtype === "BF16" ? { halfType: dtype } : {};
}

export class StoredValues {
  readonly #source: WeightSource;
  readonly #held = new HeldBytes();

  constructor(source: WeightSource) {
    this.#source = source;
  }

  bytes(weight: Weight, offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#source.read(weight, offset, bytes);
    return bytes;
  }

  /** All words of a packed tensor that is read across its rows: held, until those of another one are asked for. */
  heldWords(weight: Weight): Uint32Array {
    const length = countElements(weight.shape) * 4;
    const bytes = this.#held.take(weight.name, length, (target) => this.#source.read(weight, 0, target));
    return new Uint32Array(bytes.buffer, bytes.byteOffset, length / 4);
  }

  /** Words from an element on. */
  words(weight: Weight, from = 0, count = countElements(weight.shape)): Uint32Array {
    return new Uint32Array(this.#whole(weight, from, count, 4).buffer);
  }

  /** Whole numbers, such as indices; those beyond 2^53 are not exact, and out of every range. */
  integers(weight: Weight): Int32Array | Float64Array {
    const bytes = this.#whole(weight, 0, countElements(weight.shape), TYPE_BYTES[weight.dtype] ?? 4);
    return weight.dtype === "I64"
      ? Float64Array.from(new BigInt64Array(bytes.buffer), Number)
      : new Int32Array(bytes.buffer);
  }

  /** Numbers of any type that scales have, from an element on. */
  floats(weight: Weight, from = 0, count = countElements(weight.shape)): Float32Array {
    const { dtype } = weight;
    const table = BYTE_VALUES[dtype as ByteType];
    if (table !== undefined) return Float32Array.from(this.#whole(weight, from, count, 1), (byte) => table[byte] ?? 0);
    return toFloats(this.#whole(weight, from, count, TYPE_BYTES[dtype] ?? 4), dtype as SourceType);
  }

  #whole(weight: Weight, from: number, count: number, itemBytes: number): Uint8Array {
    const length = count * itemBytes;
    if (length > WHOLE_BYTES_MAX) throw wrongTensor(weight.name, `has ${length} bytes, which no such part has`);
    return this.bytes(weight, from * itemBytes, length);
  }
}

/** The group of each column or input, where they are in no order. Throws where one is named that is not there. */
export function readGroups(values: StoredValues, order: Weight, groups: number): Int32Array {
  const stated = values.integers(order);
  for (const group of stated) {
    if (group < 0 || group >= groups) throw wrongTensor(order.name, `names the group ${group}; there are ${groups}`);
  }
  return Int32Array.from(stated);
}
