// Converted files against those of llama.cpp's own converter (test/golden/*.jsonl, made by make-goldens.py):
// every key with its type and value, in order, and every tensor with its type, shape and bytes, in order.

import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertFolder, readWritten, type WrittenFile } from "../support/convert-folder.ts";
import { GOLDEN_GROUPS } from "../support/golden-folders.ts";

interface Golden {
  name: string;
  metadata: [key: string, type: number, value: string | number | boolean][];
  tensors: [name: string, dims: number[], type: number, offset: number, sha256: string][];
}

const folder = mkdtempSync(join(tmpdir(), "mlo-golden-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const readLines = (group: string): string[] =>
  readFileSync(join(import.meta.dir, "../golden", `${group}.jsonl`), "utf8")
    .trim()
    .split("\n");
const lines = Object.keys(GOLDEN_GROUPS).flatMap(readLines);
const goldens = new Map(lines.map((line) => JSON.parse(line)).map((golden: Golden) => [golden.name, golden]));
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Longer values are hashed: the goldens stay small. */
const SHORT = 64;

function describeFile({ keys, entry, value, bytes, tensorNames, tensor }: WrittenFile): Omit<Golden, "name"> {
  return {
    metadata: keys.map((key) => {
      const found = entry(key);
      if (found === undefined) throw new Error(`${key} is gone`);
      const shown = value(key) ?? "";
      const raw = bytes.subarray(found.valueAt, found.end);
      const isShort = found.typeId !== 9 && (found.typeId !== 8 || raw.length - 8 <= SHORT);
      return [key, found.typeId, isShort ? shown : digest(raw)];
    }),
    tensors: tensorNames.map((name) => {
      const { dims, typeId, data, offset } = tensor(name);
      return [name, dims, typeId, offset, digest(data)];
    }),
  };
}

const cases = Object.values(GOLDEN_GROUPS)
  .flat()
  .flatMap((golden) => golden.outTypes.map((outType) => ({ golden, outType })));

describe("as llama.cpp's converter writes it", () => {
  test("goldens and folders belong together", () => {
    const names = cases.map(({ golden, outType }) => `${golden.name}-${outType}`);
    expect([...goldens.keys()].sort()).toEqual(names.sort());
  });

  test.each(cases)("$golden.name as $outType", async ({ golden, outType }) => {
    const source = join(folder, golden.name);
    golden.write(source);
    const { path } = await convertFolder(source, outType);
    const expected = goldens.get(`${golden.name}-${outType}`);
    const found = describeFile(readWritten(path));
    const elsewhere = ({ metadata }: Omit<Golden, "name">) => {
      const isMoved = ([key]: Golden["metadata"][number]) => golden.elsewhere?.includes(key) ?? false;
      return [...metadata.filter((entry) => !isMoved(entry)), ...metadata.filter(isMoved)];
    };
    const added = golden.adds ?? [];
    const keys = new Set(found.metadata.map(([key]) => key));
    expect(added.filter((key) => !keys.has(key))).toEqual([]);
    found.metadata = found.metadata.filter(([key]) => !added.includes(key));
    expect(elsewhere(found)).toEqual(elsewhere(expected ?? { metadata: [], tensors: [] }));
    expect(found.tensors).toEqual(expected?.tensors ?? []);
  });
});
