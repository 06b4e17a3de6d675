// GGUF's key-value section. Small values are kept, big ones (a vocabulary, a tokenizer's JSON) are
// stepped over and only described, so memory stays bounded whatever the file claims.

import type { Cursor } from "./cursor.ts";
import { GgufError } from "./gguf-error.ts";

export type GgufScalar = string | number | bigint | boolean;

/** An array; its items are there only when it is small. */
export interface GgufArray {
  kind: "array";
  type: GgufTypeName;
  length: number;
  items: GgufScalar[] | null;
}

/** A string over the limit, left in the file. */
export interface GgufLongString {
  kind: "long-string";
  bytes: number;
}

/** 64-bit integers are numbers where that is exact, else bigints. */
export type GgufValue = GgufScalar | GgufArray | GgufLongString;

/** Real files have under 100 keys; the limit leaves room and bounds the loop. */
const METADATA_COUNT_MAX = 65_536;
/** The GGUF specification's own limit of a key. */
const KEY_BYTES_MAX = 65_535;
/** The longest chat templates are tens of kilobytes. What is longer is data, not a setting. */
const STRING_BYTES_MAX = 512 * 1024;
/** Arrays of settings (per-layer head counts, sections) are short; vocabularies are not. */
const ARRAY_ITEMS_MAX = 512;
/** All that is kept together: a file of a thousand long strings must not fill the memory. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024;

type ScalarReader = { name: string; bytes: number; get: (view: DataView, at: number) => GgufScalar };

const STRING_TYPE = 8;
const ARRAY_TYPE = 9;

const SCALARS: ReadonlyMap<number, ScalarReader> = new Map<number, ScalarReader>([
  [0, { name: "u8", bytes: 1, get: (view, at) => view.getUint8(at) }],
  [1, { name: "i8", bytes: 1, get: (view, at) => view.getInt8(at) }],
  [2, { name: "u16", bytes: 2, get: (view, at) => view.getUint16(at, true) }],
  [3, { name: "i16", bytes: 2, get: (view, at) => view.getInt16(at, true) }],
  [4, { name: "u32", bytes: 4, get: (view, at) => view.getUint32(at, true) }],
  [5, { name: "i32", bytes: 4, get: (view, at) => view.getInt32(at, true) }],
  [6, { name: "f32", bytes: 4, get: (view, at) => view.getFloat32(at, true) }],
  [7, { name: "bool", bytes: 1, get: (view, at) => view.getUint8(at) !== 0 }],
  [10, { name: "u64", bytes: 8, get: (view, at) => exactNumber(view.getBigUint64(at, true)) }],
  [11, { name: "i64", bytes: 8, get: (view, at) => exactNumber(view.getBigInt64(at, true)) }],
  [12, { name: "f64", bytes: 8, get: (view, at) => view.getFloat64(at, true) }],
]);

/** `u8` … `f64`, `string`. */
export type GgufTypeName = string;

function exactNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

export function readMetadata(cursor: Cursor, count: number): Map<string, GgufValue> {
  if (count > METADATA_COUNT_MAX) {
    throw new GgufError("limit", `the header claims ${count} metadata entries; at most ${METADATA_COUNT_MAX} are read`);
  }
  const metadata = new Map<string, GgufValue>();
  const budget = { bytes: KEPT_BYTES_MAX };
  for (let index = 0; index < count; index++) {
    const key = readKey(cursor, index, budget);
    if (metadata.has(key)) throw new GgufError("damaged", `the metadata key "${key}" occurs twice`);
    metadata.set(key, readValue(cursor, key, budget));
  }
  return metadata;
}

interface Budget {
  bytes: number;
}

function readKey(cursor: Cursor, index: number, budget: Budget): string {
  const bytes = cursor.size(`the length of metadata key ${index + 1}`);
  if (bytes === 0) throw new GgufError("damaged", `metadata key ${index + 1} is empty`);
  if (bytes > KEY_BYTES_MAX) {
    throw new GgufError("limit", `metadata key ${index + 1} claims ${bytes} bytes; GGUF allows ${KEY_BYTES_MAX}`);
  }
  budget.bytes -= bytes;
  if (budget.bytes < 0) throw new GgufError("limit", `the metadata keys are over ${KEPT_BYTES_MAX} bytes`);
  return cursor.text(bytes, `metadata key ${index + 1}`);
}

function readValue(cursor: Cursor, key: string, budget: Budget): GgufValue {
  const type = cursor.u32(`the type of "${key}"`);
  if (type === STRING_TYPE) return readString(cursor, key, budget, STRING_BYTES_MAX);
  if (type === ARRAY_TYPE) return readArray(cursor, key, budget);
  const scalar = SCALARS.get(type);
  if (scalar === undefined) throw new GgufError("damaged", `"${key}" has the unknown value type ${type}`);
  return cursor.scalar(scalar.bytes, `"${key}"`, scalar.get);
}

function readString(cursor: Cursor, key: string, budget: Budget, bytesMax: number): string | GgufLongString {
  const bytes = cursor.size(`the length of "${key}"`);
  if (bytes > bytesMax || bytes > budget.bytes) {
    cursor.skip(bytes, `the string "${key}"`);
    return { kind: "long-string", bytes };
  }
  budget.bytes -= bytes;
  return cursor.text(bytes, `the string "${key}"`);
}

function readArray(cursor: Cursor, key: string, budget: Budget): GgufArray {
  const type = cursor.u32(`the element type of "${key}"`);
  const length = cursor.size(`the length of the array "${key}"`);
  if (type === STRING_TYPE) return readStringArray(cursor, key, length, budget);
  const scalar = SCALARS.get(type);
  if (scalar === undefined) {
    const what = type === ARRAY_TYPE ? "arrays, which llama.cpp does not read" : `the unknown type ${type}`;
    throw new GgufError("damaged", `the array "${key}" holds ${what}`);
  }
  const array: GgufArray = { kind: "array", type: scalar.name, length, items: null };
  const bytes = length * scalar.bytes;
  if (length > ARRAY_ITEMS_MAX || bytes > budget.bytes) {
    cursor.skip(bytes, `the array "${key}" of ${length} elements`);
    return array;
  }
  budget.bytes -= bytes;
  cursor.require(bytes, `the array "${key}" of ${length} elements`);
  array.items = Array.from({ length }, () => cursor.scalar(scalar.bytes, `"${key}"`, scalar.get));
  return array;
}

function readStringArray(cursor: Cursor, key: string, length: number, budget: Budget): GgufArray {
  const array: GgufArray = { kind: "array", type: "string", length, items: null };
  // Every string takes 8 bytes at least, so an absurd count fails here and not after a long walk.
  cursor.require(length * 8, `the array "${key}" of ${length} strings`);
  const what = `a string of the array "${key}"`;
  if (length > ARRAY_ITEMS_MAX) {
    cursor.skipStrings(length, what);
    return array;
  }
  const items: GgufScalar[] = [];
  for (let index = 0; index < length; index++) {
    const item = readString(cursor, key, budget, STRING_BYTES_MAX);
    if (typeof item === "string") items.push(item);
  }
  if (items.length === length) array.items = items;
  return array;
}
