// Which plug-ins are trusted: the best variant that passes, the next when it does not, and what is remembered.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../../src/lib/log.ts";
import { type BackendName, listBackends } from "../../../src/protocol/backends.ts";
import { AppError } from "../../../src/protocol/errors.ts";
import type { JobQuestion } from "../../../src/protocol/messages.ts";
import type { NativeFiles } from "../../../src/router/backends/native-files.ts";
import { askOnce, describeUse, PluginChoices } from "../../../src/router/backends/plugin-choices.ts";
import {
  choosePlugins,
  type PluginChoice,
  type PluginEffects,
  pluginEffects,
} from "../../../src/router/backends/plugins.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const FILES: NativeFiles = {
  library: "/n/libmlo.so",
  cpuPlugins: ["/n/libggml-cpu-amx.so", "/n/libggml-cpu-haswell.so", "/n/libggml-cpu-x64.so"],
  gpuPlugins: [],
  probe: null,
  demoModel: "/n/demo.gguf",
  buildId: "b",
  key: "k1",
};
const SCORES: Record<string, number> = { haswell: 5, amx: 9, x64: 1 };

interface Host {
  /** Words in the names of plug-ins that die in their self-test. */
  dying?: string[];
  /** Words in the names of plug-ins that start and find nothing to compute on. */
  empty?: string[];
  scores?: Record<string, number>;
  scoring?: "fails" | "errors";
  recalled?: PluginChoice;
}

function makeEffects(host: Host = {}) {
  const asked: string[] = [];
  const remembered: PluginChoice[] = [];
  const warnings: string[] = [];
  const ask = async (question: JobQuestion): ReturnType<PluginEffects["ask"]> => {
    if (question.job === "scores") {
      asked.push("scores");
      if (host.scoring === "fails") return { kind: "failed", reason: "no answer within 120 s" };
      const scores = question.plugins.map((path) => {
        const name = Object.keys(SCORES).find((word) => path.includes(word)) ?? "";
        if (host.scoring === "errors") return { path, score: 0, error: "failed to map segment" };
        return { path, score: (host.scores ?? SCORES)[name] ?? 0 };
      });
      return { kind: "answer", answer: { job: "scores", scores } };
    }
    if (question.job !== "selftest") throw new Error(`nobody asks for ${question.job} here`);
    asked.push(question.plugin);
    expect(question.modelPath).toBe(FILES.demoModel);
    if ((host.dying ?? []).some((word) => question.plugin.includes(word))) {
      return { kind: "failed", reason: "the child ended with SIGILL" };
    }
    const isEmpty = (host.empty ?? []).some((word) => question.plugin.includes(word));
    return { kind: "answer", answer: { job: "selftest", devices: isEmpty ? [] : ["CPU"] } };
  };
  const effects: PluginEffects = {
    ask,
    recall: () => host.recalled ?? null,
    remember: (choice) => void remembered.push(choice),
    warn: (message) => void warnings.push(message),
  };
  return { effects, asked, remembered, warnings };
}

describe("choosePlugins", () => {
  test("takes the variant with the highest score, and tests no other", async () => {
    const { effects, asked, remembered } = makeEffects();
    const choice = await choosePlugins(FILES, effects);
    expect(choice).toEqual({ plugins: ["/n/libggml-cpu-amx.so"], skipped: [] });
    expect(asked).toEqual(["scores", "/n/libggml-cpu-amx.so"]);
    expect(remembered).toEqual([choice]);
  });

  test("takes the next one when the best dies, and says so", async () => {
    const { effects, warnings } = makeEffects({ dying: ["amx"] });
    const skipped = [{ file: "libggml-cpu-amx.so", reason: "the child ended with SIGILL" }];
    expect(await choosePlugins(FILES, effects)).toEqual({ plugins: ["/n/libggml-cpu-haswell.so"], skipped });
    expect(warnings).toEqual(["libggml-cpu-amx.so is not used: the child ended with SIGILL"]);
  });

  test("does not try variants that this processor can't run", async () => {
    const { effects, asked } = makeEffects({ scores: { x64: 1 } });
    expect((await choosePlugins(FILES, effects)).plugins).toEqual(["/n/libggml-cpu-x64.so"]);
    expect(asked).toHaveLength(2);
  });

  test("GPU back ends come first, and one that does not start is left out", async () => {
    const files = { ...FILES, gpuPlugins: ["/n/libggml-cuda.so", "/n/libggml-vulkan.so"] };
    const { effects } = makeEffects({ dying: ["cuda"] });
    expect(await choosePlugins(files, effects)).toEqual({
      plugins: ["/n/libggml-vulkan.so", "/n/libggml-cpu-amx.so"],
      skipped: [{ file: "libggml-cuda.so", reason: "the child ended with SIGILL" }],
    });
  });

  test.each([
    [{ dying: ["amx", "haswell", "x64"] }, "libggml-cpu-x64.so: the child ended with SIGILL"],
    [{ scoring: "fails" }, "libggml-cpu-amx.so: no answer within 120 s"],
    [{ scoring: "errors" }, "libggml-cpu-haswell.so: failed to map segment"],
  ] as [Host, string][])("without a usable one it refuses, with every reason: %j", async (host, reason) => {
    const { effects, remembered } = makeEffects(host);
    const refusal = await choosePlugins(FILES, effects).catch((thrown: unknown) => thrown);
    expect(refusal).toBeInstanceOf(AppError);
    expect((refusal as AppError).message).toContain("No backend is usable.");
    expect((refusal as AppError).message).toContain(reason);
    expect(remembered).toEqual([]);
  });

  test("says when there is no plug-in at all", async () => {
    const { effects } = makeEffects();
    expect(choosePlugins({ ...FILES, cpuPlugins: [] }, effects)).rejects.toThrow("No CPU plug-in was found.");
  });

  test("asks nothing when it remembers", async () => {
    const recalled: PluginChoice = { plugins: ["/n/libggml-cpu-x64.so"], skipped: [] };
    const { effects, asked } = makeEffects({ recalled });
    expect(await choosePlugins(FILES, effects)).toBe(recalled);
    expect(asked).toEqual([]);
  });
});

describe("what is remembered", () => {
  const folder = mkdtempSync(join(tmpdir(), "mlo-plugins-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const choice: PluginChoice = { plugins: FILES.cpuPlugins.slice(0, 1), skipped: [] };
  const effectsFor = (files: NativeFiles, cache: string): PluginEffects =>
    pluginEffects(files, cache, silentLogger, new FakeClock());

  test("holds for these files only", () => {
    const cache = join(folder, "new");
    const effects = effectsFor(FILES, cache);
    expect(effects.recall()).toBeNull();
    effects.remember(choice);
    expect(effectsFor(FILES, cache).recall()).toEqual(choice);
    const moved = (file: string) => file.replace(/^.*\//, "/elsewhere/");
    const elsewhere = { ...FILES, cpuPlugins: FILES.cpuPlugins.map(moved), gpuPlugins: FILES.gpuPlugins.map(moved) };
    expect(effectsFor(elsewhere, cache).recall()?.plugins).toEqual(choice.plugins.map(moved));
    expect(effectsFor({ ...FILES, key: "k2" }, cache).recall()).toBeNull();
    expect(effectsFor({ ...FILES, cpuPlugins: FILES.cpuPlugins.slice(1) }, cache).recall()).toBeNull();
    const held = [{ file: "libggml-cuda.so", reason: "it can't be unpacked" }];
    expect(effectsFor({ ...FILES, held }, cache).recall()).toBeNull();
  });

  test("that has no list of files is nothing", () => {
    const cache = join(folder, "odd");
    effectsFor(FILES, cache).remember({} as PluginChoice);
    expect(effectsFor(FILES, cache).recall()).toBeNull();
  });

  test("is kept for each list of back ends", () => {
    const cache = join(folder, "lists");
    const effectsOf = (wanted: BackendName[]) => pluginEffects(FILES, cache, silentLogger, new FakeClock(), wanted);
    const fallback: PluginChoice = { ...choice, fallback: "cpu in place of cuda" };
    effectsOf([]).remember(choice);
    effectsOf(["cuda", "cpu"]).remember(fallback);
    expect(effectsOf([]).recall()).toEqual(choice);
    expect(effectsOf(["cuda", "cpu"]).recall()).toEqual(fallback);
    expect(effectsOf(["cpu"]).recall()).toBeNull();
    effectsOf([]).remember(fallback);
    expect(effectsOf([]).recall()).toEqual(fallback);
    expect(effectsOf(["cuda", "cpu"]).recall()).toEqual(fallback);
  });

  test("is asked again when its file is broken or can't be written", () => {
    writeFileSync(join(folder, "plugins.json"), "{");
    expect(effectsFor(FILES, folder).recall()).toBeNull();
    const blocked = join(folder, "plugins.json", "below-a-file");
    const effects = effectsFor(FILES, blocked);
    effects.remember(choice);
    expect(effects.recall()).toBeNull();
  });
});

describe("back ends that were asked for", () => {
  const GPU: NativeFiles = { ...FILES, gpuPlugins: ["/n/libggml-cuda.so", "/n/libggml-vulkan.so"] };
  const CPU = "/n/libggml-cpu-amx.so";

  test("the first that works is used, and no other", async () => {
    const { effects, asked } = makeEffects();
    expect(await choosePlugins(GPU, effects, ["vulkan", "cuda", "cpu"])).toEqual({
      plugins: ["/n/libggml-vulkan.so", CPU],
      skipped: [],
    });
    expect(asked).not.toContain("/n/libggml-cuda.so");
  });

  test("one that dies, one without a device and one that is not built are named, and so is what is used instead", async () => {
    const { effects, warnings } = makeEffects({ dying: ["cuda"], empty: ["vulkan"] });
    const choice = await choosePlugins(GPU, effects, ["metal", "cuda", "vulkan", "cpu"]);
    expect(choice).toEqual({
      plugins: [CPU],
      skipped: [
        { file: "metal", reason: "this build has none" },
        { file: "libggml-cuda.so", reason: "the child ended with SIGILL" },
        { file: "libggml-vulkan.so", reason: "it finds no device here" },
      ],
      fallback: "cpu in place of metal",
    });
    expect(warnings).toHaveLength(3);
  });

  test("cpu alone asks no GPU", async () => {
    const { effects, asked } = makeEffects();
    expect(await choosePlugins(GPU, effects, ["cpu"])).toEqual({ plugins: [CPU], skipped: [] });
    expect(asked).toEqual(["scores", CPU]);
  });

  test("when none works, the start is refused with the reasons", async () => {
    const { effects, remembered } = makeEffects({ dying: ["cuda"] });
    const thrown = await choosePlugins(GPU, effects, ["cuda", "metal"]).catch((error: unknown) => error);
    expect(thrown).toMatchObject({
      code: "plan_refused",
      message:
        "None of the back ends cuda, metal works here. libggml-cuda.so: the child ended with SIGILL; metal: this build has none",
    });
    expect(remembered).toEqual([]);
  });

  test("one that the binary keeps packed is left out with its reason, whether it was named or not", async () => {
    const held = [{ file: "libggml-cuda.so", reason: "there is no NVIDIA driver here" }];
    const { effects, warnings } = makeEffects();
    expect(await choosePlugins({ ...FILES, held }, effects)).toEqual({ plugins: [CPU], skipped: held });
    expect(warnings).toEqual([]);
    const named = await choosePlugins({ ...FILES, held }, makeEffects().effects, ["cuda", "cpu"]);
    expect(named).toEqual({ plugins: [CPU], skipped: held, fallback: "cpu in place of cuda" });
  });

  test("the setting is a list in order, by commas or several times", () => {
    expect(listBackends([])).toEqual([]);
    expect(listBackends(["vulkan,cpu", "cuda", "cpu"])).toEqual(["vulkan", "cpu", "cuda"]);
  });
});

describe("the lists of several models", () => {
  const GPU: NativeFiles = { ...FILES, gpuPlugins: ["/n/libggml-cuda.so", "/n/libggml-vulkan.so"] };

  function makeChoices(host: Host) {
    const { effects, asked } = makeEffects(host);
    const ask = askOnce(effects.ask);
    const choices = new PluginChoices((wanted) => choosePlugins(GPU, { ...effects, ask }, wanted));
    return { choices, asked };
  }

  test("are tried once each, also when several ask at once, and share what is known of a plug-in", async () => {
    const { choices, asked } = makeChoices({ empty: ["cuda"] });
    const [one, same] = await Promise.all([choices.of(["cuda", "vulkan"]), choices.of(["cuda", "vulkan"])]);
    expect(same).toBe(one);
    expect(one).toMatchObject({ plugins: ["/n/libggml-vulkan.so", "/n/libggml-cpu-amx.so"] });
    const before = [...asked];
    expect(await choices.of(["vulkan", "cpu"])).toMatchObject({ plugins: one.plugins, skipped: [] });
    expect(await choices.of(["cuda", "vulkan"])).toBe(one);
    expect(asked).toEqual(before);
  });

  test("that nothing here fulfils are tried again when they are asked for again", async () => {
    const host: Host = { dying: ["cuda"] };
    const { choices, asked } = makeChoices(host);
    await expect(choices.of(["cuda"])).rejects.toMatchObject({ code: "plan_refused" });
    host.dying = [];
    expect((await choices.of(["cuda"])).plugins).toEqual(["/n/libggml-cuda.so", "/n/libggml-cpu-amx.so"]);
    expect(asked.filter((question) => question.includes("cuda"))).toHaveLength(2);
  });

  test("are told by the names of back ends", async () => {
    const { choices } = makeChoices({ empty: ["cuda"] });
    const use = async (...wanted: BackendName[]) => describeUse(wanted, await choices.of(wanted));
    expect(await use("cuda", "cpu")).toEqual({
      wanted: ["cuda", "cpu"],
      used: ["cpu"],
      fallback: "cpu in place of cuda",
      skipped: [{ file: "libggml-cuda.so", reason: "it finds no device here" }],
    });
    expect(await use()).toMatchObject({ wanted: [], used: ["cuda", "vulkan"], fallback: null });
  });
});
