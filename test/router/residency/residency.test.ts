// Models that make room for others: when, in which order, and what becomes of the requests that are there.

import { describe, expect, test } from "bun:test";
import { AppError } from "../../../src/protocol/errors.ts";
import { StartFailure } from "../../../src/router/engines/engine-process.ts";
import { codeOf } from "../../support/router-fixture.ts";
import { SwapWorld, type WorldModel, type WorldOptions } from "../../support/swap-world.ts";

const models: WorldModel[] = [
  { id: "a", bytes: 10, loadMs: 100 },
  { id: "b", bytes: 10, loadMs: 100 },
  { id: "c", bytes: 10, loadMs: 100 },
  { id: "huge", bytes: 99, loadMs: 100 },
];

const open = (changes: Partial<WorldOptions> = {}): SwapWorld =>
  new SwapWorld({ models, budgetBytes: 20, answerMs: () => 50, exitMs: 10, ...changes });

const stateOf = async (world: SwapWorld, id: string) =>
  (await world.router.status()).models.find((model) => model.id === id)?.state;

describe("room", () => {
  test("is made by the model that nobody used for longest, after its state was written", async () => {
    const world = open();
    await world.finish(world.ask("a").then(() => world.ask("b")));
    await world.finish(world.ask("a"));
    await world.finish(world.ask("c"));
    expect(world.loads).toEqual(["a", "b", "c"]);
    const learned = { settings: 1, loads: 3, excessBytes: 1, lastPlannedBytes: 10, lastMeasuredBytes: 11 };
    world.learned.set("a", learned);
    expect(world.peakBytes).toBe(20);
    const gone = world.engines[1];
    expect([gone?.modelId, gone?.stopping, gone?.sent.some(({ type }) => type === "flush")]).toEqual(["b", true, true]);
    const overview = world.router.status();
    await world.finish(overview);
    expect(await overview).toMatchObject({
      pools: [{ name: "host", budgetBytes: 20, plannedBytes: 20 }],
      swaps: 1,
      models: [
        { id: "a", state: "loaded", evictions: 0, loads: 1, plannedBytes: [10], memory: { anonBytes: 10 }, pid: 1000 },
        { id: "b", state: "asleep", evictions: 1, freed: { anonBytes: 10, hostBytes: 10 }, memory: null, pid: null },
        { id: "c", state: "loaded" },
      ],
    });
    // Each file was read while its model was planned, and the last one while the other engine ended.
    expect(world.readAhead).toEqual(["a", "b", "c"]);
  });

  test("is not made by a pinned one, and who needs it is told what is missing", async () => {
    const world = open();
    world.router.pin("a", true);
    await world.finish(Promise.all([world.ask("a"), world.ask("b")]));
    await world.finish(world.ask("c"));
    expect(world.engines.map(({ modelId, stopping }) => [modelId, stopping])).toEqual([
      ["a", false],
      ["b", true],
      ["c", false],
    ]);
    world.router.pin("c", true);
    const refusal = world.router.load("b", new AbortController().signal).catch((thrown: AppError) => thrown);
    await world.finish(refusal);
    expect(await refusal).toMatchObject({
      code: "plan_refused",
      message: "b takes 10 bytes, and all engines together may take 20, of which pinned models hold 20.",
      hint: "Raise --memory-budget by 10 bytes, choose a smaller --ctx or a smaller model, or unpin a model.",
    });
    // Nobody went for it, and nothing is wrong with the server.
    expect([world.alive.size, world.router.health().status]).toEqual([2, "healthy"]);
  });

  test("that there never is costs nobody an engine", async () => {
    const world = open();
    await world.finish(Promise.all([world.ask("a"), world.ask("b")]));
    const asked = world.ask("huge");
    await world.finish(asked);
    expect((await asked).outcome).toBe("plan_refused");
    expect(world.loads).toEqual(["a", "b"]);
    const { models: known } = await world.router.status();
    expect(known.find(({ id }) => id === "huge")).toMatchObject({
      state: "unloaded",
      error: expect.stringContaining("huge takes 99 bytes"),
    });
  });

  test("of lower priority goes first", async () => {
    const ranked = models.map((model) => ({ ...model, priority: model.id === "a" ? 1 : 0 }));
    const world = open({ models: ranked });
    await world.finish(world.ask("a").then(() => world.ask("b")));
    await world.finish(world.ask("c"));
    expect(world.engines.find(({ modelId }) => modelId === "a")?.stopping).toBe(false);
  });
});

describe("an engine that makes room", () => {
  test("answers its requests to their end; who comes meanwhile waits for the next one", async () => {
    const world = open({ budgetBytes: 10, answerMs: () => 700 });
    const first = world.ask("a");
    await world.finish(world.pass(150));
    const other = world.ask("b");
    // The turn of a model that was loaded in 100 ms is over after 500.
    await world.finish(world.pass(500));
    expect(await stateOf(world, "a")).toBe("draining");
    expect(world.router.resolveModel("b").state).toBe("loading");
    const late = world.ask("a");
    await world.finish(Promise.all([first, other, late]));
    expect(world.loads).toEqual(["a", "b", "a"]);
    expect(world.asked.map(({ model, outcome }) => [model, outcome])).toEqual([
      ["a", "done"],
      ["b", "done"],
      ["a", "done"],
    ]);
    expect(world.peakBytes).toBe(10);
  });

  test("stays when nobody wants its room any more, and serves who waited for it", async () => {
    const world = open({ budgetBytes: 10, answerMs: () => 5_000 });
    const first = world.ask("a");
    await world.finish(world.pass(150));
    const leaving = new AbortController();
    const other = world.ask("b", 0, 0, leaving.signal);
    await world.finish(world.pass(1_000));
    const late = world.ask("a");
    await world.finish(world.pass(10));
    expect(await stateOf(world, "a")).toBe("draining");
    leaving.abort();
    await world.finish(world.pass(1));
    expect(await stateOf(world, "a")).toBe("loaded");
    await world.finish(Promise.all([first, other, late]));
    expect((await other).outcome).toBe("cancelled");
    expect(world.loads).toEqual(["a"]);
  });

  test("sends on, once each, who has no word of an answer after a while", async () => {
    const world = open({ budgetBytes: 10 });
    await world.finish(world.ask("a"));
    const [engine] = world.engines;
    if (engine === undefined) throw new Error("no engine");
    // It reads a long prompt, or a queue.
    engine.accept = (id) => engine.say(id, { type: "started", promptTokens: 1, cache: null });
    const stuck = world.ask("a", 7);
    await world.finish(world.pass(600));
    const other = world.ask("b");
    await world.finish(other);
    await world.finish(stuck);
    expect([(await stuck).outcome, (await other).outcome]).toEqual(["done", "done"]);
    expect(world.loads).toEqual(["a", "b", "a"]);
    expect(engine.sent.filter(({ type }) => type === "cancel")).toHaveLength(1);
  });

  test("that is killed meanwhile gives its room as well", async () => {
    const world = open({ budgetBytes: 10, answerMs: () => 700 });
    const first = world.ask("a");
    await world.finish(world.pass(150));
    const other = world.ask("b");
    await world.finish(world.pass(500));
    await world.engines[0]?.die();
    await world.finish(Promise.all([first, other]));
    expect((await other).outcome).toBe("done");
    // It had given nothing yet, so it goes to another engine, after the one that waited.
    expect((await first).outcome).toBe("done");
    expect(world.loads).toEqual(["a", "b", "a"]);
  });
});

test("a load that fails is told to those who wait for it, and the others get theirs", async () => {
  const damaged = new AppError({ code: "model_damaged", message: "bad tensor" });
  const world = open({ budgetBytes: 10, failLoad: (id) => (id === "a" ? new StartFailure(damaged, false) : null) });
  const asked = [world.ask("a"), world.ask("b"), world.ask("a"), world.ask("c")];
  await world.finish(Promise.all(asked));
  expect((await Promise.all(asked)).map(({ outcome }) => outcome)).toEqual([
    "model_damaged",
    "done",
    "model_damaged",
    "done",
  ]);
  expect(world.peakBytes).toBe(10);
});

test("a model whose need can't be found out is refused with the reason", async () => {
  const world = open();
  const unknown = new AppError({ code: "model_damaged", message: "its header is cut" });
  Object.assign(world, {
    modelOf: () => {
      throw unknown;
    },
  });
  const asked = world.ask("a");
  await world.finish(asked);
  expect((await asked).outcome).toBe("model_damaged");
});

describe("unload", () => {
  test("ends the engine when its streams have ended, and tells what came back", async () => {
    const world = open({ answerMs: () => 300 });
    const streaming = world.ask("a");
    await world.finish(world.pass(150));
    const unloading = world.router.unload("a");
    await world.finish(world.pass(10));
    expect(await stateOf(world, "a")).toBe("draining");
    await world.finish(unloading);
    expect((await streaming).outcome).toBe("done");
    expect(await unloading).toMatchObject({
      model: { id: "a", state: "unloaded" },
      freed: { anonBytes: 10, hostBytes: 10, devices: [{ id: "cuda:0", freedBytes: 10 }] },
    });
    expect(world.alive.size).toBe(0);
  });

  test("of a model that loads waits for it; of one without an engine it is nothing", async () => {
    const world = open();
    expect((await world.router.unload("a")).freed).toBeNull();
    const asked = world.ask("a");
    await world.finish(world.pass(1));
    const unloading = world.router.unload("a");
    await world.finish(Promise.all([asked, unloading]));
    expect([(await asked).outcome, world.alive.size]).toEqual(["done", 0]);
    expect(await codeOf(world.router.unload("nope"))).toBe("model_not_found");
  });

  test("does not keep a new request from another engine", async () => {
    const world = open();
    await world.finish(world.ask("a"));
    const unloading = world.router.unload("a");
    const asked = world.ask("a");
    await world.finish(Promise.all([unloading, asked]));
    expect([(await asked).outcome, world.loads]).toEqual(["done", ["a", "a"]]);
  });
});

test("settings of a load hold until the model is unloaded, and cost the old engine its place", async () => {
  const world = open();
  await world.finish(world.ask("a"));
  const { signal } = new AbortController();
  const loading = world.router.load("a", signal, { changes: { ctx: 512 }, keepMs: 60_000 });
  await world.finish(loading);
  expect(await loading).toMatchObject({ state: "loaded", sleepsInMs: 60_000 });
  await world.finish(world.pass(20));
  await world.finish(world.ask("a"));
  expect(world.loads).toEqual(["a", "a"]);
  expect(world.alive.size).toBe(1);
  expect(world.router.resolveModel("a").contextLength).not.toBeNull();
  await world.finish(world.router.unload("a"));
  await world.finish(world.ask("a"));
  expect(world.loads).toEqual(["a", "a", "a"]);
  expect(world.router.resolveModel("a").engineKey).toBe("/models/a.gguf");
});

describe("settings of a load that fails", () => {
  const failure = new StartFailure(new AppError({ code: "plan_refused", message: "too large" }), false);
  const load = (world: SwapWorld, ctx: number, signal = new AbortController().signal) =>
    codeOf(world.router.load("a", signal, { changes: { ctx } }));

  test("are given up: requests go on with those before", async () => {
    let fails = false;
    const world = open({ failLoad: () => (fails ? failure : null) });
    await world.finish(load(world, 512));
    const key = world.router.resolveModel("a").engineKey;
    fails = true;
    const failed = load(world, 99_999);
    await world.finish(failed);
    expect([await failed, world.router.resolveModel("a").engineKey]).toEqual(["plan_refused", key]);
    fails = false;
    const asked = world.ask("a");
    await world.finish(asked);
    expect((await asked).outcome).toBe("done");
    await world.finish(world.router.unload("a"));
    expect(world.router.resolveModel("a").engineKey).toBe("/models/a.gguf");
  });

  test("do not come back when another load that came meanwhile fails too", async () => {
    const world = open({ failLoad: () => failure });
    await world.finish(Promise.all([load(world, 1000), load(world, 2000)]));
    expect(world.router.resolveModel("a").engineKey).toBe("/models/a.gguf");
  });

  test("are given up also when who asked has left, but not while it goes on", async () => {
    const world = open({ failLoad: () => failure });
    const client = new AbortController();
    const left = load(world, 1000, client.signal);
    await world.finish(world.pass(1));
    client.abort();
    await world.finish(left);
    expect([await left, world.router.resolveModel("a").engineKey]).toEqual([
      "cancelled",
      `/models/a.gguf\n{"ctx":1000}`,
    ]);
    await world.finish(world.pass(200));
    expect(world.router.resolveModel("a").engineKey).toBe("/models/a.gguf");
  });
});

test("settings that nobody has any more are forgotten with their engine", async () => {
  const world = open();
  for (let ctx = 512; ctx < 522; ctx++) {
    const loading = world.router.load("a", new AbortController().signal, { changes: { ctx } });
    await world.finish(loading);
    await world.finish(world.pass(20));
  }
  const { models: known } = await world.router.status();
  expect([known.length <= 2, world.alive.size]).toEqual([true, 1]);
});

test("the line has an end, and who leaves makes a place in it", async () => {
  const world = open({ budgetBytes: 10, answerMs: () => 60_000 });
  void world.ask("a");
  await world.finish(world.pass(150));
  const leaving = new AbortController();
  const waiting = Array.from({ length: 4_096 }, (_, at) => world.ask("b", 0, at, leaving.signal));
  const late = world.ask("b");
  await world.finish(late);
  expect((await late).outcome).toBe("overloaded");
  leaving.abort();
  await world.finish(Promise.all(waiting));
  const again = world.ask("b");
  await world.finish(world.pass(1));
  expect(await stateOf(world, "b")).toBe("waiting");
  await world.finish(world.router.stop());
  expect((await again).outcome).toBe("overloaded");
});

test("a stop tells those who wait", async () => {
  const world = open({ budgetBytes: 10, answerMs: () => 60_000 });
  const first = world.ask("a");
  await world.finish(world.pass(150));
  const other = world.ask("b");
  await world.finish(world.pass(10));
  await world.finish(world.router.stop());
  expect([(await first).outcome, (await other).outcome]).toEqual(["engine_crashed", "overloaded"]);
});
