// What model files and pins mean for the router: engines by settings, defaults of requests, what is taken, who stays awake.

import { describe, expect, test } from "bun:test";
import type { ModelEntry } from "../../src/models/entry.ts";
import type { ModelSettings } from "../../src/protocol/model-settings.ts";
import { fillDefaults, idleMsOf, settingsOf } from "../../src/router/model-settings.ts";
import { makeEntry } from "../support/fake-engines.ts";
import { codeOf, REQUEST, RouterFixture } from "../support/router-fixture.ts";

const settle = () => Bun.sleep(0);
const MINUTE = 60_000;

const withSettings = (settings: Partial<ModelSettings>): ModelEntry => {
  return makeEntry("a", { settings: { engine: {}, sampling: {}, ...settings } });
};

describe("a request", () => {
  test("gets the model's defaults where it says nothing", () => {
    const entry = withSettings({ sampling: { temperature: 0.1, topK: 5 }, maxTokens: 9 });
    const request = { ...REQUEST, sampling: { topK: 1 } };
    expect(fillDefaults(entry, request)).toEqual({ ...REQUEST, sampling: { temperature: 0.1, topK: 1 }, maxTokens: 9 });
    expect(fillDefaults(entry, { ...request, maxTokens: 2 }).maxTokens).toBe(2);
    expect(fillDefaults(makeEntry("a"), request)).toEqual(request);
  });

  test("for what a model file takes is refused before an engine starts", async () => {
    const fixture = new RouterFixture();
    const described = {
      file: "/f.yaml",
      displayName: null,
      modelType: null,
      withoutEffect: [],
      chatTemplate: null,
      hardware: [],
      content: {},
    };
    fixture.entries[0] = makeEntry("a", { described: { ...described, taken: ["completion", "embedding"] } });
    const { signal } = new AbortController();
    expect(await codeOf(fixture.generate("a"))).toBe("not_supported");
    expect(await codeOf(fixture.router.embed("a", ["x"], signal))).toBe("not_supported");
    expect(fixture.starts).toHaveLength(0);
  });
});

test("listings tell the context and pooling that the model's file asks for", () => {
  const entry = withSettings({ engine: { ctx: 99, pooling: "cls" } });
  expect(settingsOf(entry, { contextLength: 5, pooling: "mean" })).toEqual({ contextLength: 99, pooling: "cls" });
  expect(settingsOf(makeEntry("a"), { contextLength: 5, pooling: "mean" })).toEqual({
    contextLength: 5,
    pooling: "mean",
  });
  expect(settingsOf(withSettings({ engine: { pooling: "auto" } }), { contextLength: 5, pooling: "mean" })).toEqual({
    contextLength: 5,
  });
});

test("how long a model stays: pinned, by its file, by the server", () => {
  expect(idleMsOf(makeEntry("a"), MINUTE)).toBe(MINUTE);
  expect(idleMsOf(makeEntry("a"), 0)).toBeNull();
  expect(idleMsOf(withSettings({ sleepAfterSeconds: 2 }), MINUTE)).toBe(2000);
  expect(idleMsOf(withSettings({ sleepAfterSeconds: 0 }), MINUTE)).toBeNull();
  expect(idleMsOf({ ...withSettings({ sleepAfterSeconds: 2 }), pinned: true }, MINUTE)).toBeNull();
});

describe("a pinned model", () => {
  test("stays awake, whatever requests say, until it is let go", async () => {
    const fixture = new RouterFixture(MINUTE);
    const engine = await fixture.up("a");
    expect(fixture.router.pin("a", true)).toMatchObject({ id: "a", pinned: true, sleepsInMs: null });
    fixture.router.keepFor(fixture.router.resolveModel("a"), 0);
    fixture.clock.advance(10 * MINUTE);
    await settle();
    expect(engine.stopping).toBe(false);
    expect(fixture.router.pin("a", false).sleepsInMs).toBe(MINUTE);
    fixture.clock.advance(MINUTE);
    await settle();
    expect(engine.stopping).toBe(true);
  });

  test("that is loaded later stays as well", async () => {
    const fixture = new RouterFixture(MINUTE);
    fixture.router.pin("a", true);
    const engine = await fixture.up("a");
    fixture.clock.advance(10 * MINUTE);
    await settle();
    expect([engine.stopping, fixture.router.resolveModel("a").sleepsInMs]).toEqual([false, null]);
  });
});

describe("engines", () => {
  test("of changed settings are new ones, and the old one goes when its requests have ended", async () => {
    const fixture = new RouterFixture();
    const old = await fixture.up("a");
    const running = await fixture.generate("a");
    const path = fixture.entries[0]?.path ?? "";
    fixture.entries[0] = makeEntry("a", { engineKey: `${path}\n{"ctx":9}` });
    expect(fixture.router.resolveModel("a").state).toBe("unloaded");
    const fresh = await fixture.up("a");
    fixture.clock.advance(0);
    await settle();
    expect([old.stopping, fresh.stopping]).toEqual([false, false]);
    old.say(old.lastId, { type: "cancelled" });
    for await (const _event of running.events);
    fixture.clock.advance(0);
    await settle();
    expect([old.stopping, fresh.stopping]).toEqual([true, false]);
  });

  test("are shared by names with the same file and settings, and stay for a name that still has them", async () => {
    const fixture = new RouterFixture();
    const first = await fixture.up("a");
    const { path = "", engineKey = "" } = fixture.entries[0] ?? {};
    fixture.entries[1] = makeEntry("b", { path, engineKey });
    expect(fixture.router.resolveModel("b").state).toBe("loaded");
    fixture.entries[1] = makeEntry("b", { path, engineKey: `${engineKey}\n{}` });
    await fixture.up("b");
    fixture.clock.advance(0);
    await settle();
    expect(first.stopping).toBe(false);
  });
});
