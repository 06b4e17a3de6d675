// Numbers of weights from one type to another, bit for bit as llama.cpp's converter rounds them. Pure.
// 16-bit sources go by tables of all their 65,536 values, which is quicker than any arithmetic.

import { AppError } from "../protocol/errors.ts";

/** Types of weights that can be read. */
export type SourceType = "F32" | "F16" | "BF16";
/** Types that are written: ggml's names. */
export type TargetType = "F32" | "F16" | "BF16" | "Q8_0";

export const SOURCE_BYTES: Record<SourceType, number> = { F32: 4, F16: 2, BF16: 2 };
/** Elements of a block of Q8_0. */
export const BLOCK = 32;
const BLOCK_BYTES = 34;

export function toSourceType(dtype: string, tensor: string): SourceType {
  if (dtype === "F32" || dtype === "F16" || dtype === "BF16") return dtype;
  throw new AppError({
    code: "format_unsupported",
    message: `the tensor "${tensor}" has the type ${dtype}; F32, F16 and BF16 can be converted`,
    hint: "Use a version of the model that is not quantised.",
  });
}

/** The bytes of whole rows of `source` values as `target`. May return the input itself. */
export function encodeValues(bytes: Uint8Array, source: SourceType, target: TargetType): Uint8Array {
  if (source === target) return bytes;
  if (target === "Q8_0") return encodeQ8(toFloats(bytes, source));
  if (target === "F32") return asBytes(toFloats(bytes, source));
  if (source !== "F32") return lookUp16(bytes, source, target);
  const values = toFloats(bytes, "F32");
  return target === "F16" ? asBytes(new Float16Array(values)) : asBytes(roundToBf16(values));
}

export const asBytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** A copy where the bytes are not aligned; little-endian machines only, as all that llama.cpp runs on here are. */
function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : bytes.slice();
}

function words(bytes: Uint8Array): Uint16Array {
  const whole = aligned(bytes, 2);
  return new Uint16Array(whole.buffer, whole.byteOffset, whole.byteLength / 2);
}

export function toFloats(bytes: Uint8Array, source: SourceType): Float32Array {
  if (source === "F32") {
    const whole = aligned(bytes, 4);
    return new Float32Array(whole.buffer, whole.byteOffset, whole.byteLength / 4);
  }
  const from = words(bytes);
  const floats = new Float32Array(from.length);
  if (source === "BF16") {
    const bits = new Uint32Array(floats.buffer);
    for (let i = 0; i < from.length; i++) bits[i] = (from[i] as number) << 16;
    return floats;
  }
  const table = halfTable();
  for (let i = 0; i < from.length; i++) floats[i] = table[from[i] as number] as number;
  return floats;
}

/** Every half-precision number as a float. */
function halfTable(): Float32Array {
  halves ??= Float32Array.from(new Float16Array(Uint16Array.from({ length: 65_536 }, (_, bits) => bits).buffer));
  return halves;
}
let halves: Float32Array | null = null;

function lookUp16(bytes: Uint8Array, source: "F16" | "BF16", target: "F16" | "BF16"): Uint8Array {
  const from = words(bytes);
  const table = conversionTable(source, target);
  const to = new Uint16Array(from.length);
  for (let i = 0; i < from.length; i++) to[i] = table[from[i] as number] as number;
  return asBytes(to);
}

const tables = new Map<string, Uint16Array>();

function conversionTable(source: "F16" | "BF16", target: "F16" | "BF16"): Uint16Array {
  const known = tables.get(source);
  if (known !== undefined) return known;
  const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
  const floats = toFloats(asBytes(all), source);
  const table = target === "F16" ? new Uint16Array(new Float16Array(floats).buffer) : roundToBf16(floats);
  tables.set(source, table);
  return table;
}

/** To the nearest, ties to even; a NaN stays one and becomes quiet. */
function roundToBf16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const rounded = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i] as number;
    const isNan = (value & 0x7fff_ffff) > 0x7f80_0000;
    rounded[i] = isNan ? (value >>> 16) | 64 : (value + 0x7fff + ((value >>> 16) & 1)) >>> 16;
  }
  return rounded;
}

/**
 * Blocks of 32: a half-precision scale, then bytes. Halves are rounded away from zero, all in single precision. Signs of
 * weights are as good as random, so nothing here branches by them: that alone makes it four times as quick.
 */
function encodeQ8(values: Float32Array): Uint8Array {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  const largest = new Float32Array(1);
  const largestBits = new Int32Array(largest.buffer);
  const blocks = values.length / BLOCK;
  const out = new Uint8Array(blocks * BLOCK_BYTES);
  const view = new DataView(out.buffer);
  for (let block = 0; block < blocks; block++) {
    const from = block * BLOCK;
    // Magnitudes are in the order of their bits.
    let top = 0;
    for (let i = from; i < from + BLOCK; i++) {
      const magnitude = (bits[i] as number) & 0x7fff_ffff;
      if (magnitude > top) top = magnitude;
    }
    largestBits[0] = top;
    const scale = Math.fround((largest[0] as number) / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    const at = block * BLOCK_BYTES;
    view.setFloat16(at, scale, true);
    for (let i = 0; i < BLOCK; i++) {
      const scaled = Math.fround(Math.abs(values[from + i] as number) * inverse);
      // In double precision the sum is exact, so this cuts where it shall. All ones turn a number into its negative.
      const sign = (bits[from + i] as number) >> 31;
      out[at + 2 + i] = (((scaled + 0.5) | 0) ^ sign) - sign;
    }
  }
  return out;
}
