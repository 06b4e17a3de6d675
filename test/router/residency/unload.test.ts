// An unload beside loads and requests that came before it or come after: what is given up, what is answered first, and that
// afterwards nothing of the model is there.

import { describe, expect, test } from "bun:test";
import type { AppError } from "../../../src/protocol/errors.ts";
import type { Unloading } from "../../../src/router/residency/loading.ts";
import { codeOf } from "../../support/router-fixture.ts";
import { SwapWorld, type WorldModel, type WorldOptions } from "../../support/swap-world.ts";

const models: WorldModel[] = ["a", "b"].map((id) => ({ id, bytes: 10, loadMs: 100 }));
const { signal } = new AbortController();

const open = (changes: Partial<WorldOptions> = {}): SwapWorld =>
  new SwapWorld({ models, budgetBytes: 20, answerMs: () => 50, exitMs: 10, weighMs: () => 30, ...changes });

const load = (world: SwapWorld, id: string, ctx?: number) =>
  world.router.load(id, signal, ctx === undefined ? {} : { changes: { ctx } }).catch((thrown: AppError) => thrown);

const rowsOf = async (world: SwapWorld, id: string) => {
  const { models: rows } = await world.router.status();
  return rows.filter((row) => row.id === id);
};

const countsOf = ({ loadsGivenUp, requestsAhead }: Unloading) => ({ loadsGivenUp, requestsAhead });

describe("a load that nobody's request waits for is given up", () => {
  test.each([
    ["while it is weighed", 10, []],
    ["while its engine starts", 60, ["a"]],
  ])("%s", async (_when, afterMs, loads) => {
    const world = open();
    const loading = load(world, "a");
    await world.finish(world.pass(afterMs));
    const unloading = world.router.unload("a");
    expect(countsOf(unloading)).toEqual({ loadsGivenUp: 1, requestsAhead: 0 });
    expect(await loading).toMatchObject({
      code: "conflict",
      message: "a was unloaded before its load was done.",
      hint: "Load it again if it is still wanted.",
    });
    await world.finish(unloading.ended);
    expect((await unloading.ended).model.state).toBe("unloaded");
    await world.finish(world.pass(1_000));
    expect([world.loads, world.alive.size, world.router.health().status]).toEqual([loads, 0, "healthy"]);
    expect(await rowsOf(world, "a")).toMatchObject([{ state: "unloaded", error: null }]);
  });

  test("while it waits for room: who was to make room stays", async () => {
    const world = open({ budgetBytes: 10, answerMs: () => 2_000 });
    const asked = world.ask("b");
    await world.finish(world.pass(200));
    const loading = load(world, "a");
    await world.finish(world.pass(1_000));
    expect(await rowsOf(world, "b")).toMatchObject([{ state: "draining" }]);
    const unloading = world.router.unload("a");
    await world.finish(unloading.ended);
    expect(await loading).toMatchObject({ code: "conflict" });
    expect(await rowsOf(world, "b")).toMatchObject([{ state: "loaded" }]);
    await world.finish(asked);
    expect([(await asked).outcome, world.loads]).toEqual(["done", ["b"]]);
  });

  test("and who asks after the unload gets an engine, also while the one that loads still ends", async () => {
    const world = open();
    const loading = load(world, "a");
    await world.finish(world.pass(60));
    const unloading = world.router.unload("a");
    const asked = world.ask("a");
    await world.finish(Promise.all([loading, unloading.ended, asked]));
    expect([(await asked).outcome, world.loads]).toEqual(["done", ["a", "a"]]);
    expect(world.peakBytes).toBe(10);
    expect((await rowsOf(world, "a"))[0]?.state).toBe("loaded");
  });

  test("with its settings", async () => {
    const world = open();
    await world.finish(load(world, "a", 512));
    const loading = load(world, "a", 1024);
    await world.finish(world.pass(10));
    await world.finish(world.router.unload("a").ended);
    expect(await loading).toMatchObject({ code: "conflict" });
    await world.finish(world.pass(1_000));
    expect([world.router.resolveModel("a").engineKey, world.alive.size]).toEqual(["/models/a.gguf", 0]);
  });
});

describe("requests that came before an unload", () => {
  test.each([
    ["its need is found out", 10],
    ["its engine starts", 60],
  ])("are answered while %s, and then it goes; loads beside them are given up", async (_when, afterMs) => {
    const world = open();
    const loading = load(world, "a");
    const asked = [world.ask("a"), world.ask("a")];
    await world.finish(world.pass(afterMs));
    const unloading = world.router.unload("a");
    expect(countsOf(unloading)).toEqual({ loadsGivenUp: 1, requestsAhead: 2 });
    await world.finish(unloading.ended);
    expect(await loading).toMatchObject({ code: "conflict" });
    expect((await Promise.all(asked)).map(({ outcome }) => outcome)).toEqual(["done", "done"]);
    expect([world.loads, world.alive.size]).toEqual([["a"], 0]);
    expect(await unloading.ended).toMatchObject({ model: { state: "unloaded" }, freed: { hostBytes: 10 } });
  });

  test("and leave before they are answered keep it no longer", async () => {
    const world = open();
    const client = new AbortController();
    const asked = world.ask("a", 0, 0, client.signal);
    await world.finish(world.pass(60));
    const unloading = world.router.unload("a");
    client.abort();
    await world.finish(unloading.ended);
    await world.finish(world.pass(1_000));
    expect([(await asked).outcome, world.alive.size]).toEqual(["cancelled", 0]);
  });

  test("are not sent to another engine for their length: there would be one more", async () => {
    const world = open();
    await world.finish(world.ask("a"));
    const [engine] = world.engines;
    if (engine === undefined) throw new Error("no engine");
    // It reads a long prompt, and only then begins to answer.
    engine.accept = (id) => {
      engine.say(id, { type: "started", promptTokens: 1, cache: null });
      world.clock.after(60_000, () => engine.say(id, { type: "cancelled" }));
    };
    const stuck = world.ask("a", 7);
    await world.finish(world.pass(10));
    const unloading = world.router.unload("a");
    await world.finish(unloading.ended);
    expect([(await stuck).outcome, world.loads, world.alive.size]).toEqual(["cancelled", ["a"], 0]);
  });

  test("are answered also when their engine dies meanwhile, by one that goes then", async () => {
    const world = open({ answerMs: () => 700 });
    const asked = world.ask("a");
    await world.finish(world.pass(200));
    const unloading = world.router.unload("a");
    await world.finish(world.pass(10));
    await world.engines[0]?.die();
    await world.finish(Promise.all([asked, unloading.ended]));
    await world.finish(world.pass(100));
    expect([(await asked).outcome, world.loads, world.alive.size]).toEqual(["done", ["a", "a"], 0]);
  });

  test("and waited for settings that nobody has any more leave no engine behind", async () => {
    const world = open({ budgetBytes: 10, answerMs: () => 700 });
    await world.finish(load(world, "a", 512));
    await world.finish(world.ask("b"));
    const other = world.ask("b");
    await world.finish(world.pass(10));
    const asked = world.ask("a");
    await world.finish(world.pass(10));
    const loading = load(world, "a", 1024);
    await world.finish(Promise.all([other, asked, loading]));
    await world.finish(world.pass(1_000));
    expect((await rowsOf(world, "a")).map(({ settings, state }) => [settings, state])).toEqual([
      [{ ctx: 1024 }, "loaded"],
    ]);
    expect((await asked).outcome).toBe("done");
  });

  test("are answered by one engine more where theirs had to make room", async () => {
    const world = open({ budgetBytes: 10, answerMs: () => 700 });
    const first = world.ask("a");
    await world.finish(world.pass(200));
    const other = world.ask("b");
    await world.finish(world.pass(500));
    const late = world.ask("a");
    await world.finish(world.pass(1));
    const unloading = world.router.unload("a");
    expect(countsOf(unloading)).toEqual({ loadsGivenUp: 0, requestsAhead: 2 });
    await world.finish(Promise.all([first, other, late, unloading.ended]));
    expect(world.asked.map(({ outcome }) => outcome)).toEqual(["done", "done", "done"]);
    expect(world.loads).toEqual(["a", "b", "a"]);
    expect((await rowsOf(world, "a")).map(({ state }) => state)).toEqual(["unloaded"]);
  });
});

describe("an engine with older settings", () => {
  test.each([512, undefined])("goes with the one of now (ctx %p)", async (ctx) => {
    const world = open({ answerMs: () => 5_000 });
    await world.finish(load(world, "a", ctx));
    const asked = world.ask("a");
    await world.finish(world.pass(10));
    await world.finish(load(world, "a", 1024));
    expect(world.alive.size).toBe(2);
    const unloading = world.router.unload("a");
    expect(countsOf(unloading)).toEqual({ loadsGivenUp: 0, requestsAhead: 1 });
    await world.finish(unloading.ended);
    expect((await unloading.ended).freed).toMatchObject({ hostBytes: 20 });
    expect([(await asked).outcome, world.alive.size]).toEqual(["done", 0]);
    expect((await rowsOf(world, "a")).map(({ state, current }) => [state, current])).toEqual([["unloaded", true]]);
  });

  test("has a row of its own until it is gone, by which it is told apart", async () => {
    const world = open({ answerMs: () => 1_000 });
    const asked = world.ask("a");
    await world.finish(world.pass(200));
    await world.finish(load(world, "a", 1024));
    const rows = (await rowsOf(world, "a")).map(({ state, settings, current, pid }) => ({
      state,
      settings,
      current,
      pid,
    }));
    expect(rows).toEqual([
      { state: "draining", settings: {}, current: false, pid: 1000 },
      { state: "loaded", settings: { ctx: 1024 }, current: true, pid: 1001 },
    ]);
    await world.finish(asked);
    await world.finish(world.pass(100));
    expect(await rowsOf(world, "a")).toMatchObject([{ state: "loaded", settings: { ctx: 1024 } }]);
  });

  test("that belongs to another name of the file stays", async () => {
    const world = open();
    const [a] = world.entries;
    if (a === undefined) throw new Error("no entry");
    const settings = { ...a.settings, engine: { ctx: 64 } };
    world.entries.push({ ...a, id: "b", settings, engineKey: `${a.path}\n{"ctx":64}` });
    world.entries.splice(1, 1);
    await world.finish(Promise.all([world.ask("a"), world.ask("b")]));
    await world.finish(world.router.unload("a").ended);
    expect((await rowsOf(world, "b")).map(({ state }) => state)).toEqual(["loaded"]);
    expect(world.alive.size).toBe(1);
  });
});

test("one that sleeps is unloaded then, and what it left of prompts on disk is told beside that", async () => {
  const world = open();
  await world.finish(world.ask("a"));
  const [engine] = world.engines;
  if (engine?.entries[0] !== undefined) engine.entries[0].durableTokens = 8;
  world.router.keepFor(world.router.resolveModel("a"), 1_000);
  await world.finish(world.pass(1_100));
  const kept = { sequences: 1, tokens: 8 };
  expect(await rowsOf(world, "a")).toMatchObject([{ state: "asleep", kept }]);
  const unloading = world.router.unload("a");
  await world.finish(unloading.ended);
  expect((await unloading.ended).freed).toBeNull();
  expect(await rowsOf(world, "a")).toMatchObject([{ state: "unloaded", kept }]);
  expect((await world.router.cache()).models).toMatchObject([{ model: "a", state: "unloaded" }]);
});

test("swaps are counted also of engines whose settings nobody has any more", async () => {
  const world = open({ budgetBytes: 10 });
  await world.finish(load(world, "a", 512));
  await world.finish(world.ask("b"));
  await world.finish(load(world, "a", 1024));
  await world.finish(world.pass(100));
  expect((await world.router.status()).swaps).toBe(2);
});

test("settings that can't be loaded leave no trouble behind", async () => {
  let fails = false;
  const world = open({ failLoad: () => (fails ? new Error("no") : null) });
  await world.finish(load(world, "a"));
  fails = true;
  await world.finish(codeOf(world.router.load("a", signal, { changes: { ctx: 9 } })));
  await world.finish(world.pass(100));
  expect([world.router.health().status, (await rowsOf(world, "a")).length]).toEqual(["healthy", 1]);
});
