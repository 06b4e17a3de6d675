// The 256 values of each type of one byte, and the 16 of the small floating point type of NVFP4. Pure.

export type ByteType = "F8_E4M3" | "F8_E5M2" | "I8";

export const BYTE_VALUES: Readonly<Record<ByteType, Float32Array>> = {
  F8_E4M3: Float32Array.from({ length: 256 }, (_, bits) => decodeByte(bits, 3, 7)),
  F8_E5M2: Float32Array.from({ length: 256 }, (_, bits) => decodeByte(bits, 2, 15)),
  I8: Float32Array.from({ length: 256 }, (_, bits) => (bits << 24) >> 24),
};

/** Sign, two bits of exponent, one of mantissa. */
export const E2M1_VALUES = Float32Array.of(0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6);

function decodeByte(bits: number, mantissaBits: number, bias: number): number {
  const sign = bits > 127 ? -1 : 1;
  const exponent = (bits & 127) >> mantissaBits;
  const steps = 1 << mantissaBits;
  const mantissa = (bits & (steps - 1)) / steps;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias);
  // E4M3 has no infinities, and one NaN; E5M2 is the upper half of a half-precision number.
  if (mantissaBits === 3 && (bits & 127) === 127) return Number.NaN;
  if (mantissaBits === 2 && exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + mantissa) * 2 ** (exponent - bias);
}
