// `convert`: what goes to stdout and stderr, where the file is put, which mistakes are told, and progress.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgv } from "../../src/commands/arguments/argv.ts";
import { type ConvertArguments, convert } from "../../src/commands/convert.ts";
import { ConvertProgress } from "../../src/commands/text/convert-progress.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { ATTENTION_LORA, writePeftFolder } from "../support/peft-folders.ts";
import { TINY, writeTinyFolder } from "../support/tiny-decoders.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-convert-command-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const source = join(root, "Tiny-1M");
beforeAll(() => writeTinyFolder(source, TINY, tinyTokenizer()));

async function run(args: Partial<ConvertArguments>) {
  const out: string[] = [];
  const err: string[] = [];
  const output = {
    stdout: { write: (text: string) => out.push(text) },
    stderr: { write: (text: string) => err.push(text) },
  };
  const home = mkdtempSync(join(root, "home-"));
  const plain = { outType: "auto", force: false, imatrix: null, allowRequantize: false, base: null };
  const all = { source, target: null, ...plain, json: false, stopWithStdin: false, ...args };
  const result = await convert(all, { HOME: home }, output).then(
    (code) => ({ code, error: null }),
    (error: Error & { code: string; hint: string }) => ({ code: null, error }),
  );
  return { ...result, out: out.join(""), err: err.join(""), home };
}

describe("convert", () => {
  test("without DST into the models folder, which is made", async () => {
    const { code, out, err, home } = await run({});
    expect(code).toBe(0);
    const path = join(home, ".local/share/ml-offload/models/Tiny-1M-F16.gguf");
    expect(out).toBe(`${path}\n`);
    expect(existsSync(path)).toBe(true);
    expect(err).toContain("100%");
    expect(err).toContain("llama as f16: 100K parameters in 21 tensors, 0.2 MB, in");
    expect(err).toEndWith(`serve it: ml-offload serve --model ${path}\n`);
  });

  test("into a folder, as a file, and over a file only when asked to", async () => {
    const folder = join(root, "out put");
    mkdirSync(folder);
    const first = await run({ target: folder, outType: "Q8_0" });
    expect(first.out).toBe(`${join(folder, "Tiny-1M-Q8_0.gguf")}\n`);
    expect(first.err).toContain(`--model '${join(folder, "Tiny-1M-Q8_0.gguf")}'`);
    const file = join(folder, "mine.gguf");
    expect((await run({ target: file })).out).toBe(`${file}\n`);
    expect((await run({ target: file })).error).toMatchObject({ code: "invalid_request" });
    expect((await run({ target: file, force: true })).code).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(["Tiny-1M-Q8_0.gguf", "mine.gguf"]);
  });

  test("notes are told", async () => {
    const folder = join(root, "windowed");
    writeTinyFolder(folder, { ...TINY, config: { sliding_window: 32 } }, tinyTokenizer());
    expect((await run({ source: folder })).err).toContain("note: the model was trained with a sliding window of 32");
  });

  test.each([
    [{ outType: "f8" }, '--outtype must be a type that models are converted to, not "f8"'],
    [{ outType: "f16", imatrix: "any" }, "f16 makes no use of an importance matrix"],
    [{ target: join(root, "nowhere/x.gguf") }, "DST must be a folder that is there"],
    [{ target: join(root, "model.bin") }, "ends in .gguf"],
    [{ source: join(root, "nowhere") }, "is not a folder"],
  ])("mistakes of the command line: %p", async (args, message) => {
    const { error, out } = await run(args);
    expect(error).toMatchObject({ code: "invalid_request" });
    expect(error?.message).toContain(message);
    expect(error?.hint.length).toBeGreaterThan(0);
    expect(out).toBe("");
  });

  test("Ctrl-C ends it with nothing left behind", async () => {
    const target = join(root, "stopped");
    mkdirSync(target);
    const running = run({ target });
    process.emit("SIGINT");
    const { code, err, out } = await running;
    expect(code).toBe(130);
    expect(err).toContain("stopped; nothing was left behind");
    expect(out).toBe("");
    expect(readdirSync(target)).toEqual([]);
  });
});

describe("as lines of JSON", () => {
  test("each step, and nothing else on stdout", async () => {
    const target = mkdtempSync(join(root, "json-"));
    const { code, out, err } = await run({ target, json: true });
    const lines = out
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
    const file = "Tiny-1M-F16.gguf";
    expect([code, err]).toEqual([0, ""]);
    expect(lines[0]).toEqual({ type: "planned", outType: "f16", file });
    expect(lines.at(-2)).toMatchObject({ type: "progress" });
    expect(lines.at(-2).doneBytes).toBe(lines.at(-2).totalBytes);
    expect(lines.at(-1)).toMatchObject({ type: "done", target: join(target, file), architecture: "llama" });
    expect(lines.at(-1).bytes).toBe(lines.at(-2).totalBytes);
  });

  test("a failure has the error's code, and the command fails as ever", async () => {
    for (const args of [{ source: join(root, "nope") }, { outType: "q9" }]) {
      const { out, error } = await run({ ...args, json: true });
      expect(error).toMatchObject({ code: "invalid_request" });
      expect(JSON.parse(out)).toMatchObject({
        type: "failed",
        error: { code: "invalid_request", message: error?.message },
      });
    }
  });
});

test("an adapter, with its base; and a base of what is none", async () => {
  const adapter = join(root, "my-lora");
  writePeftFolder(adapter, TINY, ATTENTION_LORA);
  const { code, out, err } = await run({ source: adapter, base: source });
  expect(code).toBe(0);
  expect(out).toEndWith("/models/my-lora-F32.gguf\n");
  expect(err).toContain("in 16 tensors");
  expect(err).toEndWith(`use it: ml-offload serve --model BASE.gguf --lora ${out}`);
  const { error } = await run({ base: adapter });
  expect(error).toMatchObject({ code: "invalid_request" });
  expect(error?.message).toContain("--base is for adapters");
});

test("the command line", () => {
  const parsed = parseArgv(["convert", "a", "b", "--outtype", "q8_0", "--force"]);
  expect(parsed).toEqual({
    command: "convert",
    convert: {
      source: "a",
      target: "b",
      outType: "q8_0",
      force: true,
      imatrix: null,
      allowRequantize: false,
      json: false,
      stopWithStdin: false,
      base: null,
    },
  });
  const machine = parseArgv(["convert", "a", "--json", "--stop-with-stdin"]);
  expect(machine).toMatchObject({ convert: { json: true, stopWithStdin: true } });
  expect(parseArgv(["convert", "a"])).toMatchObject({ convert: { target: null, outType: "auto", force: false } });
  expect(parseArgv(["convert", "a.gguf", "--imatrix", "m.gguf", "--allow-requantize"])).toMatchObject({
    convert: { imatrix: "m.gguf", allowRequantize: true },
  });
  expect(parseArgv(["convert", "a", "--base", "b"])).toMatchObject({ convert: { source: "a", base: "b" } });
  expect(() => parseArgv(["convert"])).toThrow("convert needs a folder");
  expect(() => parseArgv(["convert", "a", "b", "c"])).toThrow('does not take the argument "c"');
});

describe("progress", () => {
  test("one line per tenth where nobody can look", () => {
    const lines: string[] = [];
    let now = 0;
    const progress = new ConvertProgress({ write: (text) => lines.push(text) }, () => now);
    for (let done = 0; done <= 100; done++) {
      now += 10;
      progress.show(done * 1e7, 1e9);
    }
    progress.end();
    expect(lines).toHaveLength(10);
    expect(lines[0]).toBe(" 10%  100.0 MB of 1.00 GB, 909 MB/s\n");
    expect(lines.at(-1)).toStartWith("100%  1.00 GB of 1.00 GB");
  });

  test("of two phases each counts by itself", () => {
    const lines: string[] = [];
    let now = 0;
    const progress = new ConvertProgress({ write: (text) => lines.push(text) }, () => now);
    for (const phase of ["write", "quantize"] as const) {
      for (let done = 0; done <= 4; done++) {
        now += 1000;
        progress.show(done * 1e9, 4e9, phase);
      }
    }
    progress.end();
    expect(lines).toHaveLength(8);
    expect(lines[0]).toBe("1/2 converting   25%  1.00 GB of 4.00 GB, 500 MB/s\n");
    expect(lines.at(-1)).toBe("2/2 quantising  100%  4.00 GB of 4.00 GB, 1000 MB/s\n");
  });

  test("in a terminal a line that is written over, ten times a second at most", () => {
    const lines: string[] = [];
    let now = 0;
    const progress = new ConvertProgress({ write: (text) => lines.push(text), isTTY: true }, () => now);
    for (let done = 0; done <= 100; done++) {
      now += 10;
      progress.show(done * 1e7, 1e9);
    }
    progress.end();
    progress.end();
    expect(lines.length).toBeGreaterThan(9);
    expect(lines.length).toBeLessThan(14);
    expect(lines.every((line) => line.startsWith("\r") || line === "\n")).toBe(true);
    expect(lines.filter((line) => line === "\n")).toHaveLength(1);
  });
});
