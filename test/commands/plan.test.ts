// `plan` and `recommend`: what was said and what was not, the texts, and the commands on the demo model.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { describeAsked, listSaid } from "../../src/commands/server/asked-settings.ts";
import { renderPlan, renderRecommendation } from "../../src/commands/text/plan-text.ts";
import { resolveConfig } from "../../src/config.ts";
import { recommend } from "../../src/router/placement/recommend.ts";
import { FakePlanner } from "../support/fake-planner.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { HAS_NATIVE } from "../support/llama-library.ts";
import { GIB, MIB, makeMachine, makeResident, makeSubject } from "../support/random-plans.ts";
import { TINY, writeTinyFolder } from "../support/tiny-decoders.ts";

const ROOT = join(import.meta.dir, "../..");
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mlo-plan-"));
  symlinkSync(join(ROOT, "src/demo/demo.gguf"), join(folder, "tiny.gguf"));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("what was said", () => {
  const folders = { config: "/c", data: "/d", state: "/s", cache: "/k" };
  const asked = (flags: [string, string[]][], changes = {}) => {
    const resolved = resolveConfig({ flags: new Map(flags), env: {}, folders, cwd: "/" }, null);
    return describeAsked(resolved.values, listSaid(resolved), changes);
  };

  test("a flag with the default's value is a wish, the default is none", () => {
    expect(asked([])).toEqual({});
    expect(
      asked([
        ["ubatch_size", ["512"]],
        ["kv_type", ["f16"]],
      ]),
    ).toEqual({ microBatchSize: 512, kvType: "f16" });
  });

  test("0 for automatic is no wish; the model's own file wins", () => {
    expect(
      asked([
        ["ctx", ["0"]],
        ["parallel", ["0"]],
        ["threads", ["0"]],
        ["retained", ["0"]],
      ]),
    ).toEqual({ retainedMax: 0 });
    expect(asked([["ctx", ["4096"]]], { ctx: 512, gpuLayers: 3 })).toEqual({ contextLength: 512, gpuLayers: 3 });
    expect(asked([], { draftModel: "/d.gguf" })).toEqual({ draft: true });
  });
});

describe("the text", () => {
  const planner = new FakePlanner();
  const render = async (asked = {}) => renderPlan(await planner.plan({ model: "demo", asked, goal: "balanced" }));

  test("of one that fits: settings, memory, speed, budget", async () => {
    planner.machine = makeMachine(8 * GIB, [300 * MIB]);
    const text = await render({ contextLength: 2048 });
    expect(text).toStartWith("demo: fits\n");
    for (const part of [
      "a context of 2048 tokens in f16",
      "layers on devices",
      "of CUDA0: weights",
      "mapped weights",
      "by the formula",
      "tokens/s",
      "8.6 GB for models (for this test)",
    ]) {
      expect(text).toContain(part);
    }
  });

  test("of one that llama.cpp could not be asked about: why", async () => {
    planner.unmeasured = "no answer within 60 s";
    expect(await render()).toContain("llama.cpp, which could not tell: no answer within 60 s");
    planner.unmeasured = null;
  });

  test("of one that would: each change; of one that can't: what is missing", async () => {
    planner.machine = makeMachine(2 * GIB);
    planner.residents = [makeResident("other", 1.5 * GIB)];
    const text = await render({ contextLength: 8192 });
    expect(text).toContain("does not fit as it is: demo takes at least");
    expect(text).toMatch(/fits if: +other is unloaded; loading it again takes about 1\.0 s/);
    planner.residents = [];
    planner.machine = makeMachine(100 * MIB);
    expect(await render()).toMatch(/missing: +\d+ MB of main memory/);
    planner.learned = { settings: 1, loads: 2, excessBytes: 5e6, lastPlannedBytes: 1e9, lastMeasuredBytes: 1.005e9 };
    expect(await render()).toContain(
      "2 loads, the last one took 1.0 GB where 1.0 GB were planned; 5.0 MB more are counted",
    );
  });

  test("of recommendations: the largest that is fast enough first, and what would help", () => {
    const of = (id: string, layerBytes: number) => ({ subject: makeSubject({ id, layers: 4, layerBytes }), asked: {} });
    const candidates = [of("small", 50 * MIB), of("large", 500 * MIB), of("slow", 3 * GIB), of("huge", 9 * GIB)];
    const text = renderRecommendation(recommend(candidates, makeMachine(20 * GIB)));
    const order = ["large (", "small (", "slow (", "huge ("].map((name) => text.indexOf(name));
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(text).toContain("but only about 3.");
    expect(text).toContain("huge (48.3 GB): does not fit: huge takes at least");
    expect(text).toMatch(/What would help most:\n {2}memory that is read twice as fast.* times as fast/);
    expect(renderRecommendation(recommend([], makeMachine(1)))).toContain("There are no models here");
  });
});

describe.skipIf(!HAS_NATIVE)("the command", () => {
  const run = (...args: string[]) => runWith({}, ...args);
  const runWith = (more: Record<string, string>, ...args: string[]) => {
    // The cache is the host's: what was measured and extracted there holds here.
    const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
    const env = {
      ...process.env,
      HOME: folder,
      XDG_CONFIG_HOME: folder,
      XDG_CACHE_HOME: cache,
      XDG_STATE_HOME: folder,
      ...more,
    };
    const child = Bun.spawnSync([process.execPath, join(ROOT, "src/main.ts"), ...args], { env, cwd: folder });
    return { code: child.exitCode, out: child.stdout.toString(), err: child.stderr.toString() };
  };

  test("a file by its path, confirmed by llama.cpp", () => {
    const { code, out } = run("plan", "./tiny.gguf", "--ctx", "300", "--json");
    const reply = JSON.parse(out);
    expect(code).toBe(0);
    expect(reply).toMatchObject({ model: "tiny", verdict: "fits", source: "measured", asked: { ctx: 300 } });
    expect(reply.plan.settings).toMatchObject({ ctx: 300, gpuLayers: 0 });
    expect(reply.plan.speed.tokensPerSecond).toBeGreaterThan(1);
  });

  test("a folder of weights by its path, for the type that it would be converted to", () => {
    writeTinyFolder(join(folder, "weights"), TINY, tinyTokenizer());
    const { code, out } = run("plan", "./weights", "--json", "--convert-type", "q8_0");
    expect(JSON.parse(out)).toMatchObject({
      model: "weights",
      verdict: "fits",
      source: "estimated",
      convertTo: "q8_0",
    });
    expect(code).toBe(0);
    expect(run("plan", "./weights").out).toContain("to f16 first, as this is planned");
  });

  test("on a machine of which all is to stay free a small model fits, unless nothing of what is free may be taken", () => {
    expect(run("plan", "./tiny.gguf", "--base-share", "100").code).toBe(0);
    const { code, out } = run("plan", "./tiny.gguf", "--base-share", "100", "--free-share", "0");
    expect([code, out]).toEqual([1, expect.stringContaining("0 B for models")]);
  });

  test("what does not fit is a failure for scripts", () => {
    const { code, out } = run("plan", "./tiny.gguf", "--memory-budget", "1000");
    expect(code).toBe(1);
    expect(out).toContain("tiny: does not fit: tiny takes at least");
  });

  test.each([[["plan", "./tiny.gguf"]], [["recommend", "--discover", "off"]]])(
    "%j goes by the settings of serve: flags before variables before the file",
    (args) => {
      const file = join(folder, "budget.yaml");
      writeFileSync(file, `memory_budget: 1000\nctx: 500\nmodels_dir: ${folder}\n`);
      const ask = (env: Record<string, string>, ...more: string[]) =>
        JSON.parse(runWith(env, ...args, "--json", "--config", file, ...more).out);
      const env = { ML_OFFLOAD_MEMORY_BUDGET: "900000000", ML_OFFLOAD_CTX: "400" };
      const verdict = (reply: { verdict?: string; models?: { verdict: string }[] }) =>
        reply.verdict ?? reply.models?.[0]?.verdict;
      const settings = (reply: { plan?: object; models?: { plan: object }[] }) => reply.plan ?? reply.models?.[0]?.plan;
      expect(verdict(ask({}))).not.toBe("fits");
      expect(settings(ask(env))).toMatchObject({ settings: { ctx: 400 } });
      expect(settings(ask({}, "--memory-budget", "900000000"))).toMatchObject({ settings: { ctx: 500 } });
      expect(verdict(ask(env, "--memory-budget", "2000"))).not.toBe("fits");
    },
  );

  test.each([
    [["plan"], "plan needs a model"],
    [["plan", "tiny", "--goal", "beauty"], "--goal must be one of balanced"],
    [["plan", "./none.gguf"], "none.gguf"],
  ])("%j is refused", (args, message) => {
    const { code, err } = run(...args);
    expect(code).not.toBe(0);
    expect(err).toContain(message);
  });

  test("recommendations of what is here", () => {
    const { code, out } = run("recommend", "--json", "--discover", "off", "--models-dir", folder);
    expect(code).toBe(0);
    expect(JSON.parse(out).models.map(({ model }: { model: string }) => model)).toContain("tiny");
  });
});
