// GGUF bytes by hand, field by field, so that a test can lie in any of them; and a file in memory that
// counts what is read of it. For whole models there is gguf-builder.ts.

import type { ReadAt } from "../../src/formats/read-at.ts";

type Entry = (out: RawGguf) => void;

export class RawGguf {
  #bytes: number[] = [];

  u8(value: number): this {
    this.#bytes.push(value & 255);
    return this;
  }

  u32(value: number): this {
    for (let shift = 0; shift < 32; shift += 8) this.u8(value >>> shift);
    return this;
  }

  u64(value: number | bigint): this {
    const wide = BigInt.asUintN(64, BigInt(value));
    return this.u32(Number(wide & 0xffffffffn)).u32(Number(wide >> 32n));
  }

  text(value: string): this {
    const encoded = new TextEncoder().encode(value);
    this.u64(encoded.byteLength);
    this.#bytes.push(...encoded);
    return this;
  }

  zeros(count: number): this {
    for (let i = 0; i < count; i++) this.#bytes.push(0);
    return this;
  }

  padTo(alignment: number): this {
    return this.zeros((alignment - (this.#bytes.length % alignment)) % alignment);
  }

  get length(): number {
    return this.#bytes.length;
  }

  toBytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

export interface RawParts {
  version?: number;
  tensorCount?: number | bigint;
  metadataCount?: number | bigint;
  metadata?: Entry[];
  tensors?: Entry[];
  dataBytes?: number;
}

/** A file of these parts; the counts are the parts' own unless a test lies about them. */
export function rawGguf(parts: RawParts): Uint8Array {
  const { metadata = [], tensors = [] } = parts;
  const out = new RawGguf();
  for (const char of "GGUF") out.u8(char.charCodeAt(0));
  out.u32(parts.version ?? 3).u64(parts.tensorCount ?? tensors.length);
  out.u64(parts.metadataCount ?? metadata.length);
  for (const entry of [...metadata, ...tensors]) entry(out);
  if (tensors.length > 0) out.padTo(32).zeros(parts.dataBytes ?? 0);
  return out.toBytes();
}

export const stringEntry =
  (key: string, value: string): Entry =>
  (out) =>
    void out.text(key).u32(8).text(value);

export const u32Entry =
  (key: string, value: number): Entry =>
  (out) =>
    void out.text(key).u32(4).u32(value);

export const stringsEntry =
  (key: string, values: readonly string[]): Entry =>
  (out) => {
    out.text(key).u32(9).u32(8).u64(values.length);
    for (const value of values) out.text(value);
  };

export const tensorEntry =
  (name: string, dims: readonly (number | bigint)[], type: number, offset: number | bigint): Entry =>
  (out) => {
    out.text(name).u32(dims.length);
    for (const dim of dims) out.u64(dim);
    out.u32(type).u64(offset);
  };

/** A small whole model: two tensors of 32 elements, a few keys. */
export function smallModel(extra: Entry[] = [], architecture = "llama"): Uint8Array {
  return rawGguf({
    metadata: [
      stringEntry("general.architecture", architecture),
      u32Entry("general.file_type", 7),
      u32Entry(`${architecture}.context_length`, 4096),
      u32Entry(`${architecture}.embedding_length`, 32),
      stringsEntry("tokenizer.ggml.tokens", ["a", "b", "c"]),
      ...extra,
    ],
    // 32 elements of F32 are 128 bytes, of Q8_0 34.
    tensors: [tensorEntry("output_norm.weight", [32], 0, 0), tensorEntry("token_embd.weight", [32, 1], 8, 128)],
    dataBytes: 128 + 34,
  });
}

export interface CountingFile extends ReadAt {
  /** Bytes asked for, all reads together, and in the largest one. */
  readBytes: number;
  largestRead: number;
}

/** `sizeBytes` may be larger than the bytes: the rest reads as zeros, as in a sparse file. */
export function memoryFile(bytes: Uint8Array, sizeBytes = bytes.byteLength): CountingFile {
  return {
    sizeBytes,
    readBytes: 0,
    largestRead: 0,
    read(target, offset) {
      const count = Math.max(0, Math.min(target.byteLength, sizeBytes - offset));
      this.readBytes += count;
      this.largestRead = Math.max(this.largestRead, target.byteLength);
      target.fill(0, 0, count);
      target.set(bytes.subarray(offset, offset + count));
      return count;
    },
  };
}
