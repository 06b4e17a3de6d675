// Engines that nobody asks: written down, stopped, and started again by the next request.

import { describe, expect, test } from "bun:test";
import { makeCacheEntry } from "../../support/fake-engines.ts";
import { codeOf, RouterFixture } from "../../support/router-fixture.ts";

const SLEEP_MS = 60_000;
const settle = () => Bun.sleep(0);

describe("an engine without requests", () => {
  test("writes what it keeps, is stopped, and is woken by the next request", async () => {
    const fixture = new RouterFixture(SLEEP_MS);
    const engine = await fixture.up("a");
    fixture.clock.advance(SLEEP_MS - 1);
    await settle();
    expect([engine.stopping, fixture.router.resolveModel("a").state]).toEqual([false, "loaded"]);
    fixture.clock.advance(1);
    await settle();
    expect(engine.sent.map(({ type }) => type)).toContain("flush");
    expect([engine.stopping, fixture.router.resolveModel("a").state]).toEqual([true, "asleep"]);
    expect(fixture.router.health()).toMatchObject({ status: "healthy", backends: { llamacpp: { ready: true } } });
    expect(fixture.router.health().backends.llamacpp.details).toContain("0 engines up; 1 asleep");
    await fixture.up("a");
    expect([fixture.starts.length, fixture.router.resolveModel("a").state]).toEqual([2, "loaded"]);
  });

  test("is still listed with what it wrote: of that alone its memory is left", async () => {
    const fixture = new RouterFixture(SLEEP_MS);
    const engine = await fixture.up("a");
    const written = makeCacheEntry({ tokens: 10, durableTokens: 8, session: "agent", lora: [{ id: 0, scale: 1 }] });
    engine.entries = [written, makeCacheEntry()];
    fixture.clock.advance(SLEEP_MS);
    await settle();
    fixture.clock.advance(1000);
    const { entries, models } = await fixture.router.cache();
    expect(entries).toEqual([{ ...written, model: "a", state: "disk", tokens: 8, idleMs: written.idleMs + 1000 }]);
    expect(models).toMatchObject([{ model: "a", state: "asleep", retained: { sequences: 0, tokens: 0 } }]);
    await fixture.up("a");
    expect((await fixture.router.cache()).models).toMatchObject([{ model: "a", state: "loaded" }]);
  });

  test("stays awake for as long as somebody is there, and the time starts when the last one has left", async () => {
    const fixture = new RouterFixture(SLEEP_MS);
    const engine = await fixture.up("a");
    await fixture.generate("a");
    fixture.clock.advance(10 * SLEEP_MS);
    await settle();
    expect(engine.stopping).toBe(false);
    engine.say(engine.lastId, { type: "cancelled" });
    fixture.clock.advance(SLEEP_MS - 1);
    await settle();
    expect(engine.stopping).toBe(false);
    fixture.clock.advance(1);
    await settle();
    expect(engine.stopping).toBe(true);
  });

  test("serves who comes while it writes, and then stays awake", async () => {
    const fixture = new RouterFixture(SLEEP_MS);
    const engine = await fixture.up("a");
    engine.flushes = false;
    fixture.clock.advance(SLEEP_MS);
    await settle();
    const flush = engine.sent.at(-1) as { id: number };
    await fixture.generate("a");
    engine.say(engine.lastId, { type: "cancelled" });
    engine.tell({ type: "flushed", id: flush.id });
    await settle();
    expect([engine.stopping, fixture.starts.length]).toEqual([false, 1]);
    engine.flushes = true;
    fixture.clock.advance(SLEEP_MS);
    await settle();
    expect(engine.stopping).toBe(true);
  });

  test.each([...Array(24).keys()])("serves who comes %d turns into its falling asleep", async (turns) => {
    const fixture = new RouterFixture(SLEEP_MS);
    await fixture.up("a");
    fixture.clock.advance(SLEEP_MS);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    const served = codeOf(fixture.generate("a"));
    await settle();
    if (fixture.starts.length === 2) await fixture.start(1).succeed();
    expect(await served).toBe("resolved");
  });

  test("is stopped in the end although it does not say that it has written", async () => {
    const fixture = new RouterFixture(SLEEP_MS);
    const engine = await fixture.up("a");
    engine.flushes = false;
    fixture.clock.advance(SLEEP_MS);
    await settle();
    expect(engine.stopping).toBe(false);
    fixture.clock.advance(30_000);
    await settle();
    expect(engine.stopping).toBe(true);
  });

  test("holds its memory until it has ended: the next one starts then", async () => {
    const fixture = new RouterFixture(SLEEP_MS);
    const engine = await fixture.up("a");
    const ending = Promise.withResolvers<void>();
    const { stop } = engine;
    engine.stop = async () => {
      await ending.promise;
      await stop.call(engine);
    };
    fixture.clock.advance(SLEEP_MS);
    await settle();
    const waking = codeOf(fixture.generate("a"));
    await settle();
    expect([fixture.starts.length, fixture.router.resolveModel("a").state]).toEqual([1, "loading"]);
    ending.resolve();
    await settle();
    await fixture.start(1).succeed();
    expect([await waking, fixture.router.resolveModel("a").state]).toEqual(["resolved", "loaded"]);
  });

  test("that died is not put to sleep", async () => {
    const fixture = new RouterFixture(SLEEP_MS);
    await (await fixture.up("a")).die();
    fixture.clock.advance(10 * SLEEP_MS);
    await settle();
    expect(fixture.router.resolveModel("a").state).toBe("unloaded");
    expect(fixture.clock.pendingTimers).toBe(0);
  });

  test("never sleeps when that is off", async () => {
    const fixture = new RouterFixture();
    const engine = await fixture.up("a");
    fixture.clock.advance(100 * SLEEP_MS);
    await settle();
    expect([engine.stopping, fixture.clock.pendingTimers]).toEqual([false, 0]);
  });
});
