// The cache of converted folders: found again as long as the source is the same, and cleaned up within its limit.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { ConvertedCache } from "../../src/models/converted-cache.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mlo-converted-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const openCache = (version = "1", bytesMax = 0) =>
  new ConvertedCache({ folder: join(root, "converted"), version, bytesMax });

function writeSource(name: string): string {
  const folder = join(root, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "config.json"), "{}");
  writeFileSync(join(folder, "model.safetensors"), "x".repeat(10));
  return folder;
}

/** As a conversion would put it. `usedSeconds`: when it was used last. */
function put(cache: ConvertedCache, source: string, file: string, bytes = 10, usedSeconds = 1_000): string {
  const folder = cache.open(source) ?? "";
  const path = join(folder, file);
  writeFileSync(path, "x".repeat(bytes));
  utimesSync(join(folder, "source.json"), usedSeconds, usedSeconds);
  return path;
}

test("what was made is found: the type that is wanted, else the largest", () => {
  const cache = openCache();
  const source = writeSource("m");
  expect(cache.find(source, null)).toBeNull();
  const small = put(cache, source, "m-Q8_0.gguf", 5);
  const large = put(cache, source, "m-BF16.gguf", 9);
  put(cache, source, ".m-F16.gguf.1.partial", 99);
  expect([cache.find(source, null), cache.find(source, "q8_0"), cache.find(source, "f16")]).toEqual([
    large,
    small,
    null,
  ]);
  expect(openCache().find(source, null)).toBe(large);
});

test("another size, date, file, folder or converter is another model", () => {
  const source = writeSource("m");
  const keys = [openCache().keyOf(source), openCache("2").keyOf(source), openCache().keyOf(writeSource("n"))];
  const weights = join(source, "model.safetensors");
  utimesSync(weights, 1, 1);
  keys.push(openCache().keyOf(source));
  writeFileSync(weights, "y".repeat(11));
  utimesSync(weights, 1, 1);
  keys.push(openCache().keyOf(source));
  writeFileSync(join(source, "tokenizer.json"), "{}");
  keys.push(openCache().keyOf(source));
  expect(new Set(keys).size).toBe(6);
  expect(keys).not.toContain(null);
  const last = openCache().keyOf(source);
  writeFileSync(join(source, ".DS_Store"), "x");
  expect(openCache().keyOf(source)).toBe(last);
  expect(openCache().keyOf(join(root, "nothing"))).toBeNull();
});

test("what was made of sources that are gone or have changed is removed", () => {
  const cache = openCache();
  const [kept, gone, changed] = ["kept", "gone", "changed"].map((name) => {
    const source = writeSource(name);
    return { source, path: put(cache, source, `${name}.gguf`) };
  });
  if (kept === undefined || gone === undefined || changed === undefined) throw new Error("three were made");
  rmSync(gone.source, { recursive: true });
  writeFileSync(join(changed.source, "config.json"), "{ }");
  writeFileSync(join(root, "converted", "a file of somebody"), "x");
  cache.sweep(new Set([changed.path]));
  expect([kept, gone, changed].map(({ path }) => existsSync(path))).toEqual([true, false, true]);
  cache.sweep(new Set());
  expect([kept, gone, changed].map(({ path }) => existsSync(dirname(path)))).toEqual([true, false, false]);
  expect(existsSync(join(root, "converted", "a file of somebody"))).toBe(true);
});

test("beyond the limit what was not used for longest goes, but not what is in use", () => {
  const cache = openCache("1", 25);
  const paths = [1, 2, 3, 4].map((n) => put(cache, writeSource(`m${n}`), `m${n}.gguf`, 10, n * 1_000));
  const left = () => paths.filter((path) => existsSync(path)).map((path) => basename(path));
  cache.noteUse(paths[1] ?? "");
  cache.sweep(new Set([paths[0] ?? ""]));
  expect(left()).toEqual(["m1.gguf", "m2.gguf", "m4.gguf"]);
  cache.sweep(new Set());
  expect(left()).toEqual(["m2.gguf", "m4.gguf"]);
});

test("the last one that was used stays, however large it is", () => {
  const cache = openCache("1", 5);
  const path = put(cache, writeSource("m"), "m.gguf", 10);
  cache.sweep(new Set());
  expect(existsSync(path)).toBe(true);
});

test("without a limit it is a share of the disk, and an empty cache is no trouble", () => {
  openCache().sweep(new Set());
  const cache = openCache();
  const path = put(cache, writeSource("m"), "m.gguf");
  cache.sweep(new Set());
  expect(existsSync(path)).toBe(true);
});

test("what is being made stays although its source changes meanwhile", () => {
  const cache = openCache();
  const source = writeSource("m");
  const folder = cache.open(source) ?? "";
  mkdirSync(join(folder, ".convert-1-1"));
  rmSync(source, { recursive: true });
  cache.sweep(new Set());
  expect(existsSync(folder)).toBe(true);
});
