// What is loaded at the start, and what the router is told of memory.

import { expect, test } from "bun:test";
import { openMemory, preload } from "../../src/commands/residency.ts";
import type { Logger } from "../../src/lib/log.ts";
import { silentLogger } from "../../src/lib/log.ts";
import type { ModelRegistry } from "../../src/models/registry.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { MemoryEffects } from "../../src/router/memory-effects.ts";
import type { LoadPlan } from "../../src/router/planning.ts";
import type { Router } from "../../src/router/router.ts";
import { makeEntry } from "../support/fake-engines.ts";
import { DEMO_PATH } from "../support/fake-inference.ts";

/** `planned`: what the planner says of any model; null: it can't say. */
function open(planned: number[] | null): MemoryEffects {
  const plan = planned === null ? null : ({ poolBytes: planned } as unknown as LoadPlan);
  const pools = [{ name: "main memory", totalBytes: 8000, budgetBytes: 5000, reason: "as the test says" }];
  return openMemory({ planner: { planLoad: async () => plan, pools: () => pools } });
}

const demo = makeEntry("demo", { path: DEMO_PATH, sizeBytes: 1_000_000, trainedContextLength: 320 });

test("what a model takes and what there is are the planner's to say", async () => {
  const { needOf, budgets, pools } = open([1234, 7]);
  expect(await needOf(demo)).toEqual([1234, 7]);
  expect([pools(), budgets()]).toEqual([["main memory"], [5000]]);
});

test("where it can't say its files count, whatever their header says: the load will tell why", async () => {
  expect(await open(null).needOf(demo)).toEqual([1_000_000 + 256 * 1024 ** 2]);
});

test("a folder of weights that is not converted yet counts by its size", async () => {
  expect(await open([1234]).needOf({ ...demo, conversion: { file: null } })).toEqual([1_000_000]);
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
