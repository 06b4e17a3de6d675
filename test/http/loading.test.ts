// Loading, switching and unloading over HTTP, and the figures of models in memory; who makes room is tested in router/.

import { describe, expect, test } from "bun:test";
import { AppError } from "../../src/protocol/errors.ts";
import type { MemoryOverview } from "../../src/router/residency/loading.ts";
import { makeCard } from "../support/fake-inference.ts";
import { createTestApp, readError, readJson, settle } from "../support/http-app.ts";

const fallback = { wanted: ["cuda", "cpu"], used: ["cpu"], fallback: "cpu in place of cuda", skipped: [] } as const;

describe("load", () => {
  test("passes what was asked for, and names the back end that is used in place of another", async () => {
    const { post, inference } = createTestApp();
    inference.cards = [makeCard({ state: "loaded", backend: fallback, sleepsInMs: 60_000 })];
    const body = { model: "demo", keepAlive: "1m", backend: ["cuda", "cpu"], ctx: 512, gpuLayers: -1 };
    const reply = await post("/api/models/load", body);
    expect(reply.status).toBe(200);
    expect(await readJson(reply)).toMatchObject({
      id: "demo",
      state: "loaded",
      default: true,
      backend: { fallback: "cpu in place of cuda", used: ["cpu"] },
      contextLength: 320,
      sleepsInMs: 60_000,
    });
    expect(inference.loadCalls).toEqual(["demo"]);
    expect(inference.loadOptions).toEqual([
      { changes: { ctx: 512, gpuLayers: -1, backend: ["cuda", "cpu"] }, keepMs: 60_000, becomesDefault: false },
    ]);
  });

  test("takes no setting that it does not describe: engines have some that name files", async () => {
    const { post, inference } = createTestApp();
    const others = { lora: ["/etc/passwd"], draftModel: "/etc/passwd", checkpointBytes: "many", kvType: {}, more: 1 };
    expect((await post("/api/models/load", { model: "demo", ctx: 512, ...others })).status).toBe(200);
    expect((await post("/api/models/switch", { model: "demo", ...others })).status).toBe(200);
    expect(inference.loadOptions).toEqual([{ changes: { ctx: 512 }, becomesDefault: false }, { becomesDefault: true }]);
  });

  test("changes nothing that was not asked for", async () => {
    const { post, inference } = createTestApp();
    await post("/api/models/load", { model: "demo", backend: "cpu" });
    await post("/api/models/load", { model: "demo" });
    await post("/api/models/switch", { model: "demo" });
    expect(inference.loadOptions).toEqual([
      { changes: { backend: ["cpu"] }, becomesDefault: false },
      { becomesDefault: false },
      { becomesDefault: true },
    ]);
  });

  test("does not wait where nobody does, and what goes wrong then is no fault of the server", async () => {
    const { post, inference } = createTestApp();
    const loading = Promise.withResolvers<never>();
    inference.cards = [makeCard({ state: "loading" })];
    inference.load = () => loading.promise;
    const reply = await post("/api/models/load", { model: "demo", wait: false });
    expect([reply.status, (await readJson(reply)).state]).toEqual([202, "loading"]);
    loading.reject(new AppError({ code: "plan_refused", message: "no room" }));
    await settle();
    inference.cards = [makeCard({ state: "loaded" })];
    expect((await post("/api/models/load", { model: "demo", wait: false })).status).toBe(200);
  });

  test.each([
    [{}, "model"],
    [{ model: "demo", ctx: -1 }, "ctx"],
    [{ model: "demo", ctx: 1.5 }, "ctx"],
    [{ model: "demo", backend: "abacus" }, "backend"],
    [{ model: "demo", keepAlive: "soon" }, "keepAlive"],
    [{ model: "demo", parallel: 200, retained: 100 }, "retained"],
    [{ model: "demo", batchSize: 8, ubatchSize: 16 }, "ubatchSize"],
    [{ model: "demo", wait: "no" }, "wait"],
  ])("%j is refused with the field", async (body, param) => {
    const { post, inference } = createTestApp();
    expect(await readError(await post("/api/models/load", body))).toMatchObject({ status: 400, param });
    expect(inference.loadCalls).toEqual([]);
  });

  test("that can have no room is refused, also for who does not wait and names nothing", async () => {
    const { post, inference } = createTestApp();
    inference.refusal = new AppError({ code: "plan_refused", message: "m takes 10 bytes", hint: "Unpin a model." });
    const refused = await post("/api/models/load", { model: "demo" });
    expect([refused.status, (await readJson(refused)).error.hint]).toEqual([400, "Unpin a model."]);
    expect((await post("/api/models/load", { model: "nope", wait: false })).status).toBe(404);
  });
});

describe("unload", () => {
  test("tells what came back", async () => {
    const { post, inference } = createTestApp();
    const reply = await readJson(await post("/api/models/unload", { model: "demo" }));
    expect(reply).toEqual({ id: "demo", state: "unloaded", loadsGivenUp: 1, requestsAhead: 2, freed: inference.freed });
    expect(inference.unloadCalls).toEqual(["demo"]);
  });

  test("does not wait where nobody does", async () => {
    const { post, inference } = createTestApp();
    inference.unloaded = new Promise(() => {});
    const reply = await post("/api/models/unload", { model: "demo", wait: false });
    expect([reply.status, await readJson(reply)]).toEqual([
      202,
      { id: "demo", state: "unloaded", loadsGivenUp: 1, requestsAhead: 2, freed: null },
    ]);
    inference.unloaded = Promise.reject(new AppError({ code: "internal", message: "a bug" }));
    expect((await post("/api/models/unload", { model: "demo", wait: false })).status).toBe(202);
    await settle();
    expect((await post("/api/models/unload", { model: "nope" })).status).toBe(404);
  });
});

test("status has a line for each model that was asked for", async () => {
  const { get, inference } = createTestApp();
  const model: MemoryOverview["models"][number] = {
    id: "demo",
    state: "draining",
    settings: { ctx: 512, backend: ["cuda", "cpu"], chatTemplate: "a secret", loadTimeoutSeconds: 9 },
    current: false,
    isDefault: true,
    pinned: false,
    priority: 0,
    pid: 7,
    backend: fallback,
    devices: ["CPU"],
    plannedBytes: [1000],
    measuredBytes: [990.5],
    learned: { settings: 1, loads: 2, excessBytes: 3.5, lastPlannedBytes: 1000, lastMeasuredBytes: 990 },
    memory: { anonBytes: 900, mappedBytes: 80 },
    requests: { running: 1, queued: 2, waiting: 3 },
    tokensPerSecond: { prompt: 100.5, generation: 10.25 },
    kv: { usedTokens: 5, totalTokens: 10 },
    sleepsInMs: null,
    idleMs: 12,
    loadMs: 34,
    loads: 2,
    evictions: 1,
    freed: null,
    kept: { sequences: 1, tokens: 8 },
    error: null,
  };
  const pools = [{ name: "host", budgetBytes: 5000, plannedBytes: 1000 }];
  inference.statusNow = { pools, swaps: 1, models: [model] };
  const { isDefault: _isDefault, ...rest } = model;
  expect(await readJson(await get("/api/models/status"))).toEqual({
    pools,
    swaps: 1,
    models: [
      {
        ...rest,
        settings: { ctx: 512, backend: ["cuda", "cpu"] },
        default: true,
        measuredBytes: [991],
        learned: { loads: 2, excessBytes: 4, lastPlannedBytes: 1000, lastMeasuredBytes: 990 },
      },
    ],
  });
});
