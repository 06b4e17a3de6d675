// Writes GGUF v3 files: metadata of every type, tensors as F32, F16, Q8_0 or Q4_0, quantised here, and as Q4_K or
// Q6_K (k-quants.ts).
// Tensor data is made and written in chunks, so that a file of hundreds of megabytes needs little memory.
// It must not know any architecture: names, shapes and values come from the caller.

import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { encodeQ4K, encodeQ6K, Q4_K_BYTES, Q6_K_BYTES, SUPER_BLOCK } from "./k-quants.ts";

export type TensorType = "F32" | "F16" | "Q8_0" | "Q4_0" | "Q4_K" | "Q6_K";

/** Scalar types by GGUF's own numbers. */
const GGUF_TYPES = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

export type NumberType = "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "f32" | "u64" | "i64" | "f64";

export type MetadataValue =
  | { type: NumberType; value: number | bigint }
  | { type: "bool"; value: boolean }
  | { type: "string"; value: string }
  | { type: "array"; of: NumberType; values: readonly (number | bigint)[] }
  | { type: "array"; of: "bool"; values: readonly boolean[] }
  | { type: "array"; of: "string"; values: readonly string[] }
  /** A value copied from another file: its type number and its bytes, as they stand there. */
  | { type: "raw"; typeId: number; bytes: Uint8Array };

export interface TensorPlan {
  name: string;
  /** Fastest dimension first, as ggml counts. */
  shape: readonly number[];
  type: TensorType;
}

export interface TensorSource extends TensorPlan {
  /** Fills `out` with the values from element `start` on; called in order, once per chunk. */
  fill: (out: Float32Array, start: number) => void;
  /** Makes one chunk and repeats its bytes: for files whose size matters and whose content does not. */
  repeated?: boolean;
}

export interface GgufFile {
  metadata: readonly (readonly [key: string, value: MetadataValue])[];
  tensors: readonly TensorSource[];
  alignment?: number;
}

type GgufPlan = Omit<GgufFile, "tensors"> & { tensors: readonly TensorPlan[] };

const TENSOR_TYPES: Record<TensorType, { id: number; blockElements: number; blockBytes: number }> = {
  F32: { id: 0, blockElements: 1, blockBytes: 4 },
  F16: { id: 1, blockElements: 1, blockBytes: 2 },
  Q4_0: { id: 2, blockElements: 32, blockBytes: 18 },
  Q8_0: { id: 8, blockElements: 32, blockBytes: 34 },
  Q4_K: { id: 12, blockElements: SUPER_BLOCK, blockBytes: Q4_K_BYTES },
  Q6_K: { id: 14, blockElements: SUPER_BLOCK, blockBytes: Q6_K_BYTES },
};

/** A multiple of every block length; 1 MiB of float32 at a time. */
const CHUNK_ELEMENTS = 256 * 1024;

export function countTensorBytes(type: TensorType, shape: readonly number[]): number {
  const { blockElements, blockBytes } = TENSOR_TYPES[type];
  const row = shape[0] ?? 1;
  if (row % blockElements !== 0) throw new RangeError(`rows of ${row} elements do not divide into ${type} blocks`);
  return (shape.reduce((product, n) => product * n, 1) / blockElements) * blockBytes;
}

/** Writes the whole file. Throws RangeError when a tensor's rows do not divide into its type's blocks. */
export function writeGguf(path: string, file: GgufFile): void {
  const alignment = file.alignment ?? 32;
  const { bytes } = encodeHeader(file, alignment);
  const fd = openSync(path, "w");
  try {
    writeAll(fd, bytes);
    for (const tensor of file.tensors) writeTensor(fd, tensor, alignment);
  } finally {
    closeSync(fd);
  }
}

/** The header, and a hole in the place of the data: a file of any size that takes no disk space. */
export function writeSparseGguf(path: string, file: GgufPlan): void {
  const { bytes, dataBytes } = encodeHeader(file, file.alignment ?? 32);
  writeFileSync(path, bytes);
  truncateSync(path, bytes.length + dataBytes);
}

function encodeHeader(file: GgufPlan, alignment: number): { bytes: Uint8Array; dataBytes: number } {
  const header = new ByteSink();
  header.bytes(new TextEncoder().encode("GGUF"));
  header.number("u32", 3);
  header.number("u64", file.tensors.length);
  header.number("u64", file.metadata.length);
  for (const [key, value] of file.metadata) {
    header.text(key);
    writeValue(header, value);
  }
  let offset = 0;
  for (const tensor of file.tensors) {
    header.text(tensor.name);
    header.number("u32", tensor.shape.length);
    for (const length of tensor.shape) header.number("u64", length);
    header.number("u32", TENSOR_TYPES[tensor.type].id);
    header.number("u64", offset);
    offset = alignUp(offset + countTensorBytes(tensor.type, tensor.shape), alignment);
  }
  header.bytes(new Uint8Array(alignUp(header.length, alignment) - header.length));
  return { bytes: header.finish(), dataBytes: offset };
}

function writeTensor(fd: number, tensor: TensorSource, alignment: number): void {
  const elements = tensor.shape.reduce((product, n) => product * n, 1);
  const values = new Float32Array(Math.min(CHUNK_ELEMENTS, elements));
  let encoded = new Uint8Array(0);
  for (let start = 0; start < elements; start += CHUNK_ELEMENTS) {
    const chunk = values.subarray(0, Math.min(CHUNK_ELEMENTS, elements - start));
    if (start === 0 || tensor.repeated !== true) {
      tensor.fill(chunk, start);
      encoded = encodeTensor(tensor.type, chunk);
    }
    writeAll(fd, encoded.subarray(0, countTensorBytes(tensor.type, [chunk.length])));
  }
  const bytes = countTensorBytes(tensor.type, tensor.shape);
  writeAll(fd, new Uint8Array(alignUp(bytes, alignment) - bytes));
}

/** Values as the bytes of a tensor type; the rounding is that of ggml's reference quantisers (K-quants: nearly). */
export function encodeTensor(type: TensorType, values: Float32Array): Uint8Array<ArrayBuffer> {
  switch (type) {
    case "F32":
      return new Uint8Array(values.slice().buffer);
    case "F16":
      return new Uint8Array(new Float16Array(values).buffer);
    case "Q8_0":
      return encodeQ8(values);
    case "Q4_0":
      return encodeQ4(values);
    case "Q4_K":
      return encodeQ4K(values);
    case "Q6_K":
      return encodeQ6K(values);
  }
}

function encodeQ8(values: Float32Array): Uint8Array<ArrayBuffer> {
  const blocks = values.length / 32;
  const out = new Uint8Array(blocks * 34);
  const view = new DataView(out.buffer);
  for (let block = 0; block < blocks; block++) {
    const from = block * 32;
    let max = 0;
    for (let i = from; i < from + 32; i++) max = Math.max(max, Math.abs(values[i] as number));
    const inverse = max === 0 ? 0 : 127 / max;
    view.setFloat16(block * 34, max / 127, true);
    const to = block * 34 + 2;
    for (let i = 0; i < 32; i++) out[to + i] = Math.round((values[from + i] as number) * inverse);
  }
  return out;
}

function encodeQ4(values: Float32Array): Uint8Array<ArrayBuffer> {
  const blocks = values.length / 32;
  const out = new Uint8Array(blocks * 18);
  const view = new DataView(out.buffer);
  for (let block = 0; block < blocks; block++) {
    const from = block * 32;
    let extreme = 0;
    for (let i = from; i < from + 32; i++) {
      const value = values[i] as number;
      if (Math.abs(value) > Math.abs(extreme)) extreme = value;
    }
    const scale = extreme / -8;
    const inverse = scale === 0 ? 0 : 1 / scale;
    view.setFloat16(block * 18, scale, true);
    for (let i = 0; i < 16; i++) {
      const low = Math.min(15, Math.floor((values[from + i] as number) * inverse + 8.5));
      const high = Math.min(15, Math.floor((values[from + i + 16] as number) * inverse + 8.5));
      out[block * 18 + 2 + i] = low | (high << 4);
    }
  }
  return out;
}

function writeValue(sink: ByteSink, value: MetadataValue): void {
  if (value.type === "raw") {
    sink.number("u32", value.typeId);
    sink.bytes(value.bytes);
    return;
  }
  sink.number("u32", GGUF_TYPES[value.type]);
  if (value.type !== "array") {
    writeScalar(sink, value.type, value.value);
    return;
  }
  sink.number("u32", GGUF_TYPES[value.of]);
  sink.number("u64", value.values.length);
  for (const item of value.values) writeScalar(sink, value.of, item);
}

function writeScalar(sink: ByteSink, type: NumberType | "bool" | "string", value: number | bigint | boolean | string) {
  if (type === "string") sink.text(String(value));
  else if (type === "bool") sink.number("u8", value === true ? 1 : 0);
  else sink.number(type, typeof value === "bigint" ? value : Number(value));
}

/** A growing byte buffer, little-endian. */
class ByteSink {
  #buffer = new Uint8Array(64 * 1024);
  length = 0;

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.number("u64", bytes.length);
    this.bytes(bytes);
  }

  number(type: NumberType, value: number | bigint): void {
    this.#reserve(8);
    const view = new DataView(this.#buffer.buffer);
    this.length += setNumber(view, this.length, type, value);
  }

  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.length);
  }

  #reserve(more: number): void {
    if (this.length + more <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(this.#buffer.length * 2, this.length + more));
    grown.set(this.#buffer);
    this.#buffer = grown;
  }
}

/** Puts one number and returns how many bytes it took. */
export function setNumber(view: DataView, at: number, type: NumberType, value: number | bigint): number {
  const number = Number(value);
  switch (type) {
    case "u8":
      view.setUint8(at, number);
      return 1;
    case "i8":
      view.setInt8(at, number);
      return 1;
    case "u16":
      view.setUint16(at, number, true);
      return 2;
    case "i16":
      view.setInt16(at, number, true);
      return 2;
    case "u32":
      view.setUint32(at, number, true);
      return 4;
    case "i32":
      view.setInt32(at, number, true);
      return 4;
    case "f32":
      view.setFloat32(at, number, true);
      return 4;
    case "u64":
      view.setBigUint64(at, BigInt(value), true);
      return 8;
    case "i64":
      view.setBigInt64(at, BigInt(value), true);
      return 8;
    case "f64":
      view.setFloat64(at, number, true);
      return 8;
  }
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

function writeAll(fd: number, bytes: Uint8Array): void {
  let at = 0;
  while (at < bytes.length) at += writeSync(fd, bytes, at, bytes.length - at);
}
