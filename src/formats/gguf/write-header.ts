// Encodes a GGUF v3 header: metadata of every type and the tensor infos, with the offsets that the data must have.
// Knows no model: keys, values and shapes come from the caller, and the data is the caller's to write.

import { assert } from "../../lib/assert.ts";
import { alignUp } from "./read-tensors.ts";
import { TENSOR_TYPES, type TensorType } from "./tensor-types.ts";

/** Numbers of value types, as GGUF has them. */
const VALUE_TYPES = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;
const ARRAY_TYPE = 9;

export type GgufScalarType = keyof typeof VALUE_TYPES;
export type GgufItem = string | number | bigint | boolean;

export type GgufEntry =
  | { type: GgufScalarType; value: GgufItem }
  | { type: "array"; of: GgufScalarType; values: readonly GgufItem[] };

export interface GgufTensorInfo {
  name: string;
  /** Fastest-varying dimension first. */
  dims: readonly number[];
  /** A name of tensor-types.ts, such as `F16`. */
  type: string;
}

export interface EncodedHeader {
  /** The header with the padding up to the data. */
  bytes: Uint8Array;
  /** Of each tensor, in order, from the start of the data. */
  tensorBytes: number[];
  /** All of the file: each tensor is padded to the alignment, the last one too. */
  fileBytes: number;
}

/** What llama.cpp takes when a file does not say. */
export const ALIGNMENT = 32;
/** GGML_MAX_NAME - 1: llama.cpp refuses longer ones. */
const NAME_BYTES_MAX = 63;

const IDS_BY_NAME: ReadonlyMap<string, [number, TensorType]> = new Map(
  [...TENSOR_TYPES].map(([id, type]) => [type.name, [id, type]]),
);

/** Bytes of a tensor's data, without padding. */
export function countTensorBytes({ name, dims, type }: GgufTensorInfo): number {
  const known = IDS_BY_NAME.get(type);
  assert(known !== undefined, `${type} is a tensor type`);
  const [, { blockElements, blockBytes }] = known;
  assert((dims[0] ?? 1) % blockElements === 0, `the rows of ${name} divide into ${type} blocks`);
  return (dims.reduce((product, size) => product * size, 1) / blockElements) * blockBytes;
}

export function encodeHeader(
  metadata: ReadonlyMap<string, GgufEntry>,
  tensors: readonly GgufTensorInfo[],
): EncodedHeader {
  const sink = new ByteSink();
  sink.raw(new TextEncoder().encode("GGUF"));
  sink.item("u32", 3);
  sink.item("u64", tensors.length);
  sink.item("u64", metadata.size);
  for (const [key, entry] of metadata) {
    sink.item("string", key);
    putEntry(sink, entry);
  }
  const tensorBytes: number[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    putTensorInfo(sink, tensor, offset);
    const bytes = countTensorBytes(tensor);
    tensorBytes.push(bytes);
    offset = alignUp(offset + bytes, ALIGNMENT);
  }
  sink.raw(new Uint8Array(alignUp(sink.length, ALIGNMENT) - sink.length));
  const bytes = sink.finish();
  return { bytes, tensorBytes, fileBytes: bytes.byteLength + offset };
}

function putEntry(sink: ByteSink, entry: GgufEntry): void {
  if (entry.type !== "array") {
    sink.item("u32", VALUE_TYPES[entry.type]);
    sink.item(entry.type, entry.value);
    return;
  }
  sink.item("u32", ARRAY_TYPE);
  sink.item("u32", VALUE_TYPES[entry.of]);
  sink.item("u64", entry.values.length);
  for (const value of entry.values) sink.item(entry.of, value);
}

function putTensorInfo(sink: ByteSink, tensor: GgufTensorInfo, offset: number): void {
  const nameBytes = new TextEncoder().encode(tensor.name).byteLength;
  assert(nameBytes <= NAME_BYTES_MAX, `the tensor name ${tensor.name} has at most ${NAME_BYTES_MAX} bytes`);
  assert(tensor.dims.length >= 1 && tensor.dims.length <= 4, `${tensor.name} has one to four dimensions`);
  sink.item("string", tensor.name);
  sink.item("u32", tensor.dims.length);
  for (const size of tensor.dims) sink.item("u64", size);
  sink.item("u32", IDS_BY_NAME.get(tensor.type)?.[0] ?? 0);
  sink.item("u64", offset);
}

const encoder = new TextEncoder();

/** A growing byte buffer, little-endian. */
class ByteSink {
  #buffer = new Uint8Array(64 * 1024);
  #view = new DataView(this.#buffer.buffer);
  length = 0;

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.byteLength);
    this.#buffer.set(bytes, this.length);
    this.length += bytes.byteLength;
  }

  item(type: GgufScalarType, value: GgufItem): void {
    if (type === "string") {
      const bytes = encoder.encode(String(value));
      this.item("u64", bytes.byteLength);
      this.raw(bytes);
      return;
    }
    this.#reserve(8);
    this.length += putNumber(this.#view, this.length, type, value);
  }

  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.length);
  }

  #reserve(more: number): void {
    if (this.length + more <= this.#buffer.byteLength) return;
    const grown = new Uint8Array(Math.max(this.#buffer.byteLength * 2, this.length + more));
    grown.set(this.#buffer.subarray(0, this.length));
    this.#buffer = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Puts one value and returns how many bytes it took. */
function putNumber(view: DataView, at: number, type: Exclude<GgufScalarType, "string">, value: GgufItem): number {
  switch (type) {
    case "bool":
      view.setUint8(at, value === true ? 1 : 0);
      return 1;
    case "u8":
    case "i8":
      view.setInt8(at, Number(value));
      return 1;
    case "u16":
    case "i16":
      view.setInt16(at, Number(value), true);
      return 2;
    case "u32":
    case "i32":
      view.setInt32(at, Number(value), true);
      return 4;
    case "f32":
      view.setFloat32(at, Number(value), true);
      return 4;
    case "f64":
      view.setFloat64(at, Number(value), true);
      return 8;
    case "u64":
    case "i64":
      view.setBigInt64(at, BigInt.asIntN(64, BigInt(value)), true);
      return 8;
  }
}
