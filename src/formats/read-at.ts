// Random access to a file's bytes, for readers of headers: they ask for places, never for the whole file.
// Owns opening and closing; what the bytes mean is its callers' business.

import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";

export interface ReadAt {
  readonly sizeBytes: number;
  /** Fills `target` from `offset`; returns how many bytes it got, fewer only at the file's end. */
  read(target: Uint8Array, offset: number): number;
}

/** The path leads to a folder, a pipe or a device: no file with a header in it. */
export class NotAFileError extends Error {
  constructor(path: string) {
    super(`${path} is not a regular file`);
    this.name = "NotAFileError";
  }
}

/** Opens a regular file for the time of `use`. Other kinds are refused: opening a pipe would block for ever. */
export function withFile<T>(path: string, use: (file: ReadAt) => T): T {
  if (!statSync(path).isFile()) throw new NotAFileError(path);
  const descriptor = openSync(path, "r");
  try {
    const stats = fstatSync(descriptor);
    return use({ sizeBytes: stats.size, read: (target, offset) => readFully(descriptor, target, offset) });
  } finally {
    closeSync(descriptor);
  }
}

/** At most `count` bytes from `offset`; fewer only at the file's end. The caller has bounded `count`. */
export function readBytes(file: ReadAt, offset: number, count: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(0, Math.min(count, file.sizeBytes - offset)));
  return bytes.subarray(0, file.read(bytes, offset));
}

function readFully(descriptor: number, target: Uint8Array, offset: number): number {
  let done = 0;
  while (done < target.byteLength) {
    const count = readSync(descriptor, target, done, target.byteLength - done, offset + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** A part of a file as a file of its own; what is beyond the file's end is not there. */
export function sliceFile(file: ReadAt, start: number, sizeBytes: number): ReadAt {
  const size = Math.max(0, Math.min(sizeBytes, file.sizeBytes - start));
  return {
    sizeBytes: size,
    read(target, offset) {
      const count = Math.max(0, Math.min(target.byteLength, size - offset));
      return count === 0 ? 0 : file.read(target.subarray(0, count), start + offset);
    },
  };
}

/** Bytes that are already in memory, as a file. */
export function bytesAsFile(bytes: Uint8Array): ReadAt {
  return {
    sizeBytes: bytes.byteLength,
    read(target, offset) {
      const part = bytes.subarray(offset, offset + target.byteLength);
      target.set(part);
      return part.byteLength;
    },
  };
}
