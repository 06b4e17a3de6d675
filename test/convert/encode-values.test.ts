// Numbers of weights between types: exact where the target holds them, rounded to the nearest where it does not.

import { describe, expect, test } from "bun:test";
import { encodeValues, toFloats, toSourceType } from "../../src/convert/encode-values.ts";
import { makeNormalSource } from "../support/gguf-builder.ts";
import { encodeTensor } from "../support/gguf-writer.ts";

const bytesOf = ({ buffer }: Float32Array | Uint16Array | Float16Array): Uint8Array =>
  new Uint8Array(buffer as ArrayBuffer);
const wordsOf = (bytes: Uint8Array): Uint16Array => new Uint16Array(bytes.slice().buffer);

const ALL = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
const isNan16 = (bits: number, exponent: number) =>
  (bits & exponent) === exponent && (bits & (exponent ^ 0x7fff)) !== 0;

describe("16-bit numbers", () => {
  test.each(["F16", "BF16"] as const)("every %s is exact as F32, and comes back", (type) => {
    const floats = encodeValues(bytesOf(ALL), type, "F32");
    const back = wordsOf(encodeValues(floats, "F32", type));
    const exponent = type === "F16" ? 0x7c00 : 0x7f80;
    for (const [i, bits] of ALL.entries()) if (!isNan16(bits, exponent)) expect(back[i]).toBe(bits);
    for (const [i, bits] of ALL.entries())
      if (isNan16(bits, exponent)) expect(isNan16(back[i] ?? 0, exponent)).toBe(true);
  });

  test("between the two, as by way of F32", () => {
    for (const [from, to] of [
      ["F16", "BF16"],
      ["BF16", "F16"],
    ] as const) {
      const direct = encodeValues(bytesOf(ALL), from, to);
      expect(direct).toEqual(encodeValues(encodeValues(bytesOf(ALL), from, "F32"), "F32", to));
    }
  });

  test("BF16 rounds to the nearest, ties to even", () => {
    const bits = Uint32Array.of(
      0x3f80_0000,
      0x3f80_7fff,
      0x3f80_8000,
      0x3f81_8000,
      0x3f80_8001,
      0x7f7f_ffff,
      0xff80_0000,
    );
    const words = wordsOf(encodeValues(new Uint8Array(bits.buffer), "F32", "BF16"));
    expect([...words]).toEqual([0x3f80, 0x3f80, 0x3f80, 0x3f82, 0x3f81, 0x7f80, 0xff80]);
  });

  test("bytes that are not aligned are read all the same", () => {
    const shifted = new Uint8Array(9);
    shifted.set(bytesOf(Float32Array.of(1.5, -2)), 1);
    expect([...toFloats(shifted.subarray(1), "F32")]).toEqual([1.5, -2]);
    expect([...toFloats(bytesOf(Uint16Array.of(0, 0x3fc0)).subarray(2), "BF16")]).toEqual([1.5]);
  });
});

describe("Q8_0", () => {
  const random = makeNormalSource("q8");
  const values = Float32Array.from({ length: 32 * 500 }, () => random());
  const decode = (bytes: Uint8Array) =>
    Float32Array.from({ length: (bytes.length / 34) * 32 }, (_, i) => {
      const at = Math.floor(i / 32) * 34;
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      return view.getFloat16(at, true) * view.getInt8(at + 2 + (i % 32));
    });

  test("no value is off by more than half a step and the rounding of the scale", () => {
    const back = decode(encodeValues(bytesOf(values), "F32", "Q8_0"));
    for (let block = 0; block < values.length; block += 32) {
      const largest = Math.max(...values.subarray(block, block + 32).map(Math.abs));
      for (let i = block; i < block + 32; i++) {
        expect(Math.abs((back[i] ?? 0) - (values[i] ?? 0))).toBeLessThanOrEqual(
          largest * (0.5 / 127 + 2 ** -11) + 1e-7,
        );
      }
    }
  });

  test("halves go away from zero on both sides", () => {
    const block = new Float32Array(32);
    block.set([127, 0.5, -0.5, 1.5, -1.5, 2.4]);
    const encoded = encodeValues(bytesOf(block), "F32", "Q8_0");
    expect([...new Int8Array(encoded.buffer, 2, 6)]).toEqual([127, 1, -1, 2, -2, 2]);
  });

  test("zeros are zeros, and 16-bit sources go the same way", () => {
    expect(encodeValues(new Uint8Array(128), "F32", "Q8_0")).toEqual(new Uint8Array(34));
    const halves = new Float16Array(values);
    expect(encodeValues(bytesOf(halves), "F16", "Q8_0")).toEqual(
      encodeValues(bytesOf(Float32Array.from(halves)), "F32", "Q8_0"),
    );
  });

  test("nearly as the tests' own quantiser, which rounds in double precision", () => {
    const own = encodeTensor("Q8_0", values);
    const found = encodeValues(bytesOf(values), "F32", "Q8_0");
    expect(found.length).toBe(own.length);
    const different = found.filter((byte, i) => byte !== own[i]).length;
    expect(different).toBeLessThan(found.length / 1000);
  });
});

test("other types are refused by name", () => {
  expect(() => toSourceType("F8_E4M3", "a.weight")).toThrow('"a.weight" has the type F8_E4M3');
});
