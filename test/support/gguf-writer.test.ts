// What the writer writes is what the layout scanner reads, and its quantisers stay within their steps.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeNormalSource } from "./gguf-builder.ts";
import { readInts, readStrings, scanGguf } from "./gguf-layout.ts";
import { encodeTensor, type GgufFile, type TensorSource, writeGguf } from "./gguf-writer.ts";

function write(file: GgufFile): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "mlo-gguf-"));
  try {
    writeGguf(join(folder, "file.gguf"), file);
    return new Uint8Array(readFileSync(join(folder, "file.gguf")));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const counting = (name: string, shape: number[], type: TensorSource["type"]): TensorSource => ({
  name,
  shape,
  type,
  fill: (out, start) =>
    out.forEach((_, i) => {
      out[i] = (start + i) % 97;
    }),
});

describe("writeGguf", () => {
  test("metadata of every type, and tensors at aligned offsets", () => {
    const bytes = write({
      metadata: [
        ["a.u8", { type: "u8", value: 200 }],
        ["a.i8", { type: "i8", value: -5 }],
        ["a.u16", { type: "u16", value: 60_000 }],
        ["a.i16", { type: "i16", value: -5 }],
        ["a.u32", { type: "u32", value: 2 ** 32 - 1 }],
        ["a.i32", { type: "i32", value: -5 }],
        ["a.f32", { type: "f32", value: 0.5 }],
        ["a.u64", { type: "u64", value: 2n ** 63n }],
        ["a.i64", { type: "i64", value: -5n }],
        ["a.f64", { type: "f64", value: Math.PI }],
        ["a.bool", { type: "bool", value: true }],
        ["a.text", { type: "string", value: "größer" }],
        ["a.texts", { type: "array", of: "string", values: ["x", "", "größer"] }],
        ["a.ints", { type: "array", of: "i32", values: [1, -2, 3] }],
        ["a.flags", { type: "array", of: "bool", values: [true, false] }],
        ["a.raw", { type: "raw", typeId: 4, bytes: new Uint8Array([1, 0, 0, 0]) }],
      ],
      tensors: [counting("one", [3], "F32"), counting("two", [64, 2], "Q8_0"), counting("three", [5, 7], "F16")],
    });
    const layout = scanGguf(bytes);
    expect(layout.metadata.map((entry) => entry.typeId)).toEqual([0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 7, 8, 9, 9, 9, 4]);
    const texts = layout.metadata.find((entry) => entry.key === "a.texts");
    const ints = layout.metadata.find((entry) => entry.key === "a.ints");
    expect(texts && readStrings(bytes, texts)).toEqual(["x", "", "größer"]);
    expect(ints && [...readInts(bytes, ints)]).toEqual([1, -2, 3]);
    expect(layout.tensors.map(({ name, dimensions, typeId, offset }) => [name, dimensions, typeId, offset])).toEqual([
      ["one", [3], 0, 0],
      ["two", [64, 2], 8, 32],
      ["three", [5, 7], 1, 192],
    ]);
    expect(bytes.length).toBe(layout.dataAt + 192 + 96);
    expect(new DataView(bytes.buffer).getFloat32(layout.dataAt + 4, true)).toBe(1);
  });

  test("a tensor larger than a chunk is written whole, and a repeated one repeats its first chunk", () => {
    const elements = 600_000;
    const bytes = write({
      metadata: [],
      tensors: [counting("whole", [elements], "F32"), { ...counting("repeated", [elements], "F32"), repeated: true }],
    });
    const { dataAt, tensors } = scanGguf(bytes);
    const read = (tensor: number, index: number) =>
      new DataView(bytes.buffer).getFloat32(dataAt + (tensors[tensor]?.offset ?? 0) + index * 4, true);
    expect(read(0, elements - 1)).toBe((elements - 1) % 97);
    expect(read(1, 256 * 1024 + 5)).toBe(5);
  });

  test("rows that do not divide into blocks are refused", () => {
    expect(() => write({ metadata: [], tensors: [counting("odd", [33], "Q8_0")] })).toThrow(RangeError);
  });
});

describe("encodeTensor", () => {
  const random = makeNormalSource("quantisers");
  const values = Float32Array.from({ length: 256 }, random);

  test("Q8_0 is within half a step of each value", () => {
    const bytes = encodeTensor("Q8_0", values);
    const view = new DataView(bytes.buffer);
    values.forEach((value, i) => {
      const block = Math.floor(i / 32) * 34;
      const scale = view.getFloat16(block, true);
      expect(Math.abs(view.getInt8(block + 2 + (i % 32)) * scale - value)).toBeLessThanOrEqual(scale * 0.57);
    });
  });

  test("Q4_0 is within one step of each value", () => {
    const bytes = encodeTensor("Q4_0", values);
    const view = new DataView(bytes.buffer);
    values.forEach((value, i) => {
      const block = Math.floor(i / 32) * 18;
      const scale = view.getFloat16(block, true);
      const packed = view.getUint8(block + 2 + (i % 16));
      const quant = (i % 32 < 16 ? packed & 15 : packed >> 4) - 8;
      expect(Math.abs(quant * scale - value)).toBeLessThanOrEqual(Math.abs(scale) * 1.01);
    });
  });

  test("a block of zeros stays zero", () => {
    expect(encodeTensor("Q8_0", new Float32Array(32)).every((byte) => byte === 0)).toBe(true);
  });
});

describe("encodeTensor, K-quants", () => {
  const values = Float32Array.from({ length: 256 }, makeNormalSource("K-quants"));

  test("Q4_K is within one step of each value, read back as ggml reads it", () => {
    const bytes = encodeTensor("Q4_K", values);
    const view = new DataView(bytes.buffer);
    const scales = bytes.subarray(4, 16);
    const at = (index: number) => scales[index] as number;
    values.forEach((value, i) => {
      const part = i >> 5;
      const high = part >= 4;
      const scaleBits = high ? (at(part + 4) & 15) | ((at(part - 4) >> 6) << 4) : at(part) & 63;
      const minimumBits = high ? (at(part + 4) >> 4) | ((at(part) >> 6) << 4) : at(part + 4) & 63;
      const packed = bytes[16 + (part >> 1) * 32 + (i & 31)] as number;
      const step = view.getFloat16(0, true) * scaleBits;
      const read = step * (part % 2 === 0 ? packed & 15 : packed >> 4) - view.getFloat16(2, true) * minimumBits;
      expect(Math.abs(read - value)).toBeLessThanOrEqual(step);
    });
  });

  test("Q6_K is within one step of each value, read back as ggml reads it", () => {
    const bytes = encodeTensor("Q6_K", values);
    const view = new DataView(bytes.buffer);
    values.forEach((value, i) => {
      const [half, row, column] = [i >> 7, (i >> 5) & 3, i & 31];
      const low = (bytes[half * 64 + (row & 1) * 32 + column] as number) >> (row < 2 ? 0 : 4);
      const high = (bytes[128 + half * 32 + column] as number) >> (row * 2);
      const step = view.getFloat16(208, true) * view.getInt8(192 + (i >> 4));
      expect(Math.abs((((low & 15) | ((high & 3) << 4)) - 32) * step - value)).toBeLessThanOrEqual(step);
    });
  });

  test("a block of zeros stays zero", () => {
    // 32 is Q6_K's zero: its lower half is 0 and its upper bits are 2.
    expect(
      encodeTensor("Q6_K", new Float32Array(256))
        .subarray(192)
        .every((byte) => byte === 0),
    ).toBe(true);
    expect(encodeTensor("Q4_K", new Float32Array(256)).every((byte) => byte === 0)).toBe(true);
  });
});

test("the random numbers are the same everywhere, with mean 0 and deviation 1", () => {
  const random = makeNormalSource("fixed");
  const numbers = Array.from({ length: 20_000 }, random);
  const mean = numbers.reduce((sum, n) => sum + n, 0) / numbers.length;
  const variance = numbers.reduce((sum, n) => sum + (n - mean) ** 2, 0) / numbers.length;
  expect(Math.abs(mean)).toBeLessThan(0.03);
  expect(Math.abs(variance - 1)).toBeLessThan(0.03);
  expect(numbers.slice(0, 3)).toEqual(Array.from({ length: 3 }, makeNormalSource("fixed")));
  expect(numbers[0]).not.toBe(makeNormalSource("other")());
});
