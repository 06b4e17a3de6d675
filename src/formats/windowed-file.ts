// A file with one window of it in memory: for formats that are walked in small steps and long leaps. Owns bounds: what
// lies beyond the end is an error of the caller's kind, never a wrong value.

import type { ReadAt } from "./read-at.ts";

/** A walk through a table of tensors stays in few windows; a leap over weights costs one read. */
const WINDOW_BYTES = 64 * 1024;

/** Something lies beyond the file's end. */
export class OutOfFileError extends Error {
  constructor(at: number, count: number, sizeBytes: number) {
    super(`${count} bytes are wanted at byte ${at}, but the file has ${sizeBytes}`);
    this.name = "OutOfFileError";
  }
}

export class WindowedFile {
  readonly sizeBytes: number;
  readonly #file: ReadAt;
  readonly #window: Uint8Array;
  readonly #view: DataView;
  #start = 0;
  #valid = 0;

  constructor(file: ReadAt, windowBytes = WINDOW_BYTES) {
    this.#file = file;
    this.sizeBytes = file.sizeBytes;
    this.#window = new Uint8Array(Math.min(windowBytes, Math.max(16, file.sizeBytes)));
    this.#view = new DataView(this.#window.buffer);
  }

  u8(at: number): number {
    return this.#view.getUint8(this.#locate(at, 1));
  }

  u16(at: number): number {
    return this.#view.getUint16(this.#locate(at, 2), true);
  }

  u32(at: number): number {
    return this.#view.getUint32(this.#locate(at, 4), true);
  }

  i32(at: number): number {
    return this.#view.getInt32(this.#locate(at, 4), true);
  }

  u64(at: number): bigint {
    return this.#view.getBigUint64(this.#locate(at, 8), true);
  }

  /** A copy. The caller has limited `count`. */
  bytes(at: number, count: number): Uint8Array {
    if (count <= this.#window.byteLength) {
      const index = this.#locate(at, count);
      return this.#window.slice(index, index + count);
    }
    if (at < 0 || at + count > this.sizeBytes) throw new OutOfFileError(at, count, this.sizeBytes);
    const own = new Uint8Array(count);
    if (this.#file.read(own, at) < count) throw new OutOfFileError(at, count, this.sizeBytes);
    return own;
  }

  text(at: number, count: number): string {
    return new TextDecoder().decode(this.bytes(at, count));
  }

  #locate(at: number, count: number): number {
    if (at < 0 || !Number.isSafeInteger(at) || at + count > this.sizeBytes) {
      throw new OutOfFileError(at, count, this.sizeBytes);
    }
    if (at < this.#start || at + count > this.#start + this.#valid) {
      this.#start = at;
      this.#valid = this.#file.read(this.#window, at);
      if (this.#valid < count) throw new OutOfFileError(at, count, this.sizeBytes);
    }
    return at - this.#start;
  }
}
