// Where the libraries are, from source and from a folder that somebody names; and a key that changes with them.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { AppError } from "../../../src/protocol/errors.ts";
import { locateNativeFiles, readEmbeddedText } from "../../../src/router/backends/native-files.ts";
import { HAS_NATIVE } from "../../support/llama-library.ts";

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mlo-native-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function makeFolder(name: string, files: string[]): string {
  const folder = join(root, name);
  mkdirSync(folder);
  for (const file of files) writeFileSync(join(folder, file), file);
  return folder;
}

const SET = [
  "libggml-cuda.so",
  "libmlo.so",
  "libggml-base.so",
  "libggml-cpu-x64.so",
  "libggml-cpu-zen4.so",
  "note.txt",
];

describe("locateNativeFiles", () => {
  test("tells libraries, CPU variants and GPU back ends apart by their names", async () => {
    const folder = makeFolder("a", SET);
    const files = await locateNativeFiles(root, folder);
    expect(files).toMatchObject({
      library: join(folder, "libmlo.so"),
      cpuPlugins: [join(folder, "libggml-cpu-x64.so"), join(folder, "libggml-cpu-zen4.so")],
      gpuPlugins: [join(folder, "libggml-cuda.so")],
    });
    expect(basename(files.demoModel)).toBe("demo.gguf");
  });

  test("knows the names of macOS", async () => {
    const folder = makeFolder("a", [
      "libmlo.dylib",
      "libggml-base.dylib",
      "libggml-cpu-apple_m1.dylib",
      "libggml-metal.dylib",
    ]);
    const { cpuPlugins, gpuPlugins } = await locateNativeFiles(root, folder);
    expect([...cpuPlugins, ...gpuPlugins].map((path) => basename(path))).toEqual([
      "libggml-cpu-apple_m1.dylib",
      "libggml-metal.dylib",
    ]);
  });

  test.each([["a folder that is not there"], ["a folder without libmlo"]])(
    "refuses %s, with the way out",
    async (what) => {
      const folder = what.endsWith("libmlo") ? makeFolder("empty", ["libggml-base.so"]) : join(root, "missing");
      const refusal = await locateNativeFiles(root, folder).catch((thrown: unknown) => thrown);
      expect(refusal).toBeInstanceOf(AppError);
      expect(refusal).toMatchObject({ message: `There is no libmlo in ${folder}.` });
      expect((refusal as AppError).hint).toContain("ML_OFFLOAD_NATIVE_DIR");
    },
  );

  test("the key is that of the content: another build behind the same link, or a file written anew", async () => {
    const [first, second] = [makeFolder("first", SET), makeFolder("second", SET)];
    const link = join(root, "link");
    const keyOf = async (folder: string): Promise<string> => (await locateNativeFiles(root, folder)).key;
    symlinkSync(first, link);
    const before = await keyOf(link);
    expect(await keyOf(first)).toBe(before);
    rmSync(link);
    symlinkSync(second, link);
    expect(await keyOf(link)).not.toBe(before);
    utimesSync(join(first, "libggml-cpu-x64.so"), new Date(0), new Date(0));
    const touched = await keyOf(first);
    expect(touched).not.toBe(before);
    writeFileSync(join(first, "libmlo.so"), "another one");
    expect(await keyOf(first)).not.toBe(touched);
  });

  test.skipIf(!HAS_NATIVE)("an empty override means the build of this checkout", async () => {
    const files = await locateNativeFiles(root, "");
    expect(files.cpuPlugins.length).toBeGreaterThan(0);
    expect(files.key).toBe((await locateNativeFiles(root, undefined)).key);
  });
});

test("nothing is embedded when this runs from source", async () => {
  expect(await readEmbeddedText("third-party-notices.txt")).toBeNull();
});
