// Whether what arrives of a file begins as a model does: looked at while it arrives, so that a web page or another format is
// refused at once and not after gigabytes. A beginning that is too short says nothing yet.

import { GgufError } from "../../formats/gguf/gguf-error.ts";
import { readGgufHeader } from "../../formats/gguf/read-header.ts";
import { guessFormat, MAGIC_BYTES } from "../../formats/magic.ts";
import { type ReadAt, readBytes } from "../../formats/read-at.ts";
import { AppError } from "../../protocol/errors.ts";

/** The least that is worth a look beyond the first bytes; each further look waits for twice as much. */
const FIRST_LOOK_BYTES = 64 * 1024;

export class HeaderCheck {
  readonly #sizeBytes: number | null;
  #nextBytes = 4;
  #isDone = false;

  /** `sizeBytes`: of the whole file, if that is known. */
  constructor(sizeBytes: number | null) {
    this.#sizeBytes = sizeBytes;
  }

  isDue(arrivedBytes: number): boolean {
    return !this.#isDone && arrivedBytes >= this.#nextBytes;
  }

  /** `arrived`: the file as far as it is there. Throws `format_unsupported` with what is wrong. */
  look(arrived: ReadAt): void {
    this.#nextBytes = Math.max(FIRST_LOOK_BYTES, arrived.sizeBytes * 2);
    // Counts in it are judged by the file's size: by that which it will have.
    const sizeBytes = this.#sizeBytes ?? Number.MAX_SAFE_INTEGER;
    try {
      const { dataOffset, dataBytes } = readGgufHeader(
        { sizeBytes, read: (target, offset) => arrived.read(target, offset) },
        { cutData: true },
      );
      this.#isDone = true;
      const wholeBytes = dataOffset + dataBytes;
      if (this.#sizeBytes === null || wholeBytes <= this.#sizeBytes) return;
      throw unfit(`its header says that it has ${wholeBytes} bytes, and ${this.#sizeBytes} were announced`);
    } catch (thrown) {
      if (!(thrown instanceof GgufError)) throw thrown;
      // The rest of the header is on its way.
      if (thrown.reason !== "truncated") throw explain(thrown, arrived);
    }
  }
}

/** Of the whole file. Throws `format_unsupported`. */
export function checkWhole(file: ReadAt): void {
  try {
    readGgufHeader(file);
  } catch (thrown) {
    throw thrown instanceof GgufError ? explain(thrown, file) : thrown;
  }
}

function explain(error: GgufError, file: ReadAt): AppError {
  if (error.reason !== "not-gguf") return unfit(error.message);
  const guess = guessFormat(readBytes(file, 0, MAGIC_BYTES));
  return unfit(guess === null ? error.message : `it seems to be ${guess}`);
}

function unfit(why: string): AppError {
  return new AppError({
    code: "format_unsupported",
    message: `the upload is no whole GGUF file: ${why}`,
    hint: "Send a GGUF file, or a model file in JSON or YAML.",
  });
}
