// What is loaded at the start, and what the router is told of memory.

import { expect, test } from "bun:test";
import { type MemorySources, openMemory, preload } from "../../src/commands/residency.ts";
import { resolveConfig, type ServeConfig } from "../../src/config.ts";
import type { Logger } from "../../src/lib/log.ts";
import { silentLogger } from "../../src/lib/log.ts";
import type { ModelRegistry } from "../../src/models/registry.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { EngineSettings } from "../../src/protocol/messages.ts";
import type { Router } from "../../src/router/router.ts";
import { makeEntry } from "../support/fake-engines.ts";
import { DEMO_PATH } from "../support/fake-inference.ts";

const FOLDERS = { config: "/c", data: "/d", state: "/s", cache: "/h" };

function configOf(...flags: [string, string][]): ServeConfig {
  const named = new Map(flags.map(([name, value]) => [name, [value]]));
  return resolveConfig({ flags: named, env: {}, folders: FOLDERS, cwd: "/" }, null).values;
}

const demo = makeEntry("demo", { path: DEMO_PATH, sizeBytes: 1_000_000, trainedContextLength: 320 });

const PARTS = { weightsBytes: 1, mappedBytes: 2, kvBytes: 4, computeBytes: 8, overheadBytes: 16 };
const NONE = { weightsBytes: 0, mappedBytes: 0, kvBytes: 0, computeBytes: 0, overheadBytes: 0 };
const SPARE = 64 * 1024 ** 2;

function open(config: ServeConfig, measure: MemorySources["measure"]) {
  const describe = async () => ({ modelPath: "/described" }) as EngineSettings;
  return openMemory({ config, log: silentLogger, describe, measure });
}

const refuse = () => Promise.reject(new AppError({ code: "model_damaged", message: "bad tensor" }));

test("what a model takes is what llama.cpp says of its load, by place, and what requests bring", async () => {
  const asked: string[] = [];
  const { needOf } = open(configOf(), async ({ modelPath }) => {
    asked.push(modelPath);
    return { need: { host: PARTS, devices: [{ ...NONE, kvBytes: 7 }] }, repackedBytes: 0, embedding: null };
  });
  expect(await needOf(demo)).toEqual([31 + SPARE, 7]);
  await needOf({ ...demo, path: "/weights", conversion: { file: "/made.gguf" } });
  expect(asked).toEqual([DEMO_PATH, "/made.gguf"]);
});

test("where that fails its files count, whatever their header says: the load will tell why", async () => {
  expect(await open(configOf(), refuse).needOf(demo)).toEqual([1_000_000 + 256 * 1024 ** 2]);
});

test("a folder of weights that is not converted yet counts by its size", async () => {
  const { needOf } = open(configOf(), refuse);
  expect(await needOf({ ...demo, path: "/nowhere", conversion: { file: null } })).toEqual([1_000_000]);
});

test("the budget is what was said, else what this machine has and nobody else uses", () => {
  expect(open(configOf(["memory_budget", "5000"]), refuse).budgetsOf([])).toEqual([5000]);
  const [automatic = null] = open(configOf(), refuse).budgetsOf([process.pid]);
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
