// The file that an engine loads for a folder: made once, found again, made anew when the source has changed or the last try
// broke off.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../../src/lib/log.ts";
import { ConvertedCache } from "../../../src/models/converted-cache.ts";
import { AppError, toAppError } from "../../../src/protocol/errors.ts";
import type { ConversionTask } from "../../../src/router/conversions/conversion-child.ts";
import { Conversions } from "../../../src/router/conversions/conversions.ts";
import { ConvertOnLoad, type ConvertOnLoadOptions } from "../../../src/router/conversions/convert-on-load.ts";
import { FakeClock } from "../../support/fake-clock.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mlo-on-load-"));
  mkdirSync(join(root, "m"));
  writeFileSync(join(root, "m/config.json"), "{}");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const never = () => new AbortController().signal;

function makeFixture(changes: Partial<ConvertOnLoadOptions> = {}) {
  const runs: ConversionTask[] = [];
  const state: { failure: AppError | null; converted: number } = { failure: null, converted: 0 };
  const conversions = new Conversions({
    async run(task) {
      runs.push(task);
      await Bun.sleep(0);
      task.signal.throwIfAborted();
      if (state.failure !== null) throw state.failure;
      const outType = task.outType === "auto" ? "bf16" : task.outType;
      const target = join(task.folder, `m-${outType.toUpperCase()}.gguf`);
      writeFileSync(target, "x");
      return { target, outType, architecture: "llama", bytes: 1, notes: [] };
    },
    onChange: () => {},
    log: silentLogger,
    clock: new FakeClock(),
  });
  const cache = new ConvertedCache({ folder: join(root, "converted"), version: "1", bytesMax: 0 });
  const loader = new ConvertOnLoad({
    cache,
    conversions,
    outType: null,
    chooseOutType: (parameterCount) => (parameterCount === null ? "auto" : "q8_0"),
    onConverted: () => {
      state.converted += 1;
    },
    log: silentLogger,
    ...changes,
  });
  return { loader, conversions, runs, state, cache };
}

const entry = (parameterCount: number | null = null) => ({ id: "m", path: join(root, "m"), parameterCount });
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "none",
    (thrown) => toAppError(thrown).code,
  );

test("two who ask at once get one file, and the next one finds it", async () => {
  const { loader, runs, state } = makeFixture();
  const [first, second] = await Promise.all([loader.prepare(entry(), never()), loader.prepare(entry(), never())]);
  expect(first.endsWith("m-BF16.gguf")).toBe(true);
  expect(second).toBe(first);
  expect(await loader.prepare(entry(), never())).toBe(first);
  expect([runs.length, state.converted]).toEqual([1, 2]);
  expect(await makeFixture().loader.prepare(entry(), never())).toBe(first);
});

test("the type is the one that fits, or the one that was set, and that one alone counts then", async () => {
  const fits = makeFixture();
  expect(await fits.loader.prepare(entry(5), never())).toEndWith("m-Q8_0.gguf");
  const set = makeFixture({ outType: "f32" });
  expect(await set.loader.prepare(entry(), never())).toEndWith("m-F32.gguf");
  expect(set.runs.map(({ outType }) => outType)).toEqual(["f32"]);
});

test("another source is converted anew, and the old file goes", async () => {
  const { loader, runs } = makeFixture();
  const first = await loader.prepare(entry(), never());
  writeFileSync(join(root, "m/config.json"), '{"a":1}');
  const second = await loader.prepare(entry(), never());
  expect(second).not.toBe(first);
  expect([runs.length, existsSync(first), existsSync(second)]).toEqual([2, false, true]);
});

test("a file that an engine has open stays until it ends", async () => {
  const { loader } = makeFixture();
  const first = await loader.prepare(entry(), never());
  const ended = Promise.withResolvers<void>();
  loader.hold(first, ended.promise);
  rmSync(join(root, "m"), { recursive: true });
  await loader.sweep();
  expect(existsSync(first)).toBe(true);
  ended.resolve();
  await ended.promise;
  await loader.sweep();
  expect(existsSync(first)).toBe(false);
});

test("what broke off is tried again; what can't be converted is not, until it changes", async () => {
  const { loader, runs, state } = makeFixture();
  state.failure = new AppError({ code: "engine_crashed", message: "killed" });
  expect(await codeOf(loader.prepare(entry(), never()))).toBe("engine_crashed");
  state.failure = new AppError({ code: "format_unsupported", message: "an odd tokenizer" });
  expect(await codeOf(loader.prepare(entry(), never()))).toBe("format_unsupported");
  expect(await codeOf(loader.prepare(entry(), never()))).toBe("format_unsupported");
  expect(runs).toHaveLength(2);
  state.failure = null;
  writeFileSync(join(root, "m/tokenizer.json"), "{}");
  expect(await codeOf(loader.prepare(entry(), never()))).toBe("none");
});

test("who leaves ends nothing for the others", async () => {
  const { loader, runs } = makeFixture();
  const client = new AbortController();
  const [leaving, staying] = [loader.prepare(entry(), client.signal), loader.prepare(entry(), never())];
  client.abort();
  expect(await codeOf(leaving)).toBe("cancelled");
  expect(await codeOf(staying)).toBe("none");
  expect(runs).toHaveLength(1);
});

test("a cancelled conversion is told, and a source that is gone", async () => {
  const { loader, conversions } = makeFixture();
  const waiting = loader.prepare(entry(), never());
  await conversions.cancel(conversions.list()[0]?.id ?? "");
  expect(await codeOf(waiting)).toBe("cancelled");
  rmSync(join(root, "m"), { recursive: true });
  expect(await codeOf(loader.prepare(entry(), never()))).toBe("model_not_found");
});

test("a cache that can't be written is an error with a way out", async () => {
  writeFileSync(join(root, "converted"), "a file in its place");
  const { loader } = makeFixture();
  expect(await codeOf(loader.prepare(entry(), never()))).toBe("storage_unavailable");
});

test("who asks hears how far it is; of a file that is there, nothing", async () => {
  const { loader } = makeFixture();
  const heard: string[] = [];
  const onChange = ({ state }: { state: string }) => void heard.push(state);
  await loader.prepare(entry(), never(), onChange);
  expect(heard).toEqual(["running", "done"]);
  await loader.prepare(entry(), never(), onChange);
  expect(heard).toHaveLength(2);
});
