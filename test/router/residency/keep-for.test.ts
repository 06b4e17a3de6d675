// How long a model stays, as requests say it; loading without a request; and the engine of a model that was deleted.

import { describe, expect, test } from "bun:test";
import { makeEntry } from "../../support/fake-engines.ts";
import { codeOf, RouterFixture } from "../../support/router-fixture.ts";

const settle = () => Bun.sleep(0);
const MINUTE = 60_000;

describe("keepFor", () => {
  test("overrules the server's setting until the engine ends", async () => {
    const fixture = new RouterFixture();
    const engine = await fixture.up("a");
    expect(fixture.router.resolveModel("a").sleepsInMs).toBeNull();
    fixture.router.keepFor(makeEntry("a"), MINUTE);
    fixture.clock.advance(MINUTE / 2);
    expect(fixture.router.resolveModel("a").sleepsInMs).toBe(MINUTE / 2);
    fixture.clock.advance(MINUTE / 2);
    await settle();
    expect([engine.stopping, fixture.router.resolveModel("a").state]).toEqual([true, "asleep"]);
    const next = await fixture.up("a");
    fixture.clock.advance(10 * MINUTE);
    await settle();
    expect([next.stopping, fixture.router.resolveModel("a").sleepsInMs]).toEqual([false, null]);
  });

  test("null keeps awake a model that would sleep, also while it writes", async () => {
    const fixture = new RouterFixture(MINUTE);
    const engine = await fixture.up("a");
    engine.flushes = false;
    fixture.clock.advance(MINUTE);
    await settle();
    const flush = engine.sent.at(-1) as { id: number };
    fixture.router.keepFor(makeEntry("a"), null);
    engine.tell({ type: "flushed", id: flush.id });
    fixture.clock.advance(10 * MINUTE);
    await settle();
    expect([engine.stopping, fixture.router.resolveModel("a").sleepsInMs]).toEqual([false, null]);
  });

  test("0 stops it at once, but not under a request", async () => {
    const fixture = new RouterFixture();
    const idle = await fixture.up("a");
    fixture.router.keepFor(makeEntry("a"), 0);
    fixture.clock.advance(0);
    await settle();
    expect(idle.stopping).toBe(true);
    const busy = await fixture.up("b");
    await fixture.generate("b");
    fixture.router.keepFor(makeEntry("b"), 0);
    fixture.clock.advance(MINUTE);
    await settle();
    expect([busy.stopping, fixture.router.resolveModel("b").sleepsInMs]).toEqual([false, 0]);
    busy.say(busy.lastId, { type: "cancelled" });
    fixture.clock.advance(0);
    await settle();
    expect(busy.stopping).toBe(true);
  });

  test("holds for an engine that starts, but not for the next one, nor for one that nobody asked for yet", async () => {
    const fixture = new RouterFixture();
    fixture.router.keepFor(makeEntry("a"), 0);
    const loading = fixture.router.load("a", new AbortController().signal);
    await settle();
    expect(fixture.router.resolveModel("a").sleepsInMs).toBeNull();
    fixture.router.keepFor(makeEntry("a"), MINUTE);
    const first = await fixture.start(0).succeed();
    await loading;
    expect(fixture.router.resolveModel("a").sleepsInMs).toBe(MINUTE);
    await first.die();
    await settle();
    await fixture.up("a");
    expect(fixture.router.resolveModel("a").sleepsInMs).toBeNull();
  });
});

describe("load", () => {
  test("starts an engine once, and tells why it can't", async () => {
    const fixture = new RouterFixture();
    const { signal } = new AbortController();
    const loading = [fixture.router.load("a", signal), fixture.router.load("a", signal)];
    await settle();
    await fixture.start(0).succeed();
    expect((await Promise.all(loading)).map(({ state }) => state)).toEqual(["loaded", "loaded"]);
    expect(fixture.starts).toHaveLength(1);
    expect(await codeOf(fixture.router.load("broken", signal))).toBe("format_unsupported");
    expect(await codeOf(fixture.router.load("nope", signal))).toBe("model_not_found");
  });

  test("who leaves does not end it", async () => {
    const fixture = new RouterFixture();
    const leaving = new AbortController();
    const loading = codeOf(fixture.router.load("a", leaving.signal));
    await settle();
    leaving.abort();
    expect(await loading).toBe("cancelled");
    await fixture.start(0).succeed();
    expect(fixture.router.resolveModel("a").state).toBe("loaded");
  });
});

test("the engine of a file that another one has replaced goes, and the next request has the new one", async () => {
  const fixture = new RouterFixture();
  const [replaced, stays] = [await fixture.up("a"), await fixture.up("b")];
  await fixture.generate("a");
  fixture.entries[0] = { ...makeEntry("a"), created: 1_700_000_001 };
  fixture.router.noteFileChanges();
  fixture.clock.advance(0);
  await settle();
  expect(replaced.stopping).toBe(false);
  replaced.say(replaced.lastId, { type: "cancelled" });
  fixture.clock.advance(0);
  await settle();
  expect([replaced.stopping, stays.stopping]).toEqual([true, false]);
  const next = await fixture.up("a");
  fixture.router.noteFileChanges();
  fixture.clock.advance(MINUTE);
  await settle();
  expect(next.stopping).toBe(false);
});

test("the engine of a file that went while it was loaded goes as well", async () => {
  const fixture = new RouterFixture();
  const loading = fixture.router.load("a", new AbortController().signal);
  await settle();
  const [gone] = fixture.entries.splice(0, 1);
  fixture.router.noteFileChanges();
  const engine = await fixture.start(0).succeed();
  expect((await loading).id).toBe(gone?.id ?? "");
  fixture.clock.advance(0);
  await settle();
  expect(engine.stopping).toBe(true);
});

test("the engine of a model whose file is gone goes too, and nothing of it is left", async () => {
  const fixture = new RouterFixture();
  const [gone, stays] = [await fixture.up("a"), await fixture.up("b")];
  fixture.entries.splice(0, 1);
  fixture.router.noteFileChanges();
  fixture.clock.advance(0);
  await settle();
  expect([gone.stopping, stays.stopping]).toEqual([true, false]);
  expect((await fixture.router.status()).models.map(({ id }) => id)).toEqual(["b"]);
});

test("the engine of a deleted model goes when its requests have ended", async () => {
  const fixture = new RouterFixture();
  const engine = await fixture.up("a");
  await fixture.generate("a");
  fixture.router.remove("a");
  fixture.clock.advance(MINUTE);
  await settle();
  expect(engine.stopping).toBe(false);
  engine.say(engine.lastId, { type: "cancelled" });
  fixture.clock.advance(0);
  await settle();
  expect([engine.stopping, fixture.removed]).toEqual([true, ["a"]]);
  fixture.router.addAlias("b", "mine");
  expect(fixture.aliases).toEqual([["b", "mine"]]);
});
