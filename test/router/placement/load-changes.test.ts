// Settings that come with a load: what was asked for, what a plan chose beside it, and how long either holds.

import { describe, expect, test } from "bun:test";
import { listAskedChanges } from "../../../src/protocol/model-settings.ts";
import { LoadChanges } from "../../../src/router/placement/load-changes.ts";
import { makeEntry } from "../../support/fake-engines.ts";
import { codeOf, RouterFixture } from "../../support/router-fixture.ts";

const entry = makeEntry("a", { settings: { engine: { batchSize: 256 }, sampling: {} } });

describe("changes of a load", () => {
  test("lie over the model's own file; what a plan chose lies under both, and is marked", () => {
    const changes = new LoadChanges();
    expect(changes.apply(entry)).toBe(entry);
    changes.try(entry, { asked: { ctx: 512 } });
    changes.try(entry, { planned: { ctx: 4096, batchSize: 2048, parallel: 4 } });
    const { settings, engineKey } = changes.apply(entry);
    expect(settings.engine).toEqual({ ctx: 512, batchSize: 256, parallel: 4 });
    expect(settings.planned).toEqual(["parallel"]);
    expect(listAskedChanges(settings)).toEqual({ ctx: 512, batchSize: 256 });
    expect(engineKey).not.toBe(entry.engineKey);
    const asked = changes.applyAsked(entry).settings;
    expect([asked.engine, asked.planned]).toEqual([{ ctx: 512, batchSize: 256 }, undefined]);
  });

  test("that are asked for anew end what a plan chose", () => {
    const changes = new LoadChanges();
    changes.try(entry, { planned: { parallel: 4 } });
    changes.try(entry, { asked: { ctx: 512 } });
    expect(changes.apply(entry).settings.engine).toEqual({ batchSize: 256, ctx: 512 });
    changes.try(entry, { asked: {} });
    expect(changes.apply(entry)).toBe(entry);
  });

  test("of a plan are taken back, unless there are others by then", () => {
    const changes = new LoadChanges();
    changes.try(entry, { asked: { ctx: 512 } });
    const tried = changes.try(entry, { planned: { parallel: 4 } });
    if (tried !== null) changes.withdraw(entry, tried);
    expect(changes.apply(entry).settings.engine).toEqual({ batchSize: 256, ctx: 512 });
    const late = changes.try(entry, { planned: { parallel: 4 } });
    changes.try(entry, { planned: { parallel: 8 } });
    if (late !== null) changes.withdraw(entry, late);
    expect(changes.apply(entry).settings.engine.parallel).toBe(8);
  });
});

describe("a load with a plan", () => {
  test("starts an engine with it, and the next load keeps it", async () => {
    const fixture = new RouterFixture();
    const { signal } = new AbortController();
    const loading = fixture.router.load("a", signal, { planned: { ctx: 4096 } });
    expect(fixture.start(0).entry.settings).toMatchObject({ engine: { ctx: 4096 }, planned: ["ctx"] });
    await fixture.start(0).succeed();
    await loading;
    await fixture.router.load("a", signal);
    expect(fixture.starts.length).toBe(1);
  });

  test("that fails leaves the model with the settings that it had", async () => {
    const fixture = new RouterFixture();
    const { signal } = new AbortController();
    const first = fixture.router.load("a", signal, { changes: { ctx: 512 } });
    await fixture.start(0).succeed();
    await first;
    const failing = codeOf(fixture.router.load("a", signal, { planned: { parallel: 4 } }));
    await fixture.start(1).fail(new Error("no memory"));
    expect(await failing).toContain("no memory");
    // The engine of before is asked again.
    await fixture.router.load("a", signal);
    expect(fixture.starts.length).toBe(2);
    expect(fixture.router.listModels()[0]?.state).toBe("loaded");
  });
});
