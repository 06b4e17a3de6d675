// Several models in a budget for fewer, under seeded schedules of requests: none fails or starves, memory never passes the
// budget, and loads are few.

import { describe, expect, test } from "bun:test";
import { AppError } from "../../../src/protocol/errors.ts";
import { StartFailure } from "../../../src/router/engines/engine-process.ts";
import { countLeastLoads } from "../../support/belady.ts";
import { makeRandom } from "../../support/random.ts";
import { codeOf } from "../../support/router-fixture.ts";
import { type Asked, SwapWorld, type WorldModel } from "../../support/swap-world.ts";

const four: WorldModel[] = ["a", "b", "c", "d"].map((id) => ({ id, bytes: 10, loadMs: 150 }));
const two = four.slice(0, 2);

/** Clients that each ask `count` times, one after the other. */
async function runClients(
  world: SwapWorld,
  clients: number,
  count: number,
  choose: (client: number, at: number) => { model: string; thinkMs: number },
): Promise<void> {
  const loops = Array.from({ length: clients }, async (_, client) => {
    for (let at = 0; at < count; at++) {
      const { model, thinkMs } = choose(client, at);
      if (thinkMs > 0) await world.pass(thinkMs);
      await world.ask(model, client, at);
    }
  });
  await world.finish(Promise.all(loops));
}

const worst = (asked: readonly Asked[]): number => Math.max(...asked.map(({ waitedMs }) => waitedMs));

describe("four models in a budget for two, 200 requests of 8 clients", () => {
  test.each([...Array(40).keys()])("seed %d", async (seed) => {
    const pick = makeRandom(seed);
    const world = new SwapWorld({ models: four, budgetBytes: 20, answerMs: () => 5 + pick(60), exitMs: 20 });
    await runClients(world, 8, 25, () => ({ model: "abcd"[pick(4)] ?? "a", thinkMs: pick(20) }));
    expect(world.asked.map(({ outcome }) => outcome)).toEqual(Array(200).fill("done"));
    expect(world.peakBytes).toBeLessThanOrEqual(20);
    // The order within a client is kept.
    for (let client = 0; client < 8; client++) {
      const own = world.asked.filter((asked) => asked.client === client).map(({ at }) => at);
      expect(own).toEqual([...Array(25).keys()]);
    }
    expect(world.loads.length).toBeLessThanOrEqual(1.5 * countLeastLoads(world.arrivals, 2));
    // Three models before, each with a turn of four loads at most, the end of its answers, and a load.
    expect(worst(world.asked)).toBeLessThan(3 * (4 * 150 + 65 + 20 + 150) + 65);
  });
});

describe("two clients that want the same memory", () => {
  test.each([0, 1, 10, 40])("do not thrash when each asks again after %d ms", async (thinkMs) => {
    const world = new SwapWorld({ models: two, budgetBytes: 10, answerMs: () => 30, exitMs: 10 });
    await runClients(world, 2, 100, (client) => ({ model: client === 0 ? "a" : "b", thinkMs }));
    expect(world.asked.every(({ outcome }) => outcome === "done")).toBe(true);
    // A turn of 600 ms holds 600 / (30 + think) requests.
    expect(world.loads.length).toBeLessThan(2 + (200 * (30 + thinkMs)) / 500);
    // The other's load and turn, both ends, the last answer of it, and its own load and answer.
    expect(worst(world.asked)).toBeLessThanOrEqual(150 + 600 + 2 * 10 + 30 + 150 + 30);
  });

  test("one that comes seldom is not kept waiting for a turn that nobody uses", async () => {
    const world = new SwapWorld({ models: two, budgetBytes: 10, answerMs: () => 30, exitMs: 10 });
    await runClients(world, 1, 40, (_, at) => ({ model: at % 2 === 0 ? "a" : "b", thinkMs: 0 }));
    // Its own last answer, the other engine's end, its load, its answer.
    expect(worst(world.asked)).toBeLessThanOrEqual(10 + 150 + 30);
  });

  test("a flood for one model does not starve the other", async () => {
    const world = new SwapWorld({ models: two, budgetBytes: 10, answerMs: () => 40, exitMs: 10 });
    await runClients(world, 7, 60, (client) => ({ model: client === 0 ? "b" : "a", thinkMs: client === 0 ? 200 : 0 }));
    const seldom = world.asked.filter(({ model }) => model === "b");
    expect(seldom).toHaveLength(60);
    expect(worst(seldom)).toBeLessThanOrEqual(150 + 600 + 2 * 10 + 40 + 150 + 40);
  });
});

describe("whatever happens", () => {
  test.each([...Array(60).keys()])("every request ends, and memory is kept to: seed %d", async (seed) => {
    const pick = makeRandom(1000 + seed);
    const models = Array.from({ length: 2 + pick(4) }, (_, at): WorldModel => {
      return { id: `m${at}`, bytes: 1 + pick(12), loadMs: 1 + pick(400), pinned: pick(6) === 0, priority: pick(2) };
    });
    const nameOne = () => `m${pick(models.length)}`;
    const world = new SwapWorld({
      models,
      budgetBytes: 14,
      answerMs: () => 1 + pick(300),
      exitMs: pick(50),
      weighMs: () => pick(40),
      failLoad: () => {
        const dice = pick(12);
        return dice > 1 ? null : new StartFailure(dice === 0 ? REFUSED : DIED, dice === 1);
      },
    });
    const others: Promise<unknown>[] = [];
    const clients = Array.from({ length: 6 }, async (_, client) => {
      for (let at = 0; at < 20; at++) {
        await world.pass(pick(200));
        const stop = new AbortController();
        if (pick(5) === 0) world.clock.after(pick(300), () => stop.abort());
        await world.ask(nameOne(), client, at, stop.signal);
        if (pick(20) === 0) await world.engines.at(-1)?.die();
        if (pick(10) === 0) others.push(loadSome(world, nameOne(), pick));
        if (pick(10) === 0) others.push(unloadSome(world, nameOne()));
        if (pick(20) === 0) world.router.pin(nameOne(), pick(2) === 0);
        if (pick(20) === 0) world.router.keepFor(world.router.resolveModel(nameOne()), pick(500));
      }
    });
    await world.finish(Promise.all(clients));
    await world.finish(Promise.all(others));
    expect(world.asked).toHaveLength(120);
    expect(world.peakBytes).toBeLessThanOrEqual(14);
    const known = ["done", "cancelled", "engine_crashed", "model_damaged", "plan_refused", "request_crashes_engine"];
    expect(world.asked.filter(({ outcome }) => !known.includes(outcome))).toEqual([]);
    expect(world.asked.some(({ outcome }) => outcome === "done")).toBe(true);
    for (const { id } of models) others.push(unloadSome(world, id));
    await world.finish(Promise.all(others));
    // Nobody has asked since.
    await world.finish(world.pass(1_000));
    expect(world.alive.size).toBe(0);
    const { models: rows } = await world.router.status();
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
    expect(rows.filter(({ state }) => !["unloaded", "failed"].includes(state))).toEqual([]);
    await world.finish(world.router.stop());
  });
});

const REFUSED = new AppError({ code: "model_damaged", message: "bad tensor" });
const DIED = new AppError({ code: "engine_crashed", message: "it died" });
const LOAD_ENDS = ["resolved", "cancelled", "conflict", "engine_crashed", "model_damaged", "plan_refused"];

/** Nobody waits for it; with other settings now and then. It may be given up, as a load and a switch may be. */
async function loadSome(world: SwapWorld, id: string, pick: (below: number) => number): Promise<void> {
  const ctx = 512 * pick(3);
  const leaving = new AbortController();
  if (pick(4) === 0) world.clock.after(pick(200), () => leaving.abort());
  const options = { ...(ctx === 0 ? {} : { changes: { ctx } }), becomesDefault: pick(3) === 0 };
  expect(LOAD_ENDS).toContain(await codeOf(world.router.load(id, leaving.signal, options)));
}

/** Nobody waits for it either: the model's engines of before are gone at its end. One that starts may be for who came later. */
async function unloadSome(world: SwapWorld, id: string): Promise<void> {
  const there = world.engines.filter(
    ({ modelId, pid }) => modelId === id && world.alive.has(pid) && world.loaded.has(pid),
  );
  const { ended } = world.router.unload(id);
  await ended;
  expect(there.filter(({ pid }) => world.alive.has(pid))).toEqual([]);
}
