// What the packers of weights in tests have in common: random numbers that every type holds exactly, and bits in bytes. Shares
// no code with src.

import { makeRandom } from "./random.ts";
import type { TensorToWrite } from "./safetensors-writer.ts";

export interface PackedMatrix {
  tensors: TensorToWrite[];
  values: Float32Array;
}

/** `path`: the layer's, without `.weight`. */
export type Packer = (path: string, rows: number, columns: number) => PackedMatrix;

export type Random = ReturnType<typeof makeRandom>;

export const randomFor = (name: string): Random => makeRandom(Number(Bun.hash(name) % 1_000_000_007n));
export const make = (count: number, value: (index: number) => number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => value(i));
/** A number that every type here holds exactly: some bits of mantissa, around `size`. */
export const roundScale = (random: Random, size: number): number =>
  ((random(64) + 64) / 128) * 2 ** Math.round(Math.log2(size));

export const bytesOf = (values: ArrayBufferView): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
export const halves = (values: Float32Array): Uint8Array => bytesOf(new Float16Array(values));
export const brainHalves = (values: Float32Array): Uint8Array =>
  bytesOf(Uint16Array.from(new Uint32Array(values.slice().buffer), (bits) => bits >>> 16));

/** Bit after bit, least significant first. */
export function packBits(values: ArrayLike<number>, bits: number): Uint8Array {
  const bytes = new Uint8Array((values.length * bits) / 8);
  for (let i = 0; i < values.length; i++) {
    for (let bit = 0; bit < bits; bit++) {
      const at = i * bits + bit;
      if ((((values[i] ?? 0) >> bit) & 1) === 1) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (1 << (at & 7));
    }
  }
  return bytes;
}
