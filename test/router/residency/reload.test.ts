// A loaded model that is loaded with other settings: its engine stays until it is known that the next one can be had, and
// what was asked for of it holds through all that fails. A switch that fails brings back only what went for it.

import { describe, expect, test } from "bun:test";
import type { ModelEntry } from "../../../src/models/entry.ts";
import { AppError } from "../../../src/protocol/errors.ts";
import { StartFailure } from "../../../src/router/engines/engine-process.ts";
import type { LoadOptions } from "../../../src/router/residency/loading.ts";
import { SwapWorld, type WorldModel, type WorldOptions } from "../../support/swap-world.ts";

const models: WorldModel[] = ["a", "b"].map((id) => ({ id, bytes: 10, loadMs: 100 }));
const MINUTE = 60_000;
const { signal } = new AbortController();
const noBackend = new AppError({ code: "plan_refused", message: "None of the back ends cuda works here." });

/** A tenth of the context, in bytes. */
function needOf({ settings }: ModelEntry): number {
  if (settings.engine.backend !== undefined) throw noBackend;
  return (settings.engine.ctx ?? 100) / 10;
}

const open = (changes: Partial<WorldOptions> = {}): SwapWorld =>
  new SwapWorld({ models, budgetBytes: 20, answerMs: () => 50, exitMs: 10, weighMs: () => 30, needOf, ...changes });

/** What became of it: `loaded`, or an error's code. */
async function load(world: SwapWorld, id: string, options: LoadOptions = {}): Promise<string> {
  const loading = world.router.load(id, signal, options).then(
    ({ state }) => state,
    (thrown: AppError) => thrown.code,
  );
  await world.finish(loading);
  return await loading;
}

const withCtx = (ctx: number): LoadOptions => ({ changes: { ctx } });
const rowsOf = async (world: SwapWorld, id = "a") => {
  const { models: rows } = await world.router.status();
  return rows.filter((row) => row.id === id).map(({ pid, state, settings }) => [pid, state, settings.ctx]);
};

describe("a load with other settings that is refused", () => {
  test.each<[string, LoadOptions]>([
    ["for want of room", withCtx(300)],
    ["since nothing computes it here", { changes: { backend: ["cuda"] } }],
  ])("%s leaves the engine as it is, pinned or kept for a time or for ever", async (_why, refused) => {
    for (const keepMs of [null, MINUTE]) {
      for (const pinned of [true, false]) {
        const world = open();
        expect(await load(world, "a", { keepMs })).toBe("loaded");
        world.router.pin("a", pinned);
        expect(await load(world, "a", refused)).toBe("plan_refused");
        expect(world.router.resolveModel("a").sleepsInMs).toBe(pinned ? null : keepMs);
        await world.finish(world.pass(MINUTE / 2));
        expect([world.loads, world.engines[0]?.stopping, world.engines[0]?.sent]).toEqual([["a"], false, []]);
        expect(await rowsOf(world)).toEqual([[1000, "loaded", undefined]]);
        expect(world.router.health().status).toBe("healthy");
      }
    }
  });

  test("does so too when another model is loaded while it is looked at", async () => {
    const world = open({ weighMs: () => 150 });
    await load(world, "a");
    const other = world.router.load("b", signal);
    await world.finish(world.pass(200));
    expect(await load(world, "a", withCtx(300))).toBe("plan_refused");
    await world.finish(other);
    await world.finish(world.pass(MINUTE));
    expect(world.engines.map(({ modelId, stopping }) => [modelId, stopping])).toEqual([
      ["a", false],
      ["b", false],
    ]);
  });
});

describe("a load with other settings that can be had", () => {
  test("has the room of the engine before, which went for nobody else, pinned or not", async () => {
    const world = open();
    await load(world, "a");
    await load(world, "b");
    world.router.pin("a", true);
    world.router.pin("b", true);
    expect(await load(world, "a", withCtx(110))).toBe("plan_refused");
    expect(world.loads).toEqual(["a", "b"]);
    expect(await load(world, "a", withCtx(90))).toBe("loaded");
    expect([await rowsOf(world), world.peakBytes]).toEqual([[[1002, "loaded", 90]], 20]);
    expect(world.router.resolveModel("a").pinned).toBe(true);
    expect((await world.router.status()).swaps).toBe(0);
  });

  test("lets the requests end that the engine before has, and flushes it once", async () => {
    const world = open({ answerMs: () => 500 });
    await load(world, "a");
    const asked = world.ask("a");
    expect(await load(world, "a", withCtx(200))).toBe("loaded");
    expect((await asked).outcome).toBe("done");
    const [before] = world.engines;
    expect([before?.stopping, before?.sent.filter(({ type }) => type === "flush").length]).toEqual([true, 1]);
    expect([await rowsOf(world), world.peakBytes]).toEqual([[[1001, "loaded", 200]], 20]);
  });

  test("starts beside it where there is room for both", async () => {
    const world = open({ answerMs: () => 500 });
    await load(world, "a");
    const asked = world.ask("a");
    expect(await load(world, "a", withCtx(90))).toBe("loaded");
    expect([world.engines[0]?.stopping, world.peakBytes]).toEqual([false, 19]);
    await world.finish(asked);
    await world.finish(world.pass(20));
    expect(await rowsOf(world)).toEqual([[1001, "loaded", 90]]);
  });
});

test("settings that come back while their engine still works keep it", async () => {
  const world = open({ answerMs: () => 500 });
  await load(world, "a", withCtx(80));
  const asked = world.ask("a");
  expect(await load(world, "a", withCtx(90))).toBe("loaded");
  expect(await load(world, "a", withCtx(80))).toBe("loaded");
  await world.finish(asked);
  await world.finish(world.pass(1000));
  expect(world.engines[0]?.stopping).toBe(false);
});

describe("how long a request asked an engine to stay", () => {
  test("comes back when its model is no longer pinned, and ends with the engine", async () => {
    const world = open();
    await load(world, "a", { keepMs: 5 * MINUTE });
    world.router.pin("a", true);
    expect(world.router.resolveModel("a").sleepsInMs).toBeNull();
    world.router.pin("a", false);
    expect(world.router.resolveModel("a").sleepsInMs).toBe(5 * MINUTE);
    await world.finish(world.router.unload("a").ended);
    await load(world, "a");
    world.router.pin("a", false);
    expect(world.router.resolveModel("a").sleepsInMs).toBeNull();
  });
});

test("a switch that fails loads no default that somebody unloaded meanwhile", async () => {
  const damaged = new AppError({ code: "model_damaged", message: "bad tensor" });
  const failLoad = (id: string) => (id === "b" ? new StartFailure(damaged, false) : null);
  for (const [budgetBytes, afterMs] of [
    [20, 50],
    [10, 600],
  ] as const) {
    const world = open({ budgetBytes, failLoad });
    await load(world, "a");
    const switching = world.router.load("b", signal, { becomesDefault: true }).catch((thrown: AppError) => thrown);
    await world.finish(world.pass(afterMs));
    expect(world.loads).toEqual(["a", "b"]);
    await world.finish(world.router.unload("a").ended);
    await world.finish(switching);
    const message = "bad tensor. a is still the default, and is loaded by its next request.";
    expect(await switching).toMatchObject({ message });
    await world.finish(world.pass(500));
    expect([world.loads, world.router.resolveModel("a").state]).toEqual([["a", "b"], "unloaded"]);
  }
});
