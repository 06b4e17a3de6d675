// A file is there whole or not at all: failures, signals, files that are already there, and what killed runs left.

import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ModelFile, type WriteOptions, writeModel } from "../../src/convert/write-model.ts";
import { encodeHeader } from "../../src/formats/gguf/write-header.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-write-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folder = "";
let target = "";
beforeEach(() => {
  folder = mkdtempSync(join(root, "case-"));
  target = join(folder, "model.gguf");
});

function makeFile(chunks: () => Generator<Uint8Array>): ModelFile {
  const header = encodeHeader(new Map(), [{ name: "a.weight", dims: [10], type: "F32" }]);
  return { header, tensors: [{ name: "a.weight", chunks }] };
}

function* whole(): Generator<Uint8Array> {
  yield new Uint8Array(20).fill(1);
  yield new Uint8Array(20).fill(2);
}

const options = (changes: Partial<WriteOptions> = {}): WriteOptions => ({
  force: false,
  signal: new AbortController().signal,
  onProgress: () => {},
  ...changes,
});

describe("writing a model", () => {
  test("whole, padded, with progress up to the end, and nothing beside it", async () => {
    const seen: [number, number][] = [];
    const file = makeFile(whole);
    await writeModel(target, file, options({ onProgress: (done, total) => seen.push([done, total]) }));
    const bytes = readFileSync(target);
    expect(bytes.length).toBe(file.header.fileBytes);
    expect([...bytes.subarray(-64)]).toEqual([...Array(20).fill(1), ...Array(20).fill(2), ...Array(24).fill(0)]);
    expect(seen.at(-1)).toEqual([file.header.fileBytes, file.header.fileBytes]);
    expect(readdirSync(folder)).toEqual(["model.gguf"]);
  });

  test("a failure on the way leaves nothing", async () => {
    function* failing(): Generator<Uint8Array> {
      yield new Uint8Array(20);
      expect(readdirSync(folder)).toEqual([`.model.gguf.${process.pid}.partial`]);
      throw new Error("the source is gone");
    }
    expect(writeModel(target, makeFile(failing), options())).rejects.toThrow("the source is gone");
    await Bun.sleep(10);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("too few bytes are noticed", async () => {
    function* short(): Generator<Uint8Array> {
      yield new Uint8Array(39);
    }
    await expect(writeModel(target, makeFile(short), options())).rejects.toThrow(
      "has 39 bytes where the header says 40",
    );
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a signal ends it between two chunks", async () => {
    const stop = new AbortController();
    const onProgress = () => stop.abort();
    await expect(writeModel(target, makeFile(whole), options({ signal: stop.signal, onProgress }))).rejects.toThrow();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a file that is there stays, unless it shall be replaced", async () => {
    writeFileSync(target, "mine");
    await expect(writeModel(target, makeFile(whole), options())).rejects.toThrow("is already there");
    expect(readFileSync(target, "utf8")).toBe("mine");
    await writeModel(target, makeFile(whole), options({ force: true }));
    expect(readFileSync(target).subarray(0, 4).toString()).toBe("GGUF");
  });

  test("a file that comes meanwhile stays, too", async () => {
    function* late(): Generator<Uint8Array> {
      yield* whole();
      writeFileSync(target, "mine");
    }
    await expect(writeModel(target, makeFile(late), options())).rejects.toThrow("is already there");
    expect(readFileSync(target, "utf8")).toBe("mine");
    expect(readdirSync(folder)).toEqual(["model.gguf"]);
  });

  test("a disk that is too small is told before a byte is written", async () => {
    const header = encodeHeader(new Map(), [{ name: "a.weight", dims: [2 ** 30, 2 ** 20], type: "F32" }]);
    const file = { header, tensors: [{ name: "a.weight", chunks: whole }] };
    const failed = await writeModel(target, file, options()).then(null, (thrown: unknown) => thrown);
    expect(failed).toMatchObject({ code: "storage_unavailable" });
    expect(String(failed)).toContain("the conversion takes 4503599.63 GB");
    expect(readdirSync(folder)).toEqual([]);
  });

  test("what killed runs left is removed once it is old; what is new may be another run's", async () => {
    const [old, fresh] = [".model.gguf.1.partial", ".model.gguf.2.partial"].map((name) => join(folder, name));
    for (const path of [old, fresh]) writeFileSync(path as string, "half");
    utimesSync(old as string, new Date(0), new Date(0));
    const others = join(folder, ".other.gguf.1.partial");
    writeFileSync(others, "half");
    utimesSync(others, new Date(0), new Date(0));
    await writeModel(target, makeFile(whole), options());
    expect(readdirSync(folder).sort()).toEqual([".model.gguf.2.partial", ".other.gguf.1.partial", "model.gguf"]);
  });

  test("a place that can't be written to is named", async () => {
    const nowhere = join(folder, "nowhere/model.gguf");
    await expect(writeModel(nowhere, makeFile(whole), options())).rejects.toMatchObject({
      code: "storage_unavailable",
    });
    mkdirSync(join(folder, "model.gguf"));
    const failed = writeModel(target, makeFile(whole), options({ force: true }));
    await expect(failed).rejects.toMatchObject({ code: "storage_unavailable" });
    expect(existsSync(join(folder, `.model.gguf.${process.pid}.partial`))).toBe(false);
  });
});
