// The SafeTensors reader on whole files and on those that are cut or lie.

import { describe, expect, test } from "bun:test";
import { readSafetensorsHeader, SafetensorsError } from "../../../src/formats/safetensors/read-header.ts";
import { memoryFile } from "../../support/raw-gguf.ts";
import { joinSafetensors, writeSafetensors } from "../../support/safetensors-writer.ts";

const TWO = [
  { name: "b", dtype: "BF16", shape: [2, 3], data: new Uint8Array(12) },
  { name: "a", dtype: "F32", shape: [], data: new Uint8Array(4) },
];

function failureOf(bytes: Uint8Array, sizeBytes?: number): SafetensorsError {
  const file = memoryFile(bytes, sizeBytes);
  try {
    readSafetensorsHeader(file);
  } catch (thrown) {
    expect(file.readBytes).toBeLessThanOrEqual(bytes.byteLength + 64);
    if (thrown instanceof SafetensorsError) return thrown;
    throw thrown;
  }
  throw new Error("the reader accepted the file");
}

/** One tensor `t` as described, with so many bytes of data. */
const lying = (tensor: unknown, dataBytes = 8): Uint8Array =>
  joinSafetensors(JSON.stringify({ t: tensor }), [new Uint8Array(dataBytes)]);

describe("whole files", () => {
  test("tensors come in the order of their data, with absolute places", () => {
    const bytes = writeSafetensors(TWO, { format: "pt" });
    const { tensors, metadata, dataStart } = readSafetensorsHeader(memoryFile(bytes));
    expect(dataStart).toBe(bytes.byteLength - 16);
    expect([...tensors.values()]).toEqual([
      { name: "b", dtype: "BF16", shape: [2, 3], start: dataStart, end: dataStart + 12 },
      { name: "a", dtype: "F32", shape: [], start: dataStart + 12, end: dataStart + 16 },
    ]);
    expect({ ...metadata }).toEqual({ format: "pt" });
  });

  test("the header's order says nothing about the data's", () => {
    const header = {
      a: { dtype: "U8", shape: [1], data_offsets: [3, 4] },
      b: { dtype: "U8", shape: [3], data_offsets: [0, 3] },
    };
    const { tensors } = readSafetensorsHeader(memoryFile(joinSafetensors(JSON.stringify(header), [new Uint8Array(4)])));
    expect([...tensors.keys()]).toEqual(["b", "a"]);
  });

  test("no tensors, and a header padded by spaces", () => {
    expect(readSafetensorsHeader(memoryFile(joinSafetensors("{}      ", []))).tensors.size).toBe(0);
  });

  test("names of an object's insides are names like others", () => {
    const header = `{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"constructor":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"__metadata__":{"__proto__":"x","toString":"y"}}`;
    const { tensors, metadata } = readSafetensorsHeader(memoryFile(joinSafetensors(header, [new Uint8Array(2)])));
    expect([...tensors.keys()]).toEqual(["__proto__", "constructor"]);
    expect(Object.keys(metadata)).toEqual(["__proto__", "toString"]);
    expect(Object.getPrototypeOf(metadata)).toBeNull();
    expect(({} as Record<string, unknown>).dtype).toBeUndefined();
  });

  test("elements of less than a byte", () => {
    const bytes = writeSafetensors([{ name: "q", dtype: "F4", shape: [3, 4], data: new Uint8Array(6) }]);
    expect(readSafetensorsHeader(memoryFile(bytes)).tensors.get("q")?.shape).toEqual([3, 4]);
  });
});

describe("broken files", () => {
  test("cut anywhere", () => {
    const bytes = writeSafetensors(TWO);
    for (let length = 0; length < bytes.byteLength; length++) {
      const error = failureOf(bytes.slice(0, length));
      expect(error.reason).toBe("truncated");
      expect(error.missingBytes).toBeGreaterThan(0);
    }
  });

  test.each([
    ["other bytes", new TextEncoder().encode("<!DOCTYPE html>"), "not-safetensors"],
    ["a header over the limit", joinSafetensors("{}", [], 2n ** 63n), "limit"],
    ["a header just over the limit", joinSafetensors("{}", [], 32 * 1024 * 1024 + 1), "limit"],
    ["a header beyond the end", joinSafetensors("{}", [], 3), "truncated"],
    ["a header of one byte", joinSafetensors("{ ", [], 1), "damaged"],
    ["no JSON", joinSafetensors("{nonsense}", []), "damaged"],
    ["JSON of 30,000 levels", joinSafetensors(`{"a":${"[".repeat(30_000)}`, []), "damaged"],
    ["no UTF-8", joinSafetensors('{"?": 1}', []).map((byte) => (byte === 0x3f ? 0xff : byte)), "damaged"],
    ["a tensor that is a number", lying(3), "damaged"],
    ["a tensor that is null", lying(null), "damaged"],
    ["no dtype", lying({ shape: [8], data_offsets: [0, 8] }), "damaged"],
    ["an unknown dtype", lying({ dtype: "F12", shape: [8], data_offsets: [0, 8] }), "unsupported"],
    ["a dtype named like a method", lying({ dtype: "toString", shape: [8], data_offsets: [0, 8] }), "unsupported"],
    ["a negative dimension", lying({ dtype: "U8", shape: [-8], data_offsets: [0, 8] }), "damaged"],
    ["a dimension that is a fraction", lying({ dtype: "U8", shape: [0.5], data_offsets: [0, 8] }), "damaged"],
    ["dimensions that overflow", lying({ dtype: "U8", shape: [2 ** 40, 2 ** 40, 0], data_offsets: [0, 8] }), "limit"],
    ["33 dimensions", lying({ dtype: "U8", shape: Array(33).fill(1), data_offsets: [0, 8] }), "limit"],
    ["bytes that do not fit the shape", lying({ dtype: "F32", shape: [8], data_offsets: [0, 8] }), "damaged"],
    ["an end before the start", lying({ dtype: "U8", shape: [8], data_offsets: [8, 0] }), "damaged"],
    ["three offsets", lying({ dtype: "U8", shape: [8], data_offsets: [0, 8, 8] }), "damaged"],
    ["half a byte", lying({ dtype: "F4", shape: [3], data_offsets: [0, 8] }), "damaged"],
    ["a hole at the start", lying({ dtype: "U8", shape: [7], data_offsets: [1, 8] }), "damaged"],
    ["bytes behind the last tensor", lying({ dtype: "U8", shape: [7], data_offsets: [0, 7] }), "damaged"],
    ["notes that are no object", joinSafetensors('{"__metadata__":3}', []), "damaged"],
    ["notes that are no text", joinSafetensors('{"__metadata__":{"a":3}}', []), "damaged"],
  ] as const)("%s", (_name, bytes, reason) => {
    expect(failureOf(bytes).reason).toBe(reason);
  });

  test("overlaps and holes", () => {
    const tensor = (start: number, end: number) => ({ dtype: "U8", shape: [end - start], data_offsets: [start, end] });
    const header = (...places: [number, number][]) =>
      joinSafetensors(JSON.stringify(Object.fromEntries(places.map(([a, b], i) => [`t${i}`, tensor(a, b)]))), [
        new Uint8Array(8),
      ]);
    expect(failureOf(header([0, 5], [4, 8])).message).toContain("overlaps");
    expect(failureOf(header([0, 8], [0, 8])).message).toContain("overlaps");
    expect(failureOf(header([0, 4], [5, 8])).message).toContain("hole");
  });

  test("a claim of terabytes costs nothing", () => {
    const bytes = lying({ dtype: "U8", shape: [2 ** 42], data_offsets: [0, 2 ** 42] }, 0);
    expect(failureOf(bytes).missingBytes).toBe(2 ** 42);
  });
});
