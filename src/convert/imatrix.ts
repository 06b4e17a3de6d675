// Importance matrices, as llama.cpp's llama-imatrix writes them (GGUF, and the older .dat): whether a file is one, and of
// this model. Reads names and sizes only; the values are the quantiser's business.

import { basename } from "node:path";
import { GgufError } from "../formats/gguf/gguf-error.ts";
import { readGgufHeader } from "../formats/gguf/read-header.ts";
import { type ReadAt, readBytes, withFile } from "../formats/read-at.ts";
import { AppError } from "../protocol/errors.ts";
import { factsOf, type OutType } from "./out-types.ts";

export interface TensorShape {
  name: string;
  /** Fastest-varying dimension first. */
  dims: readonly number[];
}

/** Keys without which llama.cpp's own tools refuse the file. */
const KEYS = ["imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"];
const SUMS = ".in_sum2";
/** More tensors than any model has, and longer names: what is over is no importance matrix. */
const ENTRIES_MAX = 262_144;
const NAME_BYTES_MAX = 1024;
const VALUES_MAX = 2 ** 28;

/** Notes on the result. Throws AppError where the type needs a matrix and there is none, or it is not this model's. */
export function checkImatrix(path: string | null, tensors: readonly TensorShape[], outType: OutType): string[] {
  if (path === null) {
    if (factsOf(outType).needsImatrix) throw neededImatrix(outType);
    return [];
  }
  const entries = readImatrix(path);
  const matrices = tensors.filter(isWeighted);
  const known = matrices.filter(({ name }) => entries.has(name));
  if (known.length === 0) throw foreign(path, "it names none of the model's tensors");
  for (const { name, dims } of known) {
    const [row = 1, , experts = 1] = dims;
    const count = entries.get(name);
    if (count === row * experts) continue;
    throw foreign(path, `it has ${count} values for ${name}, which has rows of ${row * experts}`);
  }
  const without = matrices.length - known.length;
  if (without === 0) return [];
  return [`${without} of ${matrices.length} matrices are not in ${basename(path)} and were quantised without it`];
}

/** An importance matrix changes nothing about plain numbers: whoever gives one expects it to. */
export function refuseImatrix(path: string | null | undefined, outType: OutType): void {
  if (path === null || path === undefined) return;
  throw new AppError({
    code: "invalid_request",
    message: `${outType} makes no use of an importance matrix`,
    hint: "Leave --imatrix out, or name a smaller --outtype.",
  });
}

/** Embeddings are looked up, not multiplied, so they have no entry. */
function isWeighted({ name, dims }: TensorShape): boolean {
  if (dims.length < 2 || !name.endsWith(".weight") || name.endsWith("_norm.weight")) return false;
  return !/token_embd\.weight$|^output\.weight$|ffn_gate_inp\.weight$/.test(name);
}

/** How many values the file has for each tensor. Throws AppError where it is no importance matrix. */
export function readImatrix(path: string): ReadonlyMap<string, number> {
  try {
    return withFile(path, (file) => {
      const magic = new TextDecoder().decode(readBytes(file, 0, 4));
      return magic === "GGUF" ? readGguf(file, path) : readOlder(file, path);
    });
  } catch (thrown) {
    if (thrown instanceof AppError) throw thrown;
    if (thrown instanceof GgufError) throw noImatrix(path, thrown.message);
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new AppError({
      code: "invalid_request",
      message: `the importance matrix ${path} can't be read: ${why}`,
      hint: "Name a file that llama.cpp's llama-imatrix has written.",
    });
  }
}

function readGguf(file: ReadAt, path: string): ReadonlyMap<string, number> {
  const { metadata, tensors } = readGgufHeader(file, { tensors: true });
  if (metadata.get("general.type") !== "imatrix") throw noImatrix(path, "it is a GGUF file of another kind");
  const missing = KEYS.filter((key) => !metadata.has(key));
  if (missing.length > 0) throw noImatrix(path, `it lacks ${missing.join(", ")}`);
  const entries = new Map<string, number>();
  for (const { name, dims } of tensors ?? []) {
    if (!name.endsWith(SUMS)) continue;
    const count = dims.reduce((product, size) => product * size, 1);
    entries.set(name.slice(0, -SUMS.length), count);
  }
  return entries;
}

/** i32 entries; each i32 name length, name, i32 calls, i32 values, f32 values. What follows is of no interest here. */
function readOlder(file: ReadAt, path: string): ReadonlyMap<string, number> {
  const entries = new Map<string, number>();
  let at = 0;
  const take = (count: number): Uint8Array => {
    const bytes = readBytes(file, at, count);
    if (bytes.byteLength < count) throw noImatrix(path, "it ends too early");
    at += count;
    return bytes;
  };
  const takeCount = (most: number, what: string): number => {
    const bytes = take(4);
    const count = new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
    if (count < 1 || count > most) throw noImatrix(path, `it claims ${count} ${what}`);
    return count;
  };
  const count = takeCount(ENTRIES_MAX, "entries");
  for (let i = 0; i < count; i++) {
    const name = new TextDecoder().decode(take(takeCount(NAME_BYTES_MAX, "bytes of a name")));
    take(4);
    const values = takeCount(VALUES_MAX, "values");
    if (at + values * 4 > file.sizeBytes) throw noImatrix(path, "it ends too early");
    at += values * 4;
    entries.set(name, values);
  }
  return entries;
}

function neededImatrix(outType: OutType): AppError {
  return new AppError({
    code: "invalid_request",
    message: `${outType} needs an importance matrix: without one the model's answers would be garbage`,
    hint: "Give one with --imatrix FILE (llama.cpp's llama-imatrix makes them), or choose q2_k, iq3_s or a larger type.",
  });
}

function noImatrix(path: string, why: string): AppError {
  return new AppError({
    code: "invalid_request",
    message: `${path} is no importance matrix: ${why}`,
    hint: "Name a file that llama.cpp's llama-imatrix has written.",
  });
}

function foreign(path: string, why: string): AppError {
  return new AppError({
    code: "invalid_request",
    message: `${path} is the importance matrix of another model: ${why}`,
    hint: "Use the one that was made with this model.",
  });
}
