// Reads a SafeTensors file's header: a length, then JSON with every tensor's type, shape and place. Never the tensor
// data. It trusts nothing: the data must be covered exactly once, without holes, by tensors whose bytes fit their shape.

import { isRecord } from "../../lib/is-record.ts";
import { type ReadAt, readBytes } from "../read-at.ts";

export interface SafetensorsTensor {
  name: string;
  /** As the file has it, such as `BF16`. */
  dtype: string;
  /** Slowest-varying dimension first. */
  shape: readonly number[];
  /** Absolute byte range in the file. */
  start: number;
  end: number;
}

export interface SafetensorsHeader {
  /** In the order of their data. */
  tensors: ReadonlyMap<string, SafetensorsTensor>;
  /** `__metadata__`: texts. Has no prototype, so no name can reach one. */
  metadata: Readonly<Record<string, string>>;
  /** Where tensor data begins. */
  dataStart: number;
}

/**
 * `not-safetensors`: other bytes. `unsupported`: an element type that is not known here. `truncated`: bytes are missing
 * at the end. `damaged`: contradicts itself. `limit`: sizes that no real file has.
 */
export type SafetensorsReason = "not-safetensors" | "unsupported" | "truncated" | "damaged" | "limit";

export class SafetensorsError extends Error {
  readonly reason: SafetensorsReason;
  /** Bytes that the file lacks, at least; null where that is not the trouble. */
  readonly missingBytes: number | null;

  constructor(reason: SafetensorsReason, message: string, missingBytes: number | null = null) {
    super(message);
    this.name = "SafetensorsError";
    this.reason = reason;
    this.missingBytes = missingBytes;
  }
}

/** The eight bytes of the header's length. */
const LENGTH_BYTES = 8;
/** The largest known headers (tens of thousands of expert tensors) are under 5 MB; parsing costs some tens of times that. */
const HEADER_BYTES_MAX = 32 * 1024 * 1024;
/** As for GGUF: unmerged experts make some ten thousand. */
const TENSOR_COUNT_MAX = 262_144;
/** Longer ones are no name that a framework gives a parameter. */
const NAME_LENGTH_MAX = 1_024;
/** Frameworks go to eight or so. */
const DIMS_MAX = 32;
/** Notes of a trainer; some put a whole configuration there. */
const METADATA_COUNT_MAX = 4_096;

/** Bits of one element. */
const DTYPE_BITS: ReadonlyMap<string, number> = new Map([
  ["BOOL", 8],
  ["U8", 8],
  ["I8", 8],
  ["F8_E4M3", 8],
  ["F8_E5M2", 8],
  ["F8_E8M0", 8],
  ["F8_E4M3FNUZ", 8],
  ["F8_E5M2FNUZ", 8],
  ["F4", 4],
  ["F6_E2M3", 6],
  ["F6_E3M2", 6],
  ["I16", 16],
  ["U16", 16],
  ["F16", 16],
  ["BF16", 16],
  ["I32", 32],
  ["U32", 32],
  ["F32", 32],
  ["I64", 64],
  ["U64", 64],
  ["F64", 64],
  ["C64", 64],
]);

/** Throws `SafetensorsError`, and whatever `file.read` throws. */
export function readSafetensorsHeader(file: ReadAt): SafetensorsHeader {
  const headerBytes = readHeaderLength(file);
  const dataStart = LENGTH_BYTES + headerBytes;
  if (dataStart > file.sizeBytes) {
    const missing = dataStart - file.sizeBytes;
    throw new SafetensorsError("truncated", `the file ends ${missing} bytes before its header does`, missing);
  }
  const fields = parseHeader(readBytes(file, LENGTH_BYTES, headerBytes), headerBytes);
  const names = Object.keys(fields);
  if (names.length > TENSOR_COUNT_MAX) {
    throw new SafetensorsError("limit", `the header has ${names.length} entries; at most ${TENSOR_COUNT_MAX} are read`);
  }
  const found: SafetensorsTensor[] = [];
  for (const name of names) {
    if (name !== "__metadata__") found.push(readTensor(name, fields[name], dataStart));
  }
  // Stable, so empty tensors at one place keep the header's order.
  found.sort((a, b) => a.start - b.start || a.end - b.end);
  checkCover(found, dataStart, file.sizeBytes);
  const tensors = new Map(found.map((tensor) => [tensor.name, tensor]));
  return { tensors, metadata: readNotes(fields), dataStart };
}

/** The length, once the first bytes have made sure that a header follows. */
function readHeaderLength(file: ReadAt): number {
  const head = readBytes(file, 0, LENGTH_BYTES + 1);
  if (file.sizeBytes < LENGTH_BYTES + 2) {
    throw new SafetensorsError("truncated", `the file has ${file.sizeBytes} bytes`, LENGTH_BYTES + 2 - file.sizeBytes);
  }
  if (head.byteLength < LENGTH_BYTES + 1 || head[LENGTH_BYTES] !== 0x7b) {
    throw new SafetensorsError("not-safetensors", "no JSON object follows the header's length");
  }
  const length = new DataView(head.buffer, head.byteOffset).getBigUint64(0, true);
  if (length > BigInt(HEADER_BYTES_MAX)) {
    throw new SafetensorsError("limit", `the header claims ${length} bytes; at most ${HEADER_BYTES_MAX} are read`);
  }
  if (length < 2n) throw new SafetensorsError("damaged", `the header claims ${length} bytes`);
  return Number(length);
}

function parseHeader(bytes: Uint8Array, expectedBytes: number): Record<string, unknown> {
  if (bytes.byteLength < expectedBytes) {
    throw new SafetensorsError("truncated", "the file became shorter while it was read", expectedBytes);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new SafetensorsError("damaged", `the header is not JSON: ${why.slice(0, 120)}`);
  }
  if (!isRecord(value)) throw new SafetensorsError("damaged", "the header is no JSON object");
  return value;
}

function readTensor(name: string, value: unknown, dataStart: number): SafetensorsTensor {
  const shown = `"${name.slice(0, 80)}"`;
  if (name.length > NAME_LENGTH_MAX) {
    throw new SafetensorsError("limit", `the tensor name ${shown}… has ${name.length} characters`);
  }
  if (!isRecord(value)) throw new SafetensorsError("damaged", `the tensor ${shown} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") throw new SafetensorsError("damaged", `the tensor ${shown} has no dtype`);
  const bits = DTYPE_BITS.get(dtype);
  if (bits === undefined) {
    throw new SafetensorsError("unsupported", `the tensor ${shown} has the unknown dtype "${dtype.slice(0, 40)}"`);
  }
  if (!isSizes(shape)) throw new SafetensorsError("damaged", `the tensor ${shown} has no shape of whole numbers`);
  if (shape.length > DIMS_MAX) {
    throw new SafetensorsError("limit", `the tensor ${shown} has ${shape.length} dimensions`);
  }
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw new SafetensorsError("damaged", `the tensor ${shown} has no pair of data_offsets`);
  }
  const [start = 0, end = 0] = offsets;
  const bytes = countBytes(shape, bits, shown);
  if (end - start !== bytes) {
    const claim = `${dtype} of shape [${shape.join(", ")}] takes ${bytes} bytes, its data_offsets span ${end - start}`;
    throw new SafetensorsError("damaged", `the tensor ${shown}: ${claim}`);
  }
  return { name, dtype, shape, start: dataStart + start, end: dataStart + end };
}

function countBytes(shape: readonly number[], bits: number, shown: string): number {
  let elements = 1;
  for (const size of shape) {
    elements *= size;
    // Checked at each step: a zero later on must not hide a product that has become inexact.
    if (!Number.isSafeInteger(elements * 64)) {
      throw new SafetensorsError("limit", `the tensor ${shown} claims over 2^47 elements`);
    }
  }
  if ((elements * bits) % 8 !== 0) {
    throw new SafetensorsError("damaged", `the tensor ${shown} ends within a byte`);
  }
  return (elements * bits) / 8;
}

/** Overlaps, holes, and a file that is shorter or longer than its tensors. */
function checkCover(tensors: readonly SafetensorsTensor[], dataStart: number, fileBytes: number): void {
  let at = dataStart;
  for (const tensor of tensors) {
    const what = `the data of "${tensor.name.slice(0, 80)}"`;
    if (tensor.start < at) throw new SafetensorsError("damaged", `${what} overlaps another tensor's`);
    if (tensor.start > at)
      throw new SafetensorsError("damaged", `a hole of ${tensor.start - at} bytes precedes ${what}`);
    at = tensor.end;
  }
  if (at > fileBytes) {
    const message = `the file has ${fileBytes} of ${at} bytes: ${at - fileBytes} bytes are missing at its end`;
    throw new SafetensorsError("truncated", message, at - fileBytes);
  }
  if (at < fileBytes) {
    throw new SafetensorsError("damaged", `${fileBytes - at} bytes follow the last tensor, which no tensor claims`);
  }
}

function readNotes(fields: Record<string, unknown>): Readonly<Record<string, string>> {
  const notes: Record<string, string> = Object.create(null);
  if (!Object.hasOwn(fields, "__metadata__")) return notes;
  const value = fields.__metadata__;
  if (!isRecord(value)) throw new SafetensorsError("damaged", "__metadata__ is no object");
  const entries = Object.entries(value);
  if (entries.length > METADATA_COUNT_MAX) {
    throw new SafetensorsError("limit", `__metadata__ has ${entries.length} entries`);
  }
  for (const [key, text] of entries) {
    if (typeof text !== "string")
      throw new SafetensorsError("damaged", `__metadata__: "${key.slice(0, 80)}" is no text`);
    notes[key] = text;
  }
  return notes;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
