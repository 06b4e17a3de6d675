// Small numbers that lie bit after bit in 32-bit words, least significant first, also across the words' borders. Pure.

/** The `index`th field of a run of words that begins at `start` and goes on every `step` words. */
export function readField(words: Uint32Array, start: number, step: number, index: number, bits: number): number {
  const bit = index * bits;
  const shift = bit & 31;
  const at = start + (bit >>> 5) * step;
  const low = (words[at] as number) >>> shift;
  const mask = 2 ** bits - 1;
  if (shift + bits <= 32) return low & mask;
  return (low | ((words[at + step] as number) << (32 - shift))) & mask;
}

/** The fields of rows of words, one after the other; each row begins with a word of its own. */
export function unpackRows(words: Uint32Array, rows: number, columns: number, bits: number): Uint8Array {
  const out = new Uint8Array(rows * columns);
  const rowWords = (columns * bits) / 32;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      out[row * columns + column] = readField(words, row * rowWords, 1, column, bits);
    }
  }
  return out;
}
