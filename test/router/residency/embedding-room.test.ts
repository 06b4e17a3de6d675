// A model that generates makes a context of its own when somebody embeds with it: counted from then on, and refused where
// what is loaded leaves no room for it.

import { describe, expect, test } from "bun:test";
import { AppError } from "../../../src/protocol/errors.ts";
import { noParts } from "../../../src/protocol/memory-need.ts";
import { findShortage } from "../../../src/router/residency/pools.ts";
import { SwapWorld } from "../../support/swap-world.ts";

const open = (budgetBytes: number): SwapWorld =>
  new SwapWorld({
    models: [
      { id: "a", bytes: 10, loadMs: 100, embeddingBytes: 5 },
      { id: "b", bytes: 10, loadMs: 100 },
    ],
    budgetBytes,
    answerMs: () => 50,
  });

async function embed(world: SwapWorld, model: string): Promise<AppError | number> {
  const asked = world.router.embed(model, ["text"], new AbortController().signal).then(
    ({ vectors }) => vectors.length,
    (thrown: AppError) => thrown,
  );
  await world.finish(asked);
  return await asked;
}

const plannedOf = async (world: SwapWorld) => {
  const { models, pools } = await world.router.status();
  return [models.map(({ id, plannedBytes }) => [id, plannedBytes]), pools[0]?.plannedBytes];
};

describe("an embedding of a model that generates", () => {
  test("counts once from the first one on, until its engine ends", async () => {
    const world = open(15);
    await world.finish(world.ask("a"));
    expect(await plannedOf(world)).toEqual([[["a", [10]]], 10]);
    expect([await embed(world, "a"), await embed(world, "a")]).toEqual([1, 1]);
    expect(await plannedOf(world)).toEqual([[["a", [15]]], 15]);
    await world.finish(world.router.unload("a").ended);
    await world.finish(world.ask("a"));
    expect(await plannedOf(world)).toEqual([[["a", [10]]], 10]);
  });

  test("that its engine refuses has made no context, and does not count", async () => {
    const world = open(15);
    await world.finish(world.ask("a"));
    const [engine] = world.engines;
    if (engine === undefined) throw new Error("nothing was loaded");
    engine.embedRefusal = { code: "context_length_exceeded", message: "too long" };
    expect(await embed(world, "a")).toMatchObject({ code: "context_length_exceeded" });
    expect(await plannedOf(world)).toEqual([[["a", [10]]], 10]);
    engine.embedRefusal = null;
    expect(await embed(world, "a")).toBe(1);
    engine.embedRefusal = { code: "invalid_request", message: "odd" };
    expect(await embed(world, "a")).toMatchObject({ code: "invalid_request" });
    expect(await plannedOf(world)).toEqual([[["a", [15]]], 15]);
  });

  test("is refused where there is no room, and the model goes on generating", async () => {
    const world = open(14);
    const refused = await embed(world, "a");
    expect(refused).toMatchObject({
      code: "plan_refused",
      message:
        "a generates, and embeds in a context of its own, which takes 5 B of main memory; what is loaded leaves 4 B of the budget.",
      hint: expect.stringContaining("Load it with a smaller --ctx"),
    });
    const asked = world.ask("a");
    await world.finish(asked);
    expect([(await asked).outcome, world.loads]).toEqual(["done", ["a"]]);
    expect(world.engines[0]?.sent.some(({ type }) => type === "embed")).toBe(false);
  });

  test("leaves others the room that they have, and makes its model count for more beside them", async () => {
    const world = open(20);
    await world.finish(Promise.all([world.ask("a"), world.ask("b")]));
    expect(await embed(world, "a")).toBeInstanceOf(AppError);
    await world.finish(world.router.unload("b").ended);
    expect(await embed(world, "a")).toBe(1);
    // Both no longer fit: one has to go for the other.
    await world.finish(world.ask("b"));
    expect(world.engines.map(({ modelId, stopping }) => [modelId, stopping])).toEqual([
      ["a", true],
      ["b", true],
      ["b", false],
    ]);
  });

  test("is what its engine takes, for who plans beside it", async () => {
    const world = open(15);
    await world.finish(world.ask("a"));
    const [engine] = world.engines;
    if (engine === undefined) throw new Error("no engine");
    Object.assign(engine.info, { memoryNeed: { host: { ...noParts(), kvBytes: 7 }, devices: [] } });
    expect(world.router.resolveModel("a").info?.memoryNeed?.host.kvBytes).toBe(7);
    await embed(world, "a");
    expect(world.router.resolveModel("a").info?.memoryNeed?.host.kvBytes).toBe(12);
  });

  test("of one that only embeds adds nothing", async () => {
    const world = open(10);
    expect(await embed(world, "b")).toBe(1);
    expect(await plannedOf(world)).toEqual([[["b", [10]]], 10]);
  });
});

describe("room in pools", () => {
  test("is missing where more is needed than what is there leaves", () => {
    expect(findShortage([5, 3], [[10, 0], [5]], [20, 3])).toBeNull();
    expect(findShortage([6, 3], [[10, 0], [5]], [20, 3])).toEqual({ pool: 0, leftBytes: 5 });
    expect(findShortage([5, 4], [[10, 0], [5]], [20, 3])).toEqual({ pool: 1, leftBytes: 3 });
  });

  test("is not missing without a limit, nor where nothing is needed of an overfull pool", () => {
    expect(findShortage([99], [[10]], [null])).toBeNull();
    expect(findShortage([1, 0], [[1, 9]], [5, 3])).toBeNull();
    expect(findShortage([1, 1], [[1, 9]], [5, 3])).toEqual({ pool: 1, leftBytes: 0 });
  });
});
