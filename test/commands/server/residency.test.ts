// What the router is told of memory.

import { expect, test } from "bun:test";
import { openMemory } from "../../../src/commands/server/residency.ts";
import type { BackendName } from "../../../src/protocol/backends.ts";
import { AppError } from "../../../src/protocol/errors.ts";
import type { PluginChoice } from "../../../src/router/backends/plugins.ts";
import type { LoadPlan } from "../../../src/router/placement/planning.ts";
import { describeFreed, sumFreed } from "../../../src/router/residency/freed.ts";
import type { MemoryEffects } from "../../../src/router/residency/memory-effects.ts";
import { makeEntry } from "../../support/fake-engines.ts";
import { DEMO_PATH } from "../../support/fake-inference.ts";
import { FakeMachine, makeDevice, makeMachine } from "../../support/machines.ts";

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
  const choices = {
    of: async (wanted: readonly BackendName[]): Promise<PluginChoice> => {
      if (wanted.includes("cuda")) throw new AppError({ code: "plan_refused", message: "no cuda here" });
      return { plugins: [], skipped: [] };
    },
  };
  return openMemory({ planner, hardware: { sources: { machine } }, native: { choices } });
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

test("what nothing here computes has no need: its load is refused before it takes anybody's room", async () => {
  const { needOf } = open([1234]);
  const withBackend = (backend: BackendName[]) => ({ ...demo, settings: { engine: { backend }, sampling: {} } });
  expect(await needOf(withBackend(["cpu"]))).toEqual([1234]);
  await expect(needOf(withBackend(["cuda"]))).rejects.toMatchObject({ code: "plan_refused", message: "no cuda here" });
});

const OWN = { anonBytes: 7, mappedBytes: 3 };

test("what an end gives back is what the process had, by the system's and the driver's word; else by how much more is free", async () => {
  const machine = new FakeMachine();
  const { readFree } = open([1], machine);
  const { availableBytes } = makeMachine().memory;
  const processes = [{ pid: 41, usedBytes: 900 }];
  const devices = [
    makeDevice({ id: "cuda:0", freeBytes: 5000, processes }),
    makeDevice({ id: "cuda:1", freeBytes: 5000, processes: [] }),
    makeDevice({ id: "cuda:2", freeBytes: null, processes: null }),
  ];
  machine.now = makeMachine({ devices });
  const before = await readFree(41);
  expect(before).toEqual({
    hostBytes: availableBytes,
    devices: [
      { id: "cuda:0", freeBytes: 5000, ownBytes: 900 },
      { id: "cuda:1", freeBytes: 5000, ownBytes: null },
      { id: "cuda:2", freeBytes: null, ownBytes: null },
    ],
  });
  machine.now = makeMachine({ devices: devices.map((device) => ({ ...device, freeBytes: 8000, processes: [] })) });
  const after = await readFree(41);
  expect(machine.ages).toEqual([0, 0]);
  expect(describeFreed(OWN, before, after)).toEqual({
    hostBytes: 7,
    mappedBytes: 3,
    available: { beforeBytes: availableBytes, afterBytes: availableBytes },
    devices: [
      { id: "cuda:0", freedBytes: 900, by: "process" },
      { id: "cuda:1", freedBytes: 3000, by: "difference" },
      { id: "cuda:2", freedBytes: null, by: "difference" },
    ],
    unknown: ["cuda:2 does not tell its memory"],
  });
  const nothing = describeFreed(null, before, { hostBytes: null, devices: [] });
  expect([nothing.hostBytes, nothing.mappedBytes, nothing.available.afterBytes]).toEqual([null, null, null]);
  expect(nothing.unknown).toEqual([
    "the system does not tell what the process had, or it was gone before that could be looked at",
    "cuda:1 does not tell its memory",
    "cuda:2 does not tell its memory",
  ]);
});

test("what several engines gave back is added up; what is not known of one is not known", () => {
  const look = (ownBytes: number | null, hostBytes: number) => ({
    hostBytes,
    devices: [{ id: "cuda:0", freeBytes: null, ownBytes }],
  });
  const first = describeFreed(OWN, look(5, 100), look(null, 200));
  const second = describeFreed(OWN, look(6, 150), look(null, 300));
  expect(sumFreed([first, second])).toEqual({
    hostBytes: 14,
    mappedBytes: 6,
    available: { beforeBytes: 100, afterBytes: 300 },
    devices: [{ id: "cuda:0", freedBytes: 11, by: "process" }],
    unknown: [],
  });
  const silent = sumFreed([first, describeFreed(null, look(null, 1), look(null, 1))]);
  expect([silent?.hostBytes, silent?.devices, silent?.unknown.length]).toEqual([
    null,
    [{ id: "cuda:0", freedBytes: null, by: "process" }],
    2,
  ]);
  expect(sumFreed([])).toBeNull();
});

test("who waits for memory does not wait for drivers that know of no device", async () => {
  const machine = new FakeMachine();
  machine.now = makeMachine({ devices: [] });
  const { hostBytes, devices } = await open([1], machine).readFree(1);
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
