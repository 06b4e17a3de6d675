// The bytes of one stored tensor that can't be read in the order in which they are wanted: held as a whole, one at a time.

import { AppError } from "../../protocol/errors.ts";

/** The largest packed tensors of published models have some 400 MB; a tensor that claims more is not held in memory. */
const HELD_BYTES_MAX = 2 * 1024 * 1024 * 1024;

export class HeldBytes {
  #name: string | null = null;
  #buffer = new Uint8Array();
  #length = 0;

  /** The bytes that `fill` writes, until the next ones are asked for. One buffer serves all that fit into it. */
  take(name: string, length: number, fill: (bytes: Uint8Array) => void): Uint8Array {
    if (this.#name === name) return this.#buffer.subarray(0, this.#length);
    if (length > HELD_BYTES_MAX) {
      throw new AppError({
        code: "format_unsupported",
        message: `the tensor "${name.slice(0, 80)}" lies in ${length} bytes, of which at most ${HELD_BYTES_MAX} are held`,
        hint: "Use a version of the model whose weights are not packed.",
      });
    }
    this.#name = null;
    if (this.#buffer.byteLength < length) this.#buffer = new Uint8Array(length);
    this.#length = length;
    const bytes = this.#buffer.subarray(0, length);
    fill(bytes);
    this.#name = name;
    return bytes;
  }
}
