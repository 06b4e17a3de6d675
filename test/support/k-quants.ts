// The bytes of ggml's Q4_K and Q6_K blocks. Layouts are those of ggml-quants.c; scales are the plain ones (from the
// least and the largest value), where llama.cpp searches for better: good enough for random weights.

/** Values of one block of either type. */
export const SUPER_BLOCK = 256;
export const Q4_K_BYTES = 144;
export const Q6_K_BYTES = 210;

/** Values that share a scale. */
const Q4_PART = 32;
const Q6_PART = 16;

export function encodeQ4K(values: Float32Array): Uint8Array<ArrayBuffer> {
  const blocks = values.length / SUPER_BLOCK;
  const out = new Uint8Array(blocks * Q4_K_BYTES);
  for (let block = 0; block < blocks; block++) {
    const from = values.subarray(block * SUPER_BLOCK, (block + 1) * SUPER_BLOCK);
    writeQ4K(from, out.subarray(block * Q4_K_BYTES, (block + 1) * Q4_K_BYTES));
  }
  return out;
}

/** float16 scale, float16 minimum, twelve bytes of 6-bit scales and minima, 128 bytes of quants. */
function writeQ4K(values: Float32Array, out: Uint8Array<ArrayBuffer>): void {
  const parts = Array.from({ length: SUPER_BLOCK / Q4_PART }, (_, part) => {
    const some = values.subarray(part * Q4_PART, (part + 1) * Q4_PART);
    // A value is scale × quant − minimum, so the minimum is at least 0.
    const minimum = Math.max(0, -Math.min(...some));
    return { scale: Math.max(0, Math.max(...some) + minimum) / 15, minimum };
  });
  const scale = Math.fround(Math.max(...parts.map((part) => part.scale)) / 63);
  const minimum = Math.fround(Math.max(...parts.map((part) => part.minimum)) / 63);
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  view.setFloat16(0, scale, true);
  view.setFloat16(2, minimum, true);
  const [unit, minimumUnit] = [view.getFloat16(0, true), view.getFloat16(2, true)];
  parts.forEach((part, index) => {
    const scaleBits = quantise(part.scale, unit, 63);
    const minimumBits = quantise(part.minimum, minimumUnit, 63);
    packScale(out.subarray(4, 16), index, scaleBits, minimumBits);
    const quants = values.subarray(index * Q4_PART, (index + 1) * Q4_PART);
    const at = 16 + (index >> 1) * Q4_PART;
    for (let i = 0; i < Q4_PART; i++) {
      const quant = quantise((quants[i] as number) + minimumUnit * minimumBits, unit * scaleBits, 15);
      out[at + i] = (out[at + i] as number) | (quant << (index % 2 === 0 ? 0 : 4));
    }
  });
}

/** The first four keep six bits in a byte each; the upper bits of the last four lie above them. */
function packScale(packed: Uint8Array, index: number, scale: number, minimum: number): void {
  const or = (at: number, bits: number): void => {
    packed[at] = (packed[at] as number) | bits;
  };
  if (index < 4) {
    or(index, scale);
    or(index + 4, minimum);
    return;
  }
  or(index + 4, (scale & 15) | ((minimum & 15) << 4));
  or(index - 4, (scale >> 4) << 6);
  or(index, (minimum >> 4) << 6);
}

function quantise(value: number, unit: number, most: number): number {
  return unit === 0 ? 0 : Math.max(0, Math.min(most, Math.round(value / unit)));
}

export function encodeQ6K(values: Float32Array): Uint8Array<ArrayBuffer> {
  const blocks = values.length / SUPER_BLOCK;
  const out = new Uint8Array(blocks * Q6_K_BYTES);
  for (let block = 0; block < blocks; block++) {
    const from = values.subarray(block * SUPER_BLOCK, (block + 1) * SUPER_BLOCK);
    writeQ6K(from, out.subarray(block * Q6_K_BYTES, (block + 1) * Q6_K_BYTES));
  }
  return out;
}

/** 128 bytes of lower halves, 64 of upper bits, sixteen 8-bit scales, float16 scale. */
function writeQ6K(values: Float32Array, out: Uint8Array<ArrayBuffer>): void {
  const scales = Array.from({ length: SUPER_BLOCK / Q6_PART }, (_, part) => {
    const some = values.subarray(part * Q6_PART, (part + 1) * Q6_PART);
    return some.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 31;
  });
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  view.setFloat16(208, Math.max(...scales) / 127, true);
  const unit = view.getFloat16(208, true);
  const steps = scales.map((scale) => quantise(scale, unit, 127));
  steps.forEach((step, part) => {
    out[192 + part] = step;
  });
  for (let i = 0; i < SUPER_BLOCK; i++) {
    const step = unit * (steps[i >> 4] as number);
    const quant = step === 0 ? 32 : 32 + Math.max(-32, Math.min(31, Math.round((values[i] as number) / step)));
    const [half, row, column] = [i >> 7, (i >> 5) & 3, i & 31];
    const low = half * 64 + (row & 1) * 32 + column;
    out[low] = (out[low] as number) | ((quant & 15) << (row < 2 ? 0 : 4));
    const high = 128 + half * 32 + column;
    out[high] = (out[high] as number) | ((quant >> 4) << (row * 2));
  }
}
