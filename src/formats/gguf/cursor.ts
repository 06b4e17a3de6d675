// A forward cursor over a GGUF file with one fixed buffer. Owns bounds: nothing reads past the end, and a length
// that was read is checked before it is used.

import type { ReadAt } from "../read-at.ts";
import { GgufError } from "./gguf-error.ts";
import { findStringsEnd, LEAP_COUNT_MIN } from "./leap-strings.ts";

/** One buffer, whatever the file holds: headers are walked, not loaded. */
const BUFFER_BYTES = 256 * 1024;

/** Texts are what their bytes are: a byte-order mark in front is a part of them. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export class Cursor {
  readonly #file: ReadAt;
  readonly #limitBytes: number;
  readonly #leaps: boolean;
  readonly #buffer: Uint8Array;
  readonly #view: DataView;
  /** File offset of the buffer's first byte, and how many bytes of it are valid. */
  #bufferAt = 0;
  #bufferBytes = 0;
  #at = 0;

  /** `leaps`: the end of long arrays of texts is looked for, not walked to. */
  constructor(file: ReadAt, limitBytes: number, leaps = false) {
    this.#file = file;
    this.#limitBytes = limitBytes;
    this.#leaps = leaps;
    this.#buffer = new Uint8Array(Math.min(BUFFER_BYTES, Math.max(16, file.sizeBytes)));
    this.#view = new DataView(this.#buffer.buffer);
  }

  get offset(): number {
    return this.#at;
  }

  /** Throws unless `count` more bytes exist; `what` names them in the message. */
  require(count: number, what: string): void {
    const end = this.#at + count;
    if (end > this.#limitBytes) {
      throw new GgufError("limit", `${what} at byte ${this.#at} claims ${count} bytes: no real header is that large`);
    }
    const missing = end - this.#file.sizeBytes;
    if (missing > 0) {
      const message = `${what} at byte ${this.#at} needs ${count} bytes, but the file ends ${missing} bytes too early`;
      throw new GgufError("truncated", message, missing);
    }
  }

  skip(count: number, what: string): void {
    this.require(count, what);
    this.#at += count;
  }

  /**
   * Steps over strings, each behind its length: vocabularies have hundreds of thousands, so the usual case is kept short.
   * Places in the buffer are kept as 32-bit integers: with others a DataView is twenty times slower.
   */
  skipStrings(count: number, what: string): void {
    if (this.#leaps && count >= LEAP_COUNT_MIN) {
      const end = findStringsEnd(this.#file, this.#at, count);
      if (end !== null) {
        this.skip(end - this.#at, what);
        return;
      }
    }
    const view = this.#view;
    for (let left = count; left > 0; left--) {
      const valid = Math.min(this.#bufferBytes, this.#limitBytes - this.#bufferAt) | 0;
      let at = (this.#at - this.#bufferAt) | 0;
      while (left > 0 && at <= valid - 8 && view.getUint32(at + 4, true) === 0) {
        const length = view.getUint32(at, true);
        if (length > valid - at - 8) break;
        at = (at + 8 + length) | 0;
        left -= 1;
      }
      this.#at = this.#bufferAt + at;
      // At the buffer's end, or something is wrong: this says what.
      if (left > 0) this.skip(this.size(what), what);
    }
  }

  u8(what: string): number {
    return this.#view.getUint8(this.#take(1, what));
  }

  u32(what: string): number {
    return this.#view.getUint32(this.#take(4, what), true);
  }

  u64(what: string): bigint {
    return this.#view.getBigUint64(this.#take(8, what), true);
  }

  /** A 64-bit count, length or offset as a number; over 2^53 is `limit`: no file is that large. */
  size(what: string): number {
    const start = this.#at;
    const at = this.#take(8, what);
    const high = this.#view.getUint32(at + 4, true);
    if (high >= 0x200000) {
      const claimed = this.#view.getBigUint64(at, true);
      throw new GgufError("limit", `${what} at byte ${start} claims ${claimed}: no real file has that many`);
    }
    return high * 0x1_0000_0000 + this.#view.getUint32(at, true);
  }

  /** A fixed-size scalar, read by DataView. */
  scalar<T>(bytes: number, what: string, get: (view: DataView, at: number) => T): T {
    return get(this.#view, this.#take(bytes, what));
  }

  /** UTF-8 text of a known length. The caller has limited the length. */
  text(bytes: number, what: string): string {
    if (bytes <= this.#buffer.byteLength) {
      const at = this.#take(bytes, what);
      return decoder.decode(this.#buffer.subarray(at, at + bytes));
    }
    this.require(bytes, what);
    const own = new Uint8Array(bytes);
    const got = this.#file.read(own, this.#at);
    this.#at += bytes;
    return decoder.decode(own.subarray(0, got));
  }

  /** Makes the next `count` bytes (at most a buffer) available; returns their index in the buffer. */
  #take(count: number, what: string): number {
    this.require(count, what);
    const inBuffer = this.#at - this.#bufferAt;
    if (inBuffer < 0 || inBuffer + count > this.#bufferBytes) {
      this.#bufferAt = this.#at;
      this.#bufferBytes = this.#file.read(this.#buffer, this.#at);
      if (this.#bufferBytes < count) {
        throw new GgufError("truncated", `${what}: the file became shorter while it was read`, count);
      }
      this.#at += count;
      return 0;
    }
    this.#at += count;
    return inBuffer;
  }
}
