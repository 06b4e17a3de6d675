// Plug-ins that the binary carries compressed: unpacked once, checked, and a reason where that fails. A stand-in's bytes do.

import { afterAll, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packLibrary, travelsPacked } from "../../../native/pack.ts";
import type { NativeFiles } from "../../../src/router/backends/native-files.ts";
import { findPacked, type PackedFile, unpackPlugins } from "../../../src/router/backends/packed-files.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-packed-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const NAME = "libggml-cuda.so";
/** Compresses, but not to nothing: what is cut off must matter. */
const CONTENT = new Uint8Array(3_000_000).map((_, i) => (i * i) >> 9);

interface Change {
  cutTo?: number;
  flipAt?: number;
  bytes?: number;
  sha256?: string;
}

async function makePacked(folder: string, change: Change = {}): Promise<PackedFile> {
  const { entry, packed } = await packLibrary(NAME, CONTENT);
  const payload = Uint8Array.from(packed).subarray(0, change.cutTo ?? packed.byteLength);
  if (change.flipAt !== undefined) payload[change.flipAt] = (payload[change.flipAt] ?? 0) ^ 0xff;
  const blob = new Blob([payload]);
  const { bytes = entry.bytes, sha256 = entry.sha256 } = change;
  return { name: NAME, bytes, sha256, blob, path: join(folder, NAME) };
}

function filesWith(packed: PackedFile[]): NativeFiles {
  return { library: "", cpuPlugins: [], gpuPlugins: [], probe: null, demoModel: "", key: "", buildId: "", packed };
}

async function unpack(file: PackedFile, hasDriver = true) {
  const warnings: string[] = [];
  const effects = { hasDriver: () => hasDriver, warn: (message: string) => void warnings.push(message) };
  const files = await unpackPlugins(filesWith([file]), effects);
  return { plugins: files.gpuPlugins, held: files.held ?? [], warnings };
}

const folderOf = (name: string): string => join(root, name);

test("CUDA's plug-in travels packed, the others as they are", () => {
  expect(travelsPacked(NAME)).toBe(true);
  for (const name of ["libggml-cpu-x64.so", "libmlo.so", "libggml-base.so", "libggml-metal.dylib"]) {
    expect(travelsPacked(name)).toBe(false);
  }
});

test("what the manifest names and the binary holds is found", async () => {
  const { entry, packed } = await packLibrary(NAME, CONTENT);
  expect(packed.byteLength).toBeLessThan(CONTENT.byteLength / 2);
  const blob = new Blob([Uint8Array.from(packed)]);
  const missing = { ...entry, name: "libggml-cuda-other.so" };
  const found = findPacked([entry, missing], new Map([[`${NAME}.zst`, blob]]), "/n");
  expect(found).toEqual([{ ...entry, blob, path: `/n/${NAME}` }]);
});

describe("unpacking", () => {
  test("with a driver: the file is there, whole, under its name alone", async () => {
    const folder = folderOf("whole");
    const file = await makePacked(folder);
    expect(await unpack(file)).toEqual({ plugins: [file.path], held: [], warnings: [] });
    expect(readFileSync(file.path).equals(CONTENT)).toBe(true);
    expect(readdirSync(folder)).toEqual([NAME]);
  });

  test("without a driver nothing is written, and that is no warning", async () => {
    const folder = folderOf("none");
    const file = await makePacked(folder);
    const held = [{ file: NAME, reason: "there is no NVIDIA driver here" }];
    expect(await unpack(file, false)).toEqual({ plugins: [], held, warnings: [] });
    expect(statSync(folder, { throwIfNoEntry: false })).toBeUndefined();
  });

  test("a binary without one does not look for a driver", async () => {
    const files = filesWith([]);
    const effects = { hasDriver: () => expect.unreachable(), warn: () => expect.unreachable() };
    expect(await unpackPlugins(files, effects)).toBe(files);
  });

  test("a whole one is left alone, one that was cut short is made again", async () => {
    const file = await makePacked(folderOf("again"));
    await unpack(file);
    utimesSync(file.path, new Date(0), new Date(0));
    await unpack(file);
    expect(statSync(file.path).mtimeMs).toBe(0);
    writeFileSync(file.path, CONTENT.subarray(0, 100));
    expect((await unpack(file)).plugins).toEqual([file.path]);
    expect(readFileSync(file.path).equals(CONTENT)).toBe(true);
  });

  test("what a killed process left goes, what another one writes now stays", async () => {
    const folder = folderOf("left");
    const file = await makePacked(folder);
    mkdirSync(folder);
    const [old, current] = [`${NAME}.part-1-old`, `${NAME}.part-2-now`];
    for (const name of [old, current, "libmlo.so"]) writeFileSync(join(folder, name), "");
    for (const name of [old, "libmlo.so"]) utimesSync(join(folder, name), new Date(0), new Date(0));
    expect((await unpack(file)).plugins).toEqual([file.path]);
    expect(readdirSync(folder).sort()).toEqual([NAME, current, "libmlo.so"].sort());
  });

  test("many at once get the same file", async () => {
    const folder = folderOf("many");
    const file = await makePacked(folder);
    const all = await Promise.all(Array.from({ length: 8 }, () => unpack(file)));
    for (const one of all) expect(one).toEqual({ plugins: [file.path], held: [], warnings: [] });
    expect(readFileSync(file.path).equals(CONTENT)).toBe(true);
    expect(readdirSync(folder)).toEqual([NAME]);
  });
});

describe("a copy that is damaged is a reason", () => {
  test.each<[string, Change]>([
    ["cut in the middle", { cutTo: 10_000 }],
    ["nothing at all", { cutTo: 0 }],
    ["no zstd", { flipAt: 0 }],
    ["another byte inside", { flipAt: 20_000 }],
    ["another hash", { sha256: "0".repeat(64) }],
    ["longer than was promised", { bytes: 1_000_000 }],
    ["shorter than was promised", { bytes: 4_000_000 }],
  ])("%s", async (name, change) => {
    const folder = folderOf(name);
    const { plugins, held, warnings } = await unpack(await makePacked(folder, change));
    expect(plugins).toEqual([]);
    const reason = "its copy in this program is damaged: fetch the program again";
    expect(held).toEqual([{ file: NAME, reason }]);
    expect(warnings).toEqual([`${NAME} is not used: ${reason}`]);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("a place that does not take it is a reason", () => {
  test("a file in place of the folder", async () => {
    const blocker = folderOf("blocker");
    writeFileSync(blocker, "");
    const { plugins, held } = await unpack(await makePacked(join(blocker, "below")));
    expect(plugins).toEqual([]);
    expect(held[0]?.reason).toMatch(/can't be unpacked to .*below \(3 MB\): .*XDG_CACHE_HOME/);
  });

  test("a disk that is full, and then is not", async () => {
    const folder = folderOf("small");
    mkdirSync(folder);
    const mount = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]);
    if (!mount.success) {
      console.error("skipped: this user can't mount a small disk");
      return;
    }
    try {
      const file = await makePacked(folder);
      const { held } = await unpack(file);
      expect(held[0]?.reason).toMatch(/\(3 MB\): ENOSPC/);
      expect(readdirSync(folder)).toEqual([]);
      expect(Bun.spawnSync(["mount", "-o", "remount,size=8m", folder]).success).toBe(true);
      expect((await unpack(file)).plugins).toEqual([file.path]);
    } finally {
      Bun.spawnSync(["umount", folder]);
    }
  });
});
