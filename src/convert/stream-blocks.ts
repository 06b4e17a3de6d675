// MXFP4's numbers on their way into a GGUF, where they stay what they are: gpt-oss keeps blocks and scales apart and neighbours in
// a byte; ggml has a block behind its scale, and in a byte numbers of both halves. Only bits are moved.

import type { TensorSource } from "./model-plan.ts";
import type { WeightSource } from "./weights.ts";

/** Two numbers in each. */
export const BLOCK_CODES = 16;
const BLOCK_BYTES = 1 + BLOCK_CODES;
/** Of the source. */
const CHUNK_BYTES = 1024 * 1024;

/** Whole rows; one of each `step`. */
export function* streamBlocks(
  weights: WeightSource,
  { blocks, scales, take }: TensorSource & { kind: "mxfp4" },
): Generator<Uint8Array> {
  const [experts = 0, expertRows = 0, rowBlocks = 0] = scales.shape;
  const rows = experts * expertRows;
  const unit = take.step;
  const step = Math.max(1, Math.floor(CHUNK_BYTES / (rowBlocks * BLOCK_CODES * unit))) * unit;
  for (let from = 0; from < rows; from += step) {
    const count = Math.min(step, rows - from);
    const codes = new Uint8Array(count * rowBlocks * BLOCK_CODES);
    const exponents = new Uint8Array(count * rowBlocks);
    weights.read(blocks, from * rowBlocks * BLOCK_CODES, codes);
    weights.read(scales, from * rowBlocks, exponents);
    const out = new Uint8Array((count / unit) * rowBlocks * BLOCK_BYTES);
    let at = 0;
    for (let row = take.first; row < count; row += unit) {
      for (let block = row * rowBlocks; block < (row + 1) * rowBlocks; block++, at += BLOCK_BYTES) {
        out[at] = exponents[block] as number;
        moveCodes(codes.subarray(block * BLOCK_CODES, (block + 1) * BLOCK_CODES), out.subarray(at + 1));
      }
    }
    yield out;
  }
}

/** Number i lies in byte i / 2, low bits first; there it lies in byte i % 16, low bits for the first half. */
function moveCodes(codes: Uint8Array, out: Uint8Array): void {
  const half = BLOCK_CODES / 2;
  for (let i = 0; i < half; i++) {
    const [early, late] = [codes[i] as number, codes[half + i] as number];
    out[2 * i] = (early & 15) | ((late & 15) << 4);
    out[2 * i + 1] = (early >> 4) | (late & 0xf0);
  }
}
