// Writes what arrives of an upload behind what is there: looks at its beginning, counts and hashes it. One at a time for each
// upload; what becomes of the file is decided elsewhere (uploads.ts).

import { type FileHandle, open } from "node:fs/promises";
import { type ReadAt, withFile } from "../../formats/read-at.ts";
import { codeOf } from "../../lib/system-error.ts";
import { AppError } from "../../protocol/errors.ts";
import { HeaderCheck } from "./header-check.ts";

export interface PartOptions {
  path: string;
  /** What was there at the beginning. */
  offset: number;
  /** Of the whole file, if that is known. */
  sizeBytes: number | null;
  /** The most that is taken. */
  bytesMax: number;
  isModel: boolean;
  /** Throws when the disk gets full. Asked now and then. */
  assertRoom(): Promise<void>;
}

/** An upload of unknown length asks for room each time after this. */
const ROOM_INTERVAL_BYTES = 64 * 1024 * 1024;

export class PartWriter {
  readonly #options: PartOptions;
  readonly #check: HeaderCheck;
  /** Of all bytes from the first one on; null: some were there before. */
  readonly #hasher: Bun.CryptoHasher | null;
  #offset: number;
  #roomAt: number;

  constructor(options: PartOptions) {
    this.#options = options;
    this.#offset = options.offset;
    this.#roomAt = options.offset + ROOM_INTERVAL_BYTES;
    this.#check = new HeaderCheck(options.sizeBytes);
    this.#hasher = options.offset === 0 ? new Bun.CryptoHasher("sha256") : null;
  }

  get offset(): number {
    return this.#offset;
  }

  /** Hexadecimal, of what was written; null: it is not known without reading it. */
  digest(): string | null {
    return this.#hasher?.copy().digest("hex") ?? null;
  }

  /** Returns when the chunks end. What was written stays, however it ends. Throws what is wrong with the bytes or the disk. */
  async append(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    const file = await open(this.#options.path, "r+");
    const source = chunks[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { done, value } = await unlessAborted(source.next(), signal);
        if (done === true) break;
        await this.#write(file, value);
      }
      await file.datasync();
    } catch (thrown) {
      // Not awaited: it may wait for that client.
      void Promise.allSettled([source.return?.()]);
      throw explainDisk(thrown);
    } finally {
      await file.close();
    }
  }

  async #write(file: FileHandle, chunk: Uint8Array): Promise<void> {
    const { sizeBytes, bytesMax, isModel, path } = this.#options;
    const limit = Math.min(sizeBytes ?? Number.POSITIVE_INFINITY, bytesMax);
    if (this.#offset + chunk.byteLength > limit) {
      const what = limit === sizeBytes ? `the ${limit} bytes that were announced` : `${limit} bytes`;
      throw new AppError({ code: "payload_too_large", message: `the upload is longer than ${what}` });
    }
    if (this.#offset >= this.#roomAt) {
      this.#roomAt += ROOM_INTERVAL_BYTES;
      await this.#options.assertRoom();
    }
    let written = 0;
    while (written < chunk.byteLength) {
      const { bytesWritten } = await file.write(chunk, written, chunk.byteLength - written, this.#offset + written);
      written += bytesWritten;
    }
    this.#hasher?.update(chunk);
    this.#offset += chunk.byteLength;
    if (isModel && this.#check.isDue(this.#offset)) withFile(path, (arrived: ReadAt) => this.#check.look(arrived));
  }
}

/**
 * Whoever stops it must not wait for a client that sends nothing. Not a race with one promise for all chunks: that would
 * keep each of them until the end.
 */
async function unlessAborted<T>(step: Promise<T>, signal: AbortSignal): Promise<T> {
  const ended = Promise.withResolvers<never>();
  const abort = (): void => ended.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([step, ended.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

export function explainDisk(thrown: unknown): unknown {
  if (!["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO"].includes(codeOf(thrown))) return thrown;
  const message = `the upload could not be written: ${(thrown as Error).message}`;
  const hint = "Free disk space, or check the permissions of the models folder.";
  return new AppError({ code: "storage_unavailable", message, hint }, { cause: thrown });
}
