// What is loaded at the start, and what the router is told of memory.

import { expect, test } from "bun:test";
import { openMemory, preload } from "../../src/commands/residency.ts";
import { resolveConfig, type ServeConfig } from "../../src/config.ts";
import type { Logger } from "../../src/lib/log.ts";
import { silentLogger } from "../../src/lib/log.ts";
import type { ModelRegistry } from "../../src/models/registry.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { Router } from "../../src/router/router.ts";
import { makeEntry } from "../support/fake-engines.ts";
import { DEMO_PATH } from "../support/fake-inference.ts";

const FOLDERS = { config: "/c", data: "/d", state: "/s", cache: "/h" };

function configOf(...flags: [string, string][]): ServeConfig {
  const named = new Map(flags.map(([name, value]) => [name, [value]]));
  return resolveConfig({ flags: named, env: {}, folders: FOLDERS, cwd: "/" }, null).values;
}

const demo = makeEntry("demo", { path: DEMO_PATH, sizeBytes: 1_000_000, trainedContextLength: 320 });

test("what a model takes hangs on its context, by its own file's settings before the server's", async () => {
  const { needOf } = openMemory(configOf());
  const [automatic = 0] = await needOf(demo);
  expect(automatic).toBeGreaterThan(256 * 1024 ** 2 + demo.sizeBytes);
  const [longer = 0] = await openMemory(configOf(["ctx", "4096"])).needOf(demo);
  expect(longer).toBeGreaterThan(automatic);
  const own = { ...demo, settings: { engine: { ctx: 4096 }, sampling: {} } };
  expect(await needOf(own)).toEqual([longer]);
});

test("a folder of weights that is not converted yet counts by its size", async () => {
  const { needOf } = openMemory(configOf());
  expect(await needOf({ ...demo, path: "/nowhere", conversion: { file: null } })).toEqual([1_000_000]);
  expect(await needOf({ ...demo, path: "/nowhere", conversion: { file: DEMO_PATH } })).toEqual(await needOf(demo));
});

test("the budget is what was said, else what this machine has and nobody else uses", () => {
  expect(openMemory(configOf(["memory_budget", "5000"])).budgetsOf([])).toEqual([5000]);
  const [automatic = null] = openMemory(configOf()).budgetsOf([process.pid]);
  if (process.platform === "linux") expect(automatic).toBeGreaterThan(0);
  else expect(automatic).toBeNull();
});

test("models are loaded at the start in their order, each once, and one that fails does not keep the others away", async () => {
  const loaded: string[] = [];
  const errors: unknown[] = [];
  const router = {
    async load(name: string) {
      if (name === "broken") throw new AppError({ code: "model_damaged", message: "bad tensor" });
      loaded.push(name);
    },
  } as unknown as Router;
  const marked = makeEntry("marked", { settings: { engine: {}, sampling: {}, preload: true } });
  const registry = { list: () => [demo, marked] } as unknown as ModelRegistry;
  const log: Logger = { ...silentLogger, error: (message, fields) => void errors.push([message, fields]) };
  await preload(router, registry, ["broken", "default", "default"], log);
  expect(loaded).toEqual(["default", "marked"]);
  expect(errors).toEqual([["a model can't be loaded at the start", { model: "broken", error: "bad tensor" }]]);
});
