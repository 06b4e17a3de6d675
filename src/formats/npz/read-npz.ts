// Names, types and shapes of the arrays in an .npz archive (NumPy's, and MLX's older weights). Reads the head of each array
// only; compressed ones are inflated for the first bytes and no further.

import { inflateRawSync, constants as zlib } from "node:zlib";
import { type ReadAt, readBytes } from "../read-at.ts";
import { locateZipEntry, readZipDirectory, type ZipEntry, ZipError } from "../zip/read-zip.ts";

export interface NpyArray {
  name: string;
  /** In SafeTensors' words where there is one, else NumPy's. */
  dtype: string;
  shape: readonly number[];
  /** Where its first element lies in the file; null: it is packed, or its columns come first. */
  start: number | null;
}

/** NumPy keeps its headers to multiples of 64 bytes; shapes of 32 dimensions fit. */
const HEADER_BYTES_MAX = 4_096;
/** As many packed bytes give at least that many unpacked ones, since each array begins with its header. */
const PACKED_BYTES_MAX = 4_096;
const DIMS_MAX = 32;

const DTYPES: ReadonlyMap<string, string> = new Map([
  ["<f8", "F64"],
  ["<f4", "F32"],
  ["<f2", "F16"],
  ["<i8", "I64"],
  ["<i4", "I32"],
  ["<i2", "I16"],
  ["|i1", "I8"],
  ["|u1", "U8"],
  ["<u2", "U16"],
  ["<u4", "U32"],
  ["<u8", "U64"],
  ["|b1", "BOOL"],
  // NumPy has no such type: MLX writes its bits as opaque pairs of bytes.
  ["|V2", "BF16"],
  ["<V2", "BF16"],
]);

/** Whether all that an archive holds are arrays. */
export function isNpz(entries: readonly ZipEntry[]): boolean {
  return entries.length > 0 && entries.every((entry) => entry.name.endsWith(".npy"));
}

/** Throws `ZipError`. */
export function readNpz(file: ReadAt, entries: readonly ZipEntry[] = readZipDirectory(file)): NpyArray[] {
  return entries.map((entry) => {
    const array = readNpyHeader(readHead(file, entry));
    if (array === null) throw new ZipError("damaged", `the entry "${entry.name}" is no NumPy array`);
    const { dtype, shape, dataAt, isPlain } = array;
    const start = isPlain && entry.method === 0 ? locateZipEntry(file, entry) + dataAt : null;
    return { name: entry.name.replace(/\.npy$/, ""), dtype, shape, start };
  });
}

function readHead(file: ReadAt, entry: ZipEntry): Uint8Array {
  const packed = readBytes(file, locateZipEntry(file, entry), Math.min(entry.packedBytes, PACKED_BYTES_MAX));
  if (entry.method === 0) return packed;
  if (entry.method !== 8) throw new ZipError("unsupported", `"${entry.name}" is packed by method ${entry.method}`);
  try {
    // Deflate makes at most 1,032 bytes of one: the limit is out of reach and stands for it.
    return new Uint8Array(
      inflateRawSync(packed, { finishFlush: zlib.Z_SYNC_FLUSH, maxOutputLength: 1_100 * PACKED_BYTES_MAX }),
    );
  } catch (_broken) {
    // What exactly does not unpack is of no use to a reader.
    throw new ZipError("damaged", `the entry "${entry.name}" does not unpack`);
  }
}

interface NpyHeader {
  dtype: string;
  shape: readonly number[];
  /** Bytes before the first element. */
  dataAt: number;
  /** Rows come first, the last index varies fastest. */
  isPlain: boolean;
}

/** The array's type and shape, or null where the bytes are not those of one. */
export function readNpyHeader(head: Uint8Array): NpyHeader | null {
  if (head.byteLength < 12 || String.fromCharCode(...head.subarray(0, 6)) !== "\x93NUMPY") return null;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const wide = (head[6] ?? 1) >= 2;
  const start = wide ? 12 : 10;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  if (length > HEADER_BYTES_MAX || start + length > head.byteLength) return null;
  const text = new TextDecoder().decode(head.subarray(start, start + length));
  const type = /'descr':\s*'([^']{1,16})'/.exec(text)?.[1];
  const sizes = /'shape':\s*\(([\d, ]*)\)/.exec(text)?.[1];
  if (type === undefined || sizes === undefined) return null;
  const shape = sizes.split(",").flatMap((size) => (size.trim() === "" ? [] : [Number(size)]));
  const valid = shape.length <= DIMS_MAX && Number.isSafeInteger(shape.reduce((product, size) => product * size, 1));
  if (!valid || !shape.every(Number.isSafeInteger)) return null;
  const isPlain = /'fortran_order':\s*False/.test(text) || shape.length < 2;
  return { dtype: DTYPES.get(type) ?? type, shape, dataAt: start + length, isPlain };
}
