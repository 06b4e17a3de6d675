// What is loaded at the start, and what the router is told of memory.

import { expect, test } from "bun:test";
import { openMemory, preload } from "../../src/commands/residency.ts";
import type { Logger } from "../../src/lib/log.ts";
import { silentLogger } from "../../src/lib/log.ts";
import type { ModelRegistry } from "../../src/models/registry.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { LoadPlan } from "../../src/router/placement/planning.ts";
import { compareFree, type MemoryEffects } from "../../src/router/residency/memory-effects.ts";
import type { Router } from "../../src/router/router.ts";
import { makeEntry } from "../support/fake-engines.ts";
import { DEMO_PATH } from "../support/fake-inference.ts";
import { FakeMachine, makeDevice, makeMachine } from "../support/machines.ts";

const PARTS = { weightsBytes: 1, mappedBytes: 0, kvBytes: 0, computeBytes: 0, overheadBytes: 0 };
const EMBEDDING = { host: PARTS, devices: [] };
const LEARNED = { settings: 1, loads: 1, excessBytes: 2, lastPlannedBytes: 10, lastMeasuredBytes: 12 };

/** `planned`: what the planner says of any model; null: it can't say. */
function open(planned: number[] | null, machine = new FakeMachine()): MemoryEffects {
  const plan = planned === null ? null : ({ poolBytes: planned } as unknown as LoadPlan);
  const pools = [{ name: "main memory", totalBytes: 8000, budgetBytes: 5000, reason: "as the test says" }];
  const planner = {
    planLoad: async () => plan,
    embeddingOf: () => EMBEDDING,
    pools: () => pools,
    byPool: () => [12, 3],
    learnedOf: () => LEARNED,
  };
  return openMemory({ planner, hardware: { sources: { machine } } });
}

const demo = makeEntry("demo", { path: DEMO_PATH, sizeBytes: 1_000_000, trainedContextLength: 320 });

test("what a model takes and what there is are the planner's to say", async () => {
  const { needOf, embeddingOf, budgets, pools, byPool, learnedOf } = open([1234, 7]);
  expect(byPool({ host: PARTS, devices: [PARTS] })).toEqual([12, 3]);
  expect(embeddingOf(demo)).toBe(EMBEDDING);
  expect(learnedOf("demo")).toEqual(LEARNED);
  expect(await needOf(demo)).toEqual([1234, 7]);
  expect([pools(), budgets()]).toEqual([["main memory"], [5000]]);
});

test("what is free is looked at anew, of main memory and of each device; one that does not tell is null", async () => {
  const machine = new FakeMachine();
  const { readFree } = open([1], machine);
  const devices = [makeDevice({ freeBytes: 5000 }), makeDevice({ id: "cuda:GPU-1", freeBytes: null })];
  machine.now = makeMachine({ devices });
  const before = await readFree();
  expect(before).toEqual({
    hostBytes: makeMachine().memory.availableBytes,
    devices: [
      { id: "cuda:GPU-0", freeBytes: 5000 },
      { id: "cuda:GPU-1", freeBytes: null },
    ],
  });
  machine.now = makeMachine({ devices: [makeDevice({ freeBytes: 8000 }), makeDevice({ id: "cuda:GPU-1" })] });
  const after = await readFree();
  expect(machine.ages).toEqual([0, 0]);
  // What was not known before, and what is not there any more, gave nothing back that anybody could tell.
  const freedBytes = [{ id: "cuda:GPU-0", freedBytes: 3000 }];
  expect(compareFree(before, after, 7)).toEqual({ anonBytes: 7, hostBytes: 0, devices: freedBytes });
  expect(compareFree(after, { hostBytes: null, devices: [] }, null)).toEqual({
    anonBytes: null,
    hostBytes: null,
    devices: [],
  });
});

test("who waits for memory does not wait for drivers that know of no device", async () => {
  const machine = new FakeMachine();
  machine.now = makeMachine({ devices: [] });
  const { hostBytes, devices } = await open([1], machine).readFree();
  // Where the system does not tell it in its files, the machine is asked.
  expect(machine.ages).toEqual(process.platform === "linux" ? [] : [0]);
  expect(hostBytes).toBeGreaterThan(0);
  expect(devices).toEqual([]);
});

test("where it can't say its files count, whatever their header says: the load will tell why", async () => {
  expect(await open(null).needOf(demo)).toEqual([1_000_000 + 256 * 1024 ** 2]);
});

test("a folder of weights that is not converted yet counts by its plan too", async () => {
  expect(await open([1234]).needOf({ ...demo, conversion: { file: null } })).toEqual([1234]);
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
