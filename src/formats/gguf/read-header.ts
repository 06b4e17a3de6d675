// Reads a GGUF file's header (versions 2 and 3): metadata and tensor infos, never the tensor data.
// It trusts nothing in the file: every count and length is checked against the file's size and a
// limit before it is used, so that a cut or hostile file costs little and gets a clear error.

import type { ReadAt } from "../read-at.ts";
import { Cursor } from "./cursor.ts";
import { GgufError } from "./gguf-error.ts";
import { type GgufValue, readMetadata } from "./read-metadata.ts";
import { alignUp, type GgufTensor, readTensors } from "./read-tensors.ts";

export interface GgufHeader {
  version: number;
  metadata: Map<string, GgufValue>;
  tensorCount: number;
  /** Elements of all tensors: the parameter count. */
  elementCount: number;
  /** Where the tensor data starts in the file, and how many bytes of it there are. */
  dataOffset: number;
  dataBytes: number;
  fileBytes: number;
  /** Null unless asked for by `tensors: true`. */
  tensors: GgufTensor[] | null;
}

/** The largest known headers (a vocabulary of 260,000 with merges) take about 30 MB. */
const HEADER_BYTES_MAX = 256 * 1024 * 1024;
const MAGIC = 0x46554747; // "GGUF", read as little-endian
const ALIGNMENT_DEFAULT = 32;
/** Real files use 32; more than a huge page makes no sense and would only hide a damaged value. */
const ALIGNMENT_MAX = 2 * 1024 * 1024;

export interface GgufReading {
  /** Keeps the list of tensors. */
  tensors?: boolean;
  /** Takes a file whose tensor data is cut: `dataOffset + dataBytes` then lies beyond `fileBytes`. */
  cutData?: boolean;
  /** Steps over vocabularies by looking at a few places of them: quick, but their counts are taken as they are stated. */
  leaps?: boolean;
}

/** Throws `GgufError`, and whatever `file.read` throws. */
export function readGgufHeader(file: ReadAt, options: GgufReading = {}): GgufHeader {
  if (file.sizeBytes === 0) throw new GgufError("truncated", "the file is empty", 24);
  const cursor = new Cursor(file, HEADER_BYTES_MAX, options.leaps === true);
  const version = readVersion(cursor, file.sizeBytes);
  const tensorCount = cursor.size("the tensor count");
  const metadataCount = cursor.size("the metadata count");
  const metadata = readMetadata(cursor, metadataCount);
  const alignment = readAlignment(metadata);
  const section = readTensors(cursor, tensorCount, alignment, options.tensors === true);
  const dataOffset = tensorCount === 0 ? cursor.offset : alignUp(cursor.offset, alignment);
  const missing = dataOffset + section.dataBytes - file.sizeBytes;
  if (tensorCount > 0 && missing > 0 && options.cutData !== true) {
    const whole = dataOffset + section.dataBytes;
    const message = `the file has ${file.sizeBytes} of ${whole} bytes: ${missing} bytes are missing at its end`;
    throw new GgufError("truncated", message, missing);
  }
  return {
    version,
    metadata,
    tensorCount,
    elementCount: section.elementCount,
    dataOffset,
    dataBytes: section.dataBytes,
    fileBytes: file.sizeBytes,
    tensors: section.tensors,
  };
}

function readVersion(cursor: Cursor, fileBytes: number): number {
  if (fileBytes < 4 || cursor.u32("the magic bytes") !== MAGIC) {
    throw new GgufError("not-gguf", "the file does not begin with the bytes GGUF");
  }
  const version = cursor.u32("the version");
  if (version === 2 || version === 3) return version;
  if (version === 1) {
    throw new GgufError("unsupported", "GGUF version 1 is no longer readable by llama.cpp; convert the model again");
  }
  // A big-endian 3 reads as 0x03000000: llama.cpp tells by the same test.
  if (version !== 0 && (version & 0xffff) === 0) {
    throw new GgufError("unsupported", "the file is a big-endian GGUF; this machine needs the little-endian one");
  }
  if (version === 0) throw new GgufError("damaged", "the file claims GGUF version 0, which does not exist");
  throw new GgufError("unsupported", `GGUF version ${version} is newer than this program; it reads 2 and 3`);
}

function readAlignment(metadata: Map<string, GgufValue>): number {
  const value = metadata.get("general.alignment");
  if (value === undefined) return ALIGNMENT_DEFAULT;
  const valid = typeof value === "number" && value >= 1 && value <= ALIGNMENT_MAX && Number.isInteger(Math.log2(value));
  if (!valid) throw new GgufError("damaged", `general.alignment is ${String(value)}, not a power of two`);
  return value;
}
