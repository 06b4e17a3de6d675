// Zip archives: what their tables say, and what is refused in them.

import { describe, expect, test } from "bun:test";
import {
  locateZipEntry,
  readZipDirectory,
  readZipEntry,
  type ZipEntry,
  ZipError,
} from "../../../src/formats/zip/read-zip.ts";
import { memoryFile } from "../../support/raw-gguf.ts";
import { writeZip } from "../../support/zip-writer.ts";

const encode = (value: string): Uint8Array => new TextEncoder().encode(value);
const TWO = [
  { name: "a/stored.txt", data: encode("as it is") },
  { name: "packed.txt", data: encode("x".repeat(1000)), deflate: true },
];

function reasonOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof ZipError) return thrown.reason;
    throw thrown;
  }
  return "none";
}

describe("whole archives", () => {
  test("entries are listed, located and read", () => {
    const file = memoryFile(writeZip(TWO));
    const entries = readZipDirectory(file);
    expect(entries.map(({ name, method, bytes }) => ({ name, method, bytes }))).toEqual([
      { name: "a/stored.txt", method: 0, bytes: 8 },
      { name: "packed.txt", method: 8, bytes: 1000 },
    ]);
    const [stored, packed] = entries as [ZipEntry, ZipEntry];
    expect(locateZipEntry(file, stored)).toBe(30 + "a/stored.txt".length);
    expect(new TextDecoder().decode(readZipEntry(file, stored, 100))).toBe("as it is");
    expect(readZipEntry(file, packed, 1000).byteLength).toBe(1000);
  });

  test("one behind a program, and one without entries", () => {
    const file = memoryFile(new Uint8Array(Buffer.concat([encode("#!/bin/sh\n"), writeZip(TWO)])));
    const [stored] = readZipDirectory(file) as [ZipEntry];
    expect(new TextDecoder().decode(readZipEntry(file, stored, 100))).toBe("as it is");
    expect(readZipDirectory(memoryFile(writeZip([])))).toEqual([]);
  });

  test("one with a comment", () => {
    const bytes = Buffer.concat([writeZip(TWO), encode("a comment")]);
    bytes.writeUInt16LE(9, bytes.byteLength - 9 - 2);
    expect(readZipDirectory(memoryFile(new Uint8Array(bytes)))).toHaveLength(2);
  });
});

describe("refused", () => {
  test.each(["../up", "a/../../up", "/etc/passwd", "C:\\x", "a\\..\\up", "a\nb", "a\0b"])("the name %j", (name) => {
    expect(reasonOf(() => readZipDirectory(memoryFile(writeZip([{ name, data: encode("x") }]))))).toBe("unsafe");
  });

  test.each([
    ["a cut archive", writeZip(TWO).slice(0, -1), "truncated"],
    ["nothing", new Uint8Array(0), "truncated"],
    ["more entries than the table has", writeZip(TWO, { entryCount: 9 }), "damaged"],
    ["a table of 4 GB", writeZip(TWO, { directoryBytes: 0xfffffff0 }), "limit"],
    ["a table behind the end", writeZip(TWO, { directoryAt: 1_000_000 }), "damaged"],
    ["a name twice", writeZip([...TWO, ...TWO]), "damaged"],
  ])("%s", (_name, bytes, reason) => {
    expect(reasonOf(() => readZipDirectory(memoryFile(bytes)))).toBe(reason);
  });

  test("entries that are larger than they say, than allowed, or not there", () => {
    const bomb = memoryFile(writeZip([{ name: "a", data: new Uint8Array(100_000), deflate: true, claimedBytes: 10 }]));
    const [entry] = readZipDirectory(bomb) as [ZipEntry];
    expect(reasonOf(() => readZipEntry(bomb, entry, 1_000))).toBe("damaged");
    expect(reasonOf(() => readZipEntry(bomb, { ...entry, bytes: 2_000 }, 1_000))).toBe("limit");
    expect(reasonOf(() => readZipEntry(bomb, { ...entry, method: 99 }, 1_000))).toBe("unsupported");
    expect(reasonOf(() => locateZipEntry(bomb, { ...entry, headerAt: 5 }))).toBe("damaged");
    expect(reasonOf(() => locateZipEntry(bomb, { ...entry, packedBytes: 1e9 }))).toBe("damaged");
  });
});
