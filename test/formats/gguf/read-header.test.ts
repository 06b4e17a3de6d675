// The GGUF reader on real vocabularies, on the demo model and on files that are cut or lie.

import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { GgufError, type GgufReason } from "../../../src/formats/gguf/gguf-error.ts";
import { readGgufHeader } from "../../../src/formats/gguf/read-header.ts";
import { withFile } from "../../../src/formats/read-at.ts";
import {
  memoryFile,
  RawGguf,
  type RawParts,
  rawGguf,
  smallModel,
  stringEntry,
  stringsEntry,
  tensorEntry,
  u32Entry,
} from "../../support/raw-gguf.ts";

const ROOT = join(import.meta.dir, "..", "..", "..");
const VOCABULARIES = join(ROOT, "vendor", "llama.cpp", "models");

function failureOf(bytes: Uint8Array, sizeBytes?: number): GgufError {
  try {
    readGgufHeader(memoryFile(bytes, sizeBytes));
  } catch (thrown) {
    if (thrown instanceof GgufError) return thrown;
    throw thrown;
  }
  throw new Error("the reader accepted the file");
}

describe("real files", () => {
  const names = readdirSync(VOCABULARIES).filter((name) => name.endsWith(".gguf"));

  test.each(names)("%s", (name) => {
    const header = withFile(join(VOCABULARIES, name), (file) => readGgufHeader(file, { tensors: true }));
    expect(header.tensorCount).toBe(0);
    expect(header.tensors).toEqual([]);
    expect(header.dataOffset).toBe(header.fileBytes);
    expect(header.metadata.get("general.architecture")).toBeString();
    // Vocabularies are stepped over, not loaded.
    expect(header.metadata.get("tokenizer.ggml.tokens")).toMatchObject({ kind: "array", type: "string", items: null });
  });

  test("the demo model", () => {
    const header = withFile(join(ROOT, "src", "demo", "demo.gguf"), (file) => readGgufHeader(file, { tensors: true }));
    expect(header.metadata.get("general.architecture")).toBe("llama");
    expect(header.metadata.get("general.file_type")).toBe(7);
    expect(header.dataOffset + header.dataBytes).toBeLessThanOrEqual(header.fileBytes);
    expect(header.elementCount).toBe(1_185_152);
    const embedding = header.tensors?.find((tensor) => tensor.name === "token_embd.weight");
    expect(embedding).toMatchObject({ dims: [128, 1024], type: "Q8_0", bytes: 139_264 });
  });
});

describe("values", () => {
  test("of every kind", () => {
    const bytes = rawGguf({
      metadata: [
        (out) => void out.text("u8").u32(0).u8(200),
        (out) => void out.text("i8").u32(1).u8(200),
        (out) => void out.text("i32").u32(5).u32(-5),
        (out) => void out.text("bool").u32(7).u8(1),
        (out) =>
          void out
            .text("u64")
            .u32(10)
            .u64(2n ** 63n),
        (out) => void out.text("small u64").u32(10).u64(7),
        (out) => void out.text("i64").u32(11).u64(-7n),
        (out) => void out.text("numbers").u32(9).u32(4).u64(2).u32(3).u32(4),
        stringEntry("text", "grüße"),
        stringsEntry("texts", ["x", ""]),
      ],
    });
    const { metadata } = readGgufHeader(memoryFile(bytes));
    expect(Object.fromEntries(metadata)).toEqual({
      u8: 200,
      i8: -56,
      i32: -5,
      bool: true,
      u64: 2n ** 63n,
      "small u64": 7,
      i64: -7,
      numbers: { kind: "array", type: "u32", length: 2, items: [3, 4] },
      text: "grüße",
      texts: { kind: "array", type: "string", length: 2, items: ["x", ""] },
    });
  });

  test("a long string is described, not kept", () => {
    const long = "x".repeat(600_000);
    const { metadata } = readGgufHeader(
      memoryFile(rawGguf({ metadata: [stringEntry("json", long), u32Entry("n", 1)] })),
    );
    expect(metadata.get("json")).toEqual({ kind: "long-string", bytes: 600_000 });
    expect(metadata.get("n")).toBe(1);
  });

  test("a string over the buffer is read whole", () => {
    const text = "äb".repeat(100_000);
    const { metadata } = readGgufHeader(memoryFile(rawGguf({ metadata: [stringEntry("t", text), u32Entry("n", 1)] })));
    expect(metadata.get("t")).toBe(text);
    expect(metadata.get("n")).toBe(1);
  });

  test("many long strings do not fill the memory", () => {
    const entries = Array.from({ length: 40 }, (_, i) => [
      new RawGguf().text(`k${i}`).u32(8).u64(500_000).toBytes(),
      new Uint8Array(500_000).fill(120),
    ]);
    const bytes = Buffer.concat([rawGguf({ metadataCount: 40 }), ...entries.flat()]);
    const values = [...readGgufHeader(memoryFile(bytes)).metadata.values()];
    const keptBytes = values.reduce<number>((sum, value) => sum + (typeof value === "string" ? value.length : 0), 0);
    expect(keptBytes).toBeLessThanOrEqual(16 * 1024 * 1024);
    expect(keptBytes).toBeGreaterThan(15_000_000);
    expect(values.at(-1)).toEqual({ kind: "long-string", bytes: 500_000 });
  });
});

describe("a cut file", () => {
  const whole = smallModel();

  test("is whole before it is cut", () => {
    const header = readGgufHeader(memoryFile(whole));
    expect(header).toMatchObject({ version: 3, tensorCount: 2, elementCount: 64, dataBytes: 162, tensors: null });
    expect(header.dataOffset + header.dataBytes).toBe(whole.byteLength);
  });

  test("fails at every length, and says how much is missing", () => {
    for (let length = 0; length < whole.byteLength; length++) {
      const error = failureOf(whole.subarray(0, length));
      expect(error.reason).toBe(length > 0 && length < 4 ? "not-gguf" : "truncated");
      if (error.reason === "truncated") expect(error.missingBytes).toBeGreaterThan(0);
    }
  });

  test("in the tensor data names the exact number", () => {
    const error = failureOf(whole.subarray(0, whole.byteLength - 7));
    expect(error.missingBytes).toBe(7);
    expect(error.message).toContain("7 bytes are missing");
  });

  test("with any byte changed neither hangs nor reads without end", () => {
    for (let at = 0; at < whole.byteLength; at++) {
      for (const value of [0, 0x7f, 0x80, 0xff]) {
        const bytes = whole.slice();
        bytes[at] = value;
        const file = memoryFile(bytes);
        try {
          readGgufHeader(file);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(GgufError);
        }
        expect(file.largestRead).toBeLessThanOrEqual(Math.max(512, bytes.byteLength));
      }
    }
  });
});

const HUGE = 2n ** 62n;
const MANY = 2 ** 40;

describe("a file that lies", () => {
  const cases: [name: string, parts: RawParts, reason: GgufReason, says: RegExp][] = [
    ["version 1", { version: 1 }, "unsupported", /version 1/],
    ["version 0", { version: 0 }, "damaged", /version 0/],
    ["version 4", { version: 4 }, "unsupported", /newer/],
    ["big-endian", { version: 0x03000000 }, "unsupported", /big-endian/],
    ["tensor count beyond 2^53", { tensorCount: HUGE }, "limit", /tensor count/],
    ["negative tensor count", { tensorCount: -1n }, "limit", /tensor count/],
    ["a billion tensors", { tensorCount: 1e9 }, "limit", /1000000000 tensors/],
    ["more tensors than fit", { tensorCount: 1000 }, "truncated", /table of 1000 tensors/],
    ["metadata count beyond 2^53", { metadataCount: HUGE }, "limit", /metadata count/],
    ["a million keys", { metadataCount: 1e6 }, "limit", /1000000 metadata/],
    ["more keys than there are", { metadataCount: 2 }, "truncated", /metadata key 1/],
    ["a key of 2^62 bytes", { metadata: [(out) => void out.u64(HUGE)] }, "limit", /metadata key 1/],
    ["a key of 64 KiB", { metadata: [(out) => void out.u64(65_536)] }, "limit", /GGUF allows/],
    ["an empty key", { metadata: [(out) => void out.u64(0)] }, "damaged", /empty/],
    ["a key twice", { metadata: [u32Entry("a", 1), u32Entry("a", 2)] }, "damaged", /twice/],
    ["an unknown value type", { metadata: [(out) => void out.text("a").u32(13)] }, "damaged", /type 13/],
    ["a string of 2^40 bytes", { metadata: [(out) => void out.text("a").u32(8).u64(MANY)] }, "limit", /no real header/],
    ["a string past the end", { metadata: [(out) => void out.text("a").u32(8).u64(999)] }, "truncated", /999 bytes/],
    ["an array of 2^40", { metadata: [(out) => void out.text("a").u32(9).u32(4).u64(MANY)] }, "limit", /array "a"/],
    ["an array of 2^62", { metadata: [(out) => void out.text("a").u32(9).u32(4).u64(HUGE)] }, "limit", /array "a"/],
    ["2^40 strings", { metadata: [(out) => void out.text("a").u32(9).u32(8).u64(MANY)] }, "limit", /strings/],
    ["nested arrays", { metadata: [(out) => void out.text("a").u32(9).u32(9).u64(1)] }, "damaged", /arrays/],
    ["an alignment of 0", { metadata: [u32Entry("general.alignment", 0)] }, "damaged", /alignment is 0/],
    ["an alignment of 33", { metadata: [u32Entry("general.alignment", 33)] }, "damaged", /power of two/],
    ["an alignment of 2^31", { metadata: [u32Entry("general.alignment", 2 ** 31)] }, "damaged", /alignment/],
    ["an alignment in words", { metadata: [stringEntry("general.alignment", "32")] }, "damaged", /alignment/],
    ["a long tensor name", { tensors: [tensorEntry("x".repeat(64), [1], 0, 0)] }, "limit", /64 bytes/],
    ["five dimensions", { tensors: [tensorEntry("t", [1, 1, 1, 1, 1], 0, 0)] }, "limit", /5 dimensions/],
    ["a dimension of 2^62", { tensors: [tensorEntry("t", [HUGE], 0, 0)] }, "limit", /dimension 1/],
    ["dimensions that overflow", { tensors: [tensorEntry("t", [2 ** 31, 2 ** 31, 2 ** 31], 0, 0)] }, "limit", /2\^53/],
    ["overflow hidden by 0", { tensors: [tensorEntry("t", [2 ** 31, 2 ** 31, 0], 0, 0)] }, "limit", /2\^53/],
    ["an unknown tensor type", { tensors: [tensorEntry("t", [32], 99, 0)] }, "unsupported", /type 99/],
    ["a removed tensor type", { tensors: [tensorEntry("t", [32], 31, 0)] }, "unsupported", /use Q4_0/],
    ["a row that is no block", { tensors: [tensorEntry("t", [33], 8, 0)] }, "damaged", /no multiple/],
    [
      "a first offset that is not 0",
      { tensors: [tensorEntry("t", [32], 0, 32)], dataBytes: 512 },
      "damaged",
      /offset 32/,
    ],
    ["an offset beyond 2^53", { tensors: [tensorEntry("t", [32], 0, HUGE)] }, "limit", /offset/],
    ["data that is not there", { tensors: [tensorEntry("t", [2 ** 40], 0, 0)] }, "truncated", /missing/],
    ["a tensor twice", { tensors: [tensorEntry("t", [8], 0, 0), tensorEntry("t", [8], 0, 32)] }, "damaged", /twice/],
  ];

  test.each(cases)("%s", (_name, parts, reason, says) => {
    const error = failureOf(rawGguf(parts));
    expect(error.message).toMatch(says);
    expect(error.reason).toBe(reason);
  });

  test("in a sparse file of a terabyte costs little", () => {
    // Everything that is claimed "fits" into the file, so only the reader's own limits stop it.
    const claims = [
      rawGguf({
        metadata: [
          (out) =>
            void out
              .text("a")
              .u32(9)
              .u32(8)
              .u64(2 ** 36),
        ],
      }),
      rawGguf({
        metadata: [
          (out) =>
            void out
              .text("a")
              .u32(8)
              .u64(2 ** 38),
        ],
      }),
      rawGguf({
        metadata: [
          (out) =>
            void out
              .text("a")
              .u32(9)
              .u32(8)
              .u64(2 ** 24),
        ],
      }),
      rawGguf({ tensorCount: 200_000 }),
      rawGguf({ metadataCount: 60_000 }),
    ];
    for (const bytes of claims) {
      const file = memoryFile(bytes, 2 ** 40);
      try {
        readGgufHeader(file);
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(GgufError);
      }
      expect(file.readBytes).toBeLessThan(300 * 1024 * 1024);
      expect(file.largestRead).toBeLessThanOrEqual(512 * 1024);
    }
  });

  test("an empty file and other magic bytes", () => {
    expect(failureOf(new Uint8Array(0)).reason).toBe("truncated");
    expect(failureOf(new TextEncoder().encode("<!DOCTYPE html><html>")).reason).toBe("not-gguf");
  });

  test("a file that shrinks while it is read", () => {
    const bytes = smallModel();
    const file = memoryFile(bytes.subarray(0, 40));
    const lying = { sizeBytes: bytes.byteLength, read: file.read.bind(file) };
    expect(() => readGgufHeader(lying)).toThrow(GgufError);
  });
});

test("a folder is refused, not opened", () => {
  expect(() => withFile(ROOT, (file) => file.sizeBytes)).toThrow("not a regular file");
});
