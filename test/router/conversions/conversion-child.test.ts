// Real conversions in children: what they make, what they say when they fail, and that nothing of them is left.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/log.ts";
import type { ConversionLine } from "../../../src/protocol/conversion.ts";
import { AppError, toAppError } from "../../../src/protocol/errors.ts";
import {
  type ConversionTask,
  removeLeftovers,
  runConversion,
} from "../../../src/router/conversions/conversion-child.ts";
import { tinyTokenizer } from "../../support/hf-tokenizers.ts";
import { writeSparseFolder } from "../../support/sparse-folder.ts";
import { TINIEST, writeTinyFolder } from "../../support/tiny-decoders.ts";

const MAIN = join(import.meta.dir, "../../../src/main.ts");
const testMain = Bun.main;
const root = mkdtempSync(join(tmpdir(), "mlo-conversion-child-"));
const source = join(root, "Tiny");
let folder = "";

/** Children run `Bun.main` again, which is a test file here. */
function setMain(path: string): void {
  (Bun as { main: string }).main = path;
}

beforeAll(() => {
  setMain(MAIN);
  writeTinyFolder(source, TINIEST, tinyTokenizer());
});
afterAll(() => {
  setMain(testMain);
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  folder = mkdtempSync(join(root, "out-"));
});

const run = (changes: Partial<ConversionTask> = {}) =>
  runConversion({
    source,
    outType: "auto",
    folder,
    name: null,
    signal: new AbortController().signal,
    onLine: () => {},
    log: silentLogger,
    clock: systemClock,
    ...changes,
  });
const errorOf = (promise: Promise<unknown>): Promise<AppError | null> =>
  promise.then(
    () => null,
    (thrown) => toAppError(thrown),
  );

test("makes a file under its own name or a given one, and tells how it goes on", async () => {
  const lines: ConversionLine[] = [];
  const result = await run({ onLine: (line) => lines.push(line) });
  const target = join(folder, "Tiny-F16.gguf");
  expect(result).toMatchObject({ target, outType: "f16", architecture: "llama" });
  expect([lines[0]?.type, lines.at(-2)?.type, lines.at(-1)?.type]).toEqual(["planned", "progress", "done"]);
  expect((await run({ name: "mine", outType: "q8_0" })).target).toBe(join(folder, "mine.gguf"));
  expect(readdirSync(folder).sort()).toEqual(["Tiny-F16.gguf", "mine.gguf"]);
  expect(readFileSync(target).length).toBe(result.bytes);
}, 60_000);

test("never takes the place of a file", async () => {
  writeFileSync(join(folder, "mine.gguf"), "precious");
  expect(await errorOf(run({ name: "mine" }))).toMatchObject({ code: "invalid_request" });
  expect(readFileSync(join(folder, "mine.gguf"), "utf8")).toBe("precious");
  expect(readdirSync(folder)).toEqual(["mine.gguf"]);
}, 60_000);

test("fails as the converter does, with its code and hint", async () => {
  const odd = join(root, "Odd");
  writeTinyFolder(odd, { ...TINIEST, config: { architectures: ["FooForCausalLM"] } }, tinyTokenizer());
  const error = await errorOf(run({ source: odd }));
  expect(error).toMatchObject({ code: "format_unsupported", hint: expect.stringContaining("LlamaForCausalLM") });
  expect(error?.message).toContain("FooForCausalLM");
  expect(await errorOf(run({ outType: "q9" }))).toMatchObject({ code: "invalid_request" });
  expect(readdirSync(folder)).toEqual([]);
}, 60_000);

test("is ended by its signal, before it begins and while it writes, and leaves nothing", async () => {
  const large = join(root, "Large");
  writeSparseFolder(large);
  const reason = new AppError({ code: "cancelled", message: "enough" });
  expect(await errorOf(run({ source: large, signal: AbortSignal.abort(reason) }))).toBe(reason);
  const stop = new AbortController();
  const onLine = ({ type }: ConversionLine) => type === "progress" && stop.abort(reason);
  expect(await errorOf(run({ source: large, signal: stop.signal, onLine }))).toBe(reason);
  expect(readdirSync(folder)).toEqual([]);
}, 60_000);

test("a folder that is not there is told", async () => {
  const error = await errorOf(run({ folder: join(root, "nowhere") }));
  expect(error).toMatchObject({ code: "storage_unavailable" });
});

test("what processes that are gone have left is removed, and nothing else", async () => {
  const ended = Bun.spawn(["true"]);
  await ended.exited;
  const names = [
    `.convert-${ended.pid}-1`,
    `.convert-${process.pid}-99999`,
    `.convert-${process.ppid}-1`,
    ".convert-x",
    "m",
  ];
  for (const name of names) mkdirSync(join(folder, name));
  writeFileSync(join(folder, names[0] ?? "", "half.gguf"), "x");
  await removeLeftovers(folder, readdirSync(folder));
  expect(names.filter((name) => existsSync(join(folder, name)))).toEqual(names.slice(2));
});
