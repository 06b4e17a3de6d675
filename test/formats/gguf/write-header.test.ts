// Headers that are written are read back as they were meant, by our reader and by the layout scanner of the tests.

import { describe, expect, test } from "bun:test";
import { readGgufHeader } from "../../../src/formats/gguf/read-header.ts";
import { encodeHeader, type GgufEntry, type GgufTensorInfo } from "../../../src/formats/gguf/write-header.ts";

const inMemory = (bytes: Uint8Array) => ({
  sizeBytes: bytes.byteLength,
  read: (target: Uint8Array, offset: number) => {
    const part = bytes.subarray(offset, offset + target.byteLength);
    target.set(part);
    return part.byteLength;
  },
});

function readBack(metadata: [string, GgufEntry][], tensors: GgufTensorInfo[]) {
  const { bytes, fileBytes, tensorBytes } = encodeHeader(new Map(metadata), tensors);
  const file = new Uint8Array(fileBytes);
  file.set(bytes);
  return { header: readGgufHeader(inMemory(file), { tensors: true }), bytes, fileBytes, tensorBytes };
}

describe("a written header", () => {
  test("values of every type", () => {
    const values: [string, GgufEntry, unknown][] = [
      ["a.u8", { type: "u8", value: 200 }, 200],
      ["a.i8", { type: "i8", value: -100 }, -100],
      ["a.u16", { type: "u16", value: 60_000 }, 60_000],
      ["a.i16", { type: "i16", value: -30_000 }, -30_000],
      ["a.u32", { type: "u32", value: 4_000_000_000 }, 4_000_000_000],
      ["a.i32", { type: "i32", value: -2_000_000_000 }, -2_000_000_000],
      ["a.f32", { type: "f32", value: 1.5 }, 1.5],
      ["a.f64", { type: "f64", value: 0.1 }, 0.1],
      ["a.u64", { type: "u64", value: 2n ** 64n - 1n }, 2n ** 64n - 1n],
      ["a.i64", { type: "i64", value: -5 }, -5],
      ["a.yes", { type: "bool", value: true }, true],
      ["a.no", { type: "bool", value: false }, false],
      ["a.text", { type: "string", value: "grüße 🦙" }, "grüße 🦙"],
    ];
    const { header } = readBack(
      values.map(([key, entry]) => [key, entry]),
      [],
    );
    expect([...header.metadata]).toEqual(values.map(([key, , value]) => [key, value as never]));
  });

  test("arrays, long ones past the first buffer too", () => {
    const many = Array.from({ length: 20_000 }, (_, i) => `token ${i}`);
    const { header } = readBack(
      [
        ["texts", { type: "array", of: "string", values: ["a", "", "c"] }],
        ["numbers", { type: "array", of: "i32", values: [1, -2] }],
        ["tokens", { type: "array", of: "string", values: many }],
        ["last", { type: "u32", value: 7 }],
      ],
      [],
    );
    expect(header.metadata.get("texts")).toMatchObject({ type: "string", items: ["a", "", "c"] });
    expect(header.metadata.get("numbers")).toMatchObject({ type: "i32", items: [1, -2] });
    expect(header.metadata.get("tokens")).toMatchObject({ length: 20_000 });
    expect(header.metadata.get("last")).toBe(7);
  });

  test("tensors lie behind each other, each aligned, and the file ends aligned", () => {
    const infos = [
      { name: "a.weight", dims: [32, 3], type: "Q8_0" },
      { name: "b.weight", dims: [5], type: "F32" },
      { name: "c.weight", dims: [2, 2, 2], type: "BF16" },
    ];
    const { header, bytes, fileBytes, tensorBytes } = readBack([], infos);
    expect(tensorBytes).toEqual([102, 20, 16]);
    expect(header.tensors?.map(({ offset }) => offset)).toEqual([0, 128, 160]);
    expect(header.tensors?.map(({ name, dims, type }) => ({ name, dims, type }))).toEqual(infos);
    expect(bytes.byteLength % 32).toBe(0);
    expect(fileBytes).toBe(bytes.byteLength + 192);
  });

  test("what llama.cpp would refuse is a mistake of the caller", () => {
    const info = { name: "a", dims: [4], type: "F32" };
    expect(() => encodeHeader(new Map(), [{ ...info, type: "F31" }])).toThrow("is a tensor type");
    expect(() => encodeHeader(new Map(), [{ ...info, type: "Q8_0" }])).toThrow("divide into Q8_0 blocks");
    expect(() => encodeHeader(new Map(), [{ ...info, name: "x".repeat(64) }])).toThrow("at most 63 bytes");
    expect(() => encodeHeader(new Map(), [{ ...info, dims: [1, 1, 1, 1, 1] }])).toThrow("one to four dimensions");
  });
});
