// Where each field of a valid GGUF file stands, byte by byte: the mutations aim with it, and the
// tokenizers are copied with it. It trusts its input (our own or vendored files) and asserts what it reads.

export interface MetadataEntry {
  key: string;
  /** Where the key's length stands. */
  start: number;
  typeId: number;
  typeAt: number;
  valueAt: number;
  end: number;
}

export interface TensorEntry {
  name: string;
  start: number;
  dimensionCountAt: number;
  dimensions: number[];
  dimensionsAt: number;
  typeId: number;
  typeAt: number;
  /** Where the tensor's offset into the data is written. */
  offsetAt: number;
  offset: number;
  end: number;
}

export interface GgufLayout {
  version: number;
  metadata: MetadataEntry[];
  tensors: TensorEntry[];
  /** First byte of the tensor data. */
  dataAt: number;
}

export const TENSOR_COUNT_AT = 8;
export const METADATA_COUNT_AT = 16;

const SCALAR_BYTES: Record<number, number> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
const STRING = 8;
const ARRAY = 9;

export function scanGguf(bytes: Uint8Array): GgufLayout {
  const cursor = new Cursor(bytes);
  if (cursor.u32() !== 0x46554747) throw new Error("not a GGUF file");
  const version = cursor.u32();
  const tensorCount = cursor.u64();
  const metadataCount = cursor.u64();
  const metadata: MetadataEntry[] = [];
  let alignment = 32;
  for (let i = 0; i < metadataCount; i++) {
    const start = cursor.at;
    const key = cursor.text();
    const typeAt = cursor.at;
    const typeId = cursor.u32();
    const valueAt = cursor.at;
    skipValue(cursor, typeId);
    if (key === "general.alignment")
      alignment = new DataView(bytes.buffer, bytes.byteOffset + valueAt).getUint32(0, true);
    metadata.push({ key, start, typeId, typeAt, valueAt, end: cursor.at });
  }
  const tensors: TensorEntry[] = [];
  for (let i = 0; i < tensorCount; i++) tensors.push(scanTensor(cursor));
  return { version, metadata, tensors, dataAt: Math.ceil(cursor.at / alignment) * alignment };
}

function scanTensor(cursor: Cursor): TensorEntry {
  const start = cursor.at;
  const name = cursor.text();
  const dimensionCountAt = cursor.at;
  const count = cursor.u32();
  const dimensionsAt = cursor.at;
  const dimensions = Array.from({ length: count }, () => cursor.u64());
  const typeAt = cursor.at;
  const typeId = cursor.u32();
  const offsetAt = cursor.at;
  const offset = cursor.u64();
  return { name, start, dimensionCountAt, dimensions, dimensionsAt, typeId, typeAt, offsetAt, offset, end: cursor.at };
}

/** The strings of an array value. */
export function readStrings(bytes: Uint8Array, entry: MetadataEntry): string[] {
  const cursor = new Cursor(bytes, entry.valueAt);
  if (entry.typeId !== ARRAY || cursor.u32() !== STRING) throw new Error(`${entry.key} is not an array of strings`);
  return Array.from({ length: cursor.u64() }, () => cursor.text());
}

/** The numbers of an array of 32-bit integers. */
export function readInts(bytes: Uint8Array, entry: MetadataEntry): Int32Array {
  const cursor = new Cursor(bytes, entry.valueAt);
  const of = entry.typeId === ARRAY ? cursor.u32() : -1;
  if (of !== 4 && of !== 5) throw new Error(`${entry.key} is not an array of 32-bit integers`);
  const count = cursor.u64();
  return new Int32Array(bytes.slice(cursor.at, cursor.at + count * 4).buffer);
}

function skipValue(cursor: Cursor, typeId: number): void {
  if (typeId === STRING) {
    cursor.skip(cursor.u64());
    return;
  }
  if (typeId !== ARRAY) {
    cursor.skip(scalarBytes(typeId));
    return;
  }
  const of = cursor.u32();
  const count = cursor.u64();
  if (of !== STRING) {
    cursor.skip(count * scalarBytes(of));
    return;
  }
  for (let i = 0; i < count; i++) cursor.skip(cursor.u64());
}

function scalarBytes(typeId: number): number {
  const bytes = SCALAR_BYTES[typeId];
  if (bytes === undefined) throw new Error(`no scalar has the type number ${typeId}`);
  return bytes;
}

class Cursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
  }

  u32(): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }

  /** Lengths and counts of files that are far below 2^53 bytes. */
  u64(): number {
    const low = this.u32();
    return this.u32() * 2 ** 32 + low;
  }

  text(): string {
    const length = this.u64();
    this.skip(length);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.#bytes.subarray(this.at - length, this.at));
  }

  skip(count: number): void {
    this.at += count;
    if (this.at > this.#bytes.length) throw new Error("the file ends inside its metadata");
  }
}
