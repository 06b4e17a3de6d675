// How much memory an engine of a model takes, roughly, from its header alone: its files, a KV cache of plain attention for all
// layers, and what every engine has. More than that is nobody's to know without llama.cpp.

import type { GgufHeader } from "../formats/gguf/read-header.ts";
import { readGgufHeader } from "../formats/gguf/read-header.ts";
import type { GgufValue } from "../formats/gguf/read-metadata.ts";
import { withFile } from "../formats/read-at.ts";

/** A process with the runtime, the libraries and buffers to compute in. */
const ENGINE_BYTES = 256 * 1024 ** 2;
/** K and V are f16 unless a setting says otherwise. */
const CELL_BYTES = 2;

export interface RoughFiles {
  /** The one with the header. */
  path: string;
  /** Of all of them. */
  sizeBytes: number;
}

/** Throws what reading the header throws. */
export function estimateNeedBytes({ path, sizeBytes }: RoughFiles, contextLength: number): number {
  const header = withFile(path, (file) => readGgufHeader(file));
  return sizeBytes + contextLength * kvBytesPerToken(header) + ENGINE_BYTES;
}

export function kvBytesPerToken({ metadata }: Pick<GgufHeader, "metadata">): number {
  const architecture = String(metadata.get("general.architecture"));
  const read = (key: string): number | null => sizeOf(metadata.get(`${architecture}.${key}`));
  const layers = read("block_count") ?? 0;
  const heads = read("attention.head_count") ?? 0;
  const perLayer = listSizes(metadata.get(`${architecture}.attention.head_count_kv`));
  // Layers without attention have none, where each says its own.
  const kvHeads =
    perLayer.length > 1 ? perLayer.reduce((sum, count) => sum + count, 0) : layers * (perLayer[0] ?? heads);
  const headLength = heads === 0 ? 0 : (read("embedding_length") ?? 0) / heads;
  const keyLength = read("attention.key_length") ?? headLength;
  const valueLength = read("attention.value_length") ?? headLength;
  return Math.ceil(kvHeads * (keyLength + valueLength) * CELL_BYTES);
}

/** Of a number a layer the largest. */
function sizeOf(value: GgufValue | undefined): number | null {
  const sizes = listSizes(value);
  return sizes.length === 0 ? null : Math.max(...sizes);
}

function listSizes(value: GgufValue | undefined): number[] {
  const values = typeof value === "object" ? (value.kind === "array" ? (value.items ?? []) : []) : [value];
  return values.map(Number).filter((size) => Number.isFinite(size) && size >= 0);
}
