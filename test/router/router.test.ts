// The router over fake engines: one engine a model, started once for all who ask, and started again after it died.

import { describe, expect, test } from "bun:test";
import { AppError } from "../../src/protocol/errors.ts";
import { StartFailure } from "../../src/router/engines/engine-process.ts";
import { makeCacheEntry } from "../support/fake-engines.ts";
import { codeOf, RouterFixture, readAll } from "../support/router-fixture.ts";

const died = (message = "it died"): StartFailure =>
  new StartFailure(new AppError({ code: "engine_crashed", message }), true);
const refused = (): StartFailure =>
  new StartFailure(new AppError({ code: "model_damaged", message: "bad tensor" }), false);

describe("starting", () => {
  test("requests that come together start one engine", async () => {
    const fixture = new RouterFixture();
    const generating = [fixture.generate("a"), fixture.generate(), fixture.generate("a")];
    expect(fixture.router.resolveModel("a").state).toBe("loading");
    await Bun.sleep(0);
    expect(fixture.starts).toHaveLength(1);
    const engine = await fixture.start(0).succeed();
    const generations = await Promise.all(generating);
    expect(generations.map(({ model }) => [model.id, model.state])).toEqual(Array(3).fill(["a", "loaded"]));
    expect(engine.sent.filter((message) => message.type === "generate")).toHaveLength(3);
    await fixture.generate("a");
    expect(fixture.starts).toHaveLength(1);
  });

  test("each model has an engine of its own", async () => {
    const fixture = new RouterFixture();
    const [a, b] = [await fixture.up("a"), await fixture.up("b")];
    expect(fixture.starts.map(({ entry }) => entry.id)).toEqual(["a", "b"]);
    const { engines } = await fixture.router.backendInfo();
    expect(engines.map(({ pid, state, stats }) => [pid, state, stats?.running])).toEqual([
      [a.pid, "loaded", 1],
      [b.pid, "loaded", 1],
    ]);
  });

  test("a request that leaves does not end the start", async () => {
    const fixture = new RouterFixture();
    const controller = new AbortController();
    const leaving = codeOf(fixture.generate("a", controller.signal));
    const staying = fixture.generate("a");
    controller.abort();
    expect(await leaving).toBe("cancelled");
    await fixture.start(0).succeed();
    expect((await staying).promptTokens).toBe(1);
    expect(fixture.starts).toHaveLength(1);
  });

  test("a file that can't be served, or an unknown name, starts nothing", async () => {
    const fixture = new RouterFixture();
    expect(await codeOf(fixture.generate("broken"))).toBe("format_unsupported");
    expect(await codeOf(fixture.generate("nobody"))).toBe("model_not_found");
    expect(await codeOf(fixture.router.embed("broken", ["a"], new AbortController().signal))).toBe(
      "format_unsupported",
    );
    expect(fixture.starts).toHaveLength(0);
  });
});

describe("a failed load", () => {
  test("is told to all who waited, is shown, and the next request tries again", async () => {
    const fixture = new RouterFixture();
    const waiting = [codeOf(fixture.generate("a")), codeOf(fixture.generate("a"))];
    await fixture.start(0).fail(refused());
    expect(await Promise.all(waiting)).toEqual(["model_damaged", "model_damaged"]);
    expect(fixture.router.resolveModel("a")).toMatchObject({ state: "failed", error: "bad tensor", info: null });
    expect(fixture.router.health().status).toBe("degraded");
    await fixture.up("a");
    expect(fixture.router.resolveModel("a")).toMatchObject({ state: "loaded", error: null });
    expect(fixture.router.health().status).toBe("healthy");
  });

  test("that is a bug is passed on as it is", async () => {
    const fixture = new RouterFixture();
    const waiting = codeOf(fixture.generate("a"));
    await fixture.start(0).fail(new TypeError("a bug"));
    expect(await waiting).toBe("TypeError: a bug");
    expect(fixture.router.resolveModel("a").state).toBe("failed");
  });
});

describe("a death", () => {
  test("ends its requests, and the next request starts a new engine", async () => {
    const fixture = new RouterFixture();
    const engine = await fixture.up("a");
    const { events } = await fixture.generate("a");
    engine.say(engine.lastId, { type: "delta", text: "Hel" });
    await engine.die();
    const told = await readAll(events);
    expect(told.map((event) => event.type)).toEqual(["delta", "error"]);
    expect(told[1]).toMatchObject({ type: "error", error: { code: "engine_crashed" } });
    expect(JSON.stringify(told[1])).toContain("GGML_ASSERT(x) failed");
    expect(fixture.router.resolveModel("a")).toMatchObject({ state: "unloaded", info: null });
    await fixture.up("a");
    expect(fixture.starts).toHaveLength(2);
  });

  test("repeated ones are answered with a wait, which ends", async () => {
    const fixture = new RouterFixture();
    await (await fixture.up("a")).die();
    await (await fixture.up("a")).die();
    const refusal = await fixture.generate("a").catch((thrown: AppError) => thrown);
    expect(refusal).toMatchObject({ code: "engine_crashed", retryable: true, hint: "Try again in 1 s." });
    expect((refusal as AppError).message).toBe("The engine of a died 2 times in a row. The next one starts in 1 s.");
    expect(fixture.router.health().status).toBe("degraded");
    expect(fixture.starts).toHaveLength(2);
    await fixture.up("b");
    fixture.clock.advance(1000);
    await fixture.up("a");
    expect(fixture.starts).toHaveLength(4);
  });

  test("while loading counts, too", async () => {
    const fixture = new RouterFixture();
    for (let i = 0; i < 2; i++) {
      const waiting = codeOf(fixture.generate("a"));
      await fixture.start(i).fail(died());
      expect(await waiting).toBe("engine_crashed");
    }
    expect(await codeOf(fixture.generate("a"))).toBe("engine_crashed");
    expect(fixture.starts).toHaveLength(2);
  });
});

describe("stop", () => {
  test("ends all engines, also one that is still starting, and refuses what comes then", async () => {
    const fixture = new RouterFixture();
    const up = await fixture.up("a");
    const { events } = await fixture.generate("a");
    const late = codeOf(fixture.generate("b"));
    const stopping = fixture.router.stop();
    const starting = await fixture.start(1).succeed();
    await stopping;
    expect(up.sent.map((message) => message.type)).not.toContain("flush");
    expect([up.stopping, starting.stopping]).toEqual([true, true]);
    expect(await late).toBe("overloaded");
    for await (const event of events) expect(event).toMatchObject({ error: { code: "engine_crashed" } });
    expect(await codeOf(fixture.generate("a"))).toBe("overloaded");
    expect(fixture.router.resolveModel("a").state).toBe("unloaded");
  });

  test("that is graceful has engines write what they keep, but waits for none for ever", async () => {
    const fixture = new RouterFixture();
    const [quick, slow] = [await fixture.up("a"), await fixture.up("b")];
    slow.flushes = false;
    const stopping = fixture.router.stop(true);
    await Bun.sleep(0);
    expect([quick, slow].map(({ sent }) => sent.at(-1)?.type)).toEqual(["flush", "flush"]);
    expect([quick.stopping, slow.stopping]).toEqual([true, false]);
    fixture.clock.advance(5000);
    await stopping;
    expect(slow.stopping).toBe(true);
  });

  test("does not count as a death", async () => {
    const fixture = new RouterFixture();
    await fixture.up("a");
    await fixture.router.stop();
    expect(fixture.router.health().status).toBe("healthy");
  });
});

test("what engines keep is listed by model, with sums; a model without an engine is not there", async () => {
  const fixture = new RouterFixture();
  const [a, b] = [await fixture.up("a"), await fixture.up("b")];
  const overview = await fixture.router.cache();
  expect(overview.entries).toEqual([
    { model: "a", ...makeCacheEntry() },
    { model: "b", ...makeCacheEntry() },
  ]);
  expect(overview.models.map(({ model, evaluatedTokens }) => [model, evaluatedTokens])).toEqual([
    ["a", 7],
    ["b", 7],
  ]);
  await a.die();
  const asking = fixture.router.cache();
  b.client.fail(new AppError({ code: "engine_crashed", message: "while it is asked" }));
  await asking;
  expect((await fixture.router.cache()).models).toEqual([]);
});

test("an engine that does not answer in time is left out", async () => {
  const fixture = new RouterFixture();
  const engine = await fixture.up("a");
  engine.answers = false;
  const asking = Promise.all([fixture.router.cache(), fixture.router.backendInfo()]);
  fixture.clock.advance(10_000);
  const [overview, { engines }] = await asking;
  expect(overview).toEqual({ entries: [], models: [] });
  expect(engines.map(({ pid, stats }) => [pid, stats])).toEqual([[engine.pid, null]]);
});

test("listings show all models, the default one marked", () => {
  const cards = new RouterFixture().router.listModels();
  expect(cards.map(({ id, isDefault, state }) => [id, isDefault, state])).toEqual([
    ["a", true, "unloaded"],
    ["b", false, "unloaded"],
    ["broken", false, "failed"],
  ]);
});
