// Plans over HTTP: the verdicts, what is asked for, goals, recommendations, and the policy.

import { describe, expect, test } from "bun:test";
import type { SearchHit } from "../../src/hub/search.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { LoadedModelInfo } from "../../src/protocol/model-info.ts";
import { makeCard } from "../support/fake-inference.ts";
import { createTestApp, readError, readJson } from "../support/http-app.ts";
import { GIB, MIB, makeMachine, makeResident, makeSubject } from "../support/random-plans.ts";

function makeHit(repo: string, choice: string | null): SearchHit {
  return {
    repo,
    downloads: 5,
    likes: 0,
    gated: false,
    updatedAt: null,
    architecture: null,
    contextLength: null,
    parameterCount: null,
    capabilities: null,
    variants: [{ tag: "Q4_K_M", sizeBytes: 1e9, fits: choice !== null }],
    choice,
    error: null,
  };
}

test("a model that fits: settings, memory by place and purpose, speed", async () => {
  const { post, planner } = createTestApp();
  const reply = await readJson(await post("/api/plan", { model: "demo", ctx: 8192, kvType: "q8_0" }));
  expect(reply).toMatchObject({
    model: "demo",
    verdict: "fits",
    reason: null,
    source: "estimated",
    notMeasured: null,
    asked: { ctx: 8192, kvType: "q8_0" },
    plan: {
      settings: { ctx: 8192, kvType: "q8_0", parallel: 64, gpuLayers: 0 },
      memory: { host: { mappedBytes: 500 * MIB }, devices: [] },
      lowered: [],
      speed: { tokensPerSecond: expect.any(Number) },
    },
    machine: { pools: [{ name: "main memory", budgetBytes: 8 * GIB }], threads: 8, unified: false },
    options: [],
    change: null,
  });
  expect(planner.asked).toEqual([{ model: "demo", goal: "balanced", asked: { contextLength: 8192, kvType: "q8_0" } }]);
});

test("what llama.cpp could not be asked is told", async () => {
  const { post, planner } = createTestApp();
  planner.unmeasured = "no answer within 60 s";
  expect(await readJson(await post("/api/plan", {}))).toMatchObject({ notMeasured: "no answer within 60 s" });
});

test("one that would fit with a change: each change with its cost, in the request's own names", async () => {
  const { post, planner } = createTestApp();
  planner.machine = makeMachine(1 * GIB);
  planner.residents = [makeResident("other", 500 * MIB)];
  const reply = await readJson(await post("/api/plan", { ctx: 131_072 }));
  expect(reply).toMatchObject({ verdict: "fits-if", plan: null, residents: [{ model: "other", bytes: 500 * MIB }] });
  expect(reply.reason).toContain("beside other");
  const combined = reply.options.find(({ kind }: { kind: string }) => kind === "combined");
  expect(combined.change.settings).toEqual({ ctx: expect.any(Number) });
  const again = await readJson(await post("/api/plan", combined.change.settings));
  expect(again.verdict === "fits" || combined.change.evict.length > 0).toBe(true);
});

test("a refusal names what would have to be there besides", async () => {
  const { post, planner } = createTestApp();
  planner.machine = makeMachine(100 * MIB);
  const { verdict, change, short } = await readJson(await post("/api/plan", {}));
  expect(verdict).toBe("refused");
  expect(change).toMatchObject({ evict: [], settings: {}, model: null, moreBytes: { devices: [] } });
  expect(change.moreBytes.host).toBe(short[0].neededBytes - short[0].leftBytes);
});

test("what earlier loads took is told", async () => {
  const { post, planner } = createTestApp();
  planner.learned = { settings: 1, loads: 3, excessBytes: 5, lastPlannedBytes: 10, lastMeasuredBytes: 15 };
  const { learned } = await readJson(await post("/api/plan", {}));
  expect(learned).toEqual({ loads: 3, excessBytes: 5, lastPlannedBytes: 10, lastMeasuredBytes: 15 });
});

test.each([
  [{ model: "nope" }, "model_not_found", 404],
  [{ ctx: 0 }, "invalid_request", 400],
  [{ kvType: "q3" }, "invalid_request", 400],
  [{ goal: "beauty" }, "invalid_request", 400],
  [{ deviceShares: [-1] }, "invalid_request", 400],
] as const)("%j is refused", async (body, code, status) => {
  const { post } = createTestApp();
  expect(await readError(await post("/api/plan", body))).toMatchObject({ code, status });
});

test("a goal: its plan beside the usual one, and nothing is loaded", async () => {
  const { post, inference } = createTestApp();
  const reply = await readJson(await post("/api/models/optimize", { model: "demo", goal: "memory" }));
  expect(reply).toMatchObject({ model: "demo", goal: "memory", applied: false, proposed: { verdict: "fits" } });
  expect(reply.proposed.plan.memory.totalBytes).toBeLessThan(reply.current.memory.totalBytes);
  expect(inference.loadCalls).toEqual([]);
});

describe("a goal that is applied", () => {
  const body = { model: "demo", goal: "memory", apply: true };

  test("loads the model with what the plan chose, and not with what was asked for anyway", async () => {
    const { post, inference, planner } = createTestApp();
    planner.flags = { parallel: 2 };
    const reply = await readJson(await post("/api/models/optimize", body));
    expect(reply).toMatchObject({ applied: true, reason: null, proposed: { verdict: "fits" } });
    const { ctx, retained, batchSize, ubatchSize } = reply.proposed.plan.settings;
    expect(inference.loadCalls).toEqual(["demo"]);
    expect(inference.loadOptions).toEqual([{ planned: { ctx, retained, batchSize, ubatchSize } }]);
    expect(ctx).toBe(4096);
  });

  test("where there are devices, says what lies on them", async () => {
    const { post, inference, planner } = createTestApp();
    planner.machine = makeMachine(8 * GIB, [8 * GIB]);
    const { proposed } = await readJson(await post("/api/models/optimize", body));
    const { gpuLayers, deviceShares, hostExpertLayers } = proposed.plan.settings;
    expect(inference.loadOptions[0]?.planned).toMatchObject({ gpuLayers, deviceShares, hostExpertLayers });
    expect(gpuLayers).toBe(5);
  });

  test("is refused where the plan does not fit, and nothing is loaded", async () => {
    const { post, inference, planner } = createTestApp();
    planner.machine = makeMachine(1 * GIB);
    planner.residents = [makeResident("other", 900 * MIB)];
    const response = await post("/api/models/optimize", body);
    const { error } = await readJson(response);
    expect(error).toMatchObject({ code: "plan_refused", message: expect.stringContaining("nothing is changed") });
    expect(error.hint).toContain("other");
    expect(inference.loadCalls).toEqual([]);
    expect(await readJson(await post("/api/models/optimize", { ...body, apply: false }))).toMatchObject({
      applied: false,
      reason: null,
      proposed: { verdict: "fits-if" },
    });
  });

  test("is not applied where memory did not suffice after all", async () => {
    const { post, inference } = createTestApp();
    inference.cards = [makeCard({ info: { steppedDown: ["a context of 2048"] } as unknown as LoadedModelInfo })];
    expect(await readJson(await post("/api/models/optimize", body))).toMatchObject({
      applied: false,
      reason: "memory did not suffice, so it was loaded with less: a context of 2048",
    });
  });

  test("fails as the load does", async () => {
    const { post, inference } = createTestApp();
    inference.load = async () => {
      throw new AppError({ code: "out_of_memory", message: "no memory" });
    };
    expect(await readError(await post("/api/models/optimize", body))).toMatchObject({ code: "out_of_memory" });
    expect(await readError(await post("/api/models/optimize", { ...body, apply: "yes" }))).toMatchObject({
      code: "invalid_request",
      param: "apply",
    });
  });
});

test("recommendations: from the disk, from the Hub where words are given, and what hardware would help", async () => {
  const { get, planner, hub } = createTestApp();
  planner.subject = makeSubject({ id: "demo", layers: 4, layerBytes: 4 * GIB, kvBytesPerToken: 2048 });
  const reply = await readJson(await get("/api/models/recommend"));
  expect(reply.models).toMatchObject([{ model: "demo", verdict: "refused", plan: null }]);
  expect({ hub: reply.hub, queries: hub.queries }).toEqual({ hub: [], queries: [] });
  planner.machine = makeMachine(14 * GIB);
  hub.hits = [makeHit("owner/one", "Q4_K_M"), makeHit("owner/none", null)];
  const asked = await readJson(await get("/api/models/recommend?q=qwen"));
  expect(asked.hardware).toMatchObject([{ change: "main memory", gained: ["demo"] }]);
  expect(asked.hub).toEqual([
    { model: "owner/one:Q4_K_M", sizeBytes: 1e9, downloads: 5, tokensPerSecond: 50, source: "size" },
  ]);
  expect(hub.queries).toMatchObject([{ words: "qwen", fits: true }]);
});

test("the policy, what is automatic, what was lowered, and what could not be read", async () => {
  const { get, adaptation } = createTestApp();
  adaptation.now = { ...adaptation.now, problem: "the probe does not answer" };
  expect(await readJson(await get("/api/system/optimization"))).toMatchObject({
    adaptation: JSON.parse(JSON.stringify(adaptation.now)),
    policy: {
      memoryShare: null,
      baseShare: 0.1,
      freeShare: 0.5,
      deviceShare: 0.9,
      memoryBudgetBytes: null,
      autoOptimization: true,
    },
    automatic: expect.arrayContaining(["ctx", "parallel", "gpuLayers"]),
    machine: { restraints: [{ what: "threads", from: 8, to: 4, reason: "the machine runs on battery" }] },
    lowered: [{ model: "demo", setting: "ctx", from: 16_384, to: 4096 }],
    unknown: { driver: "there is none" },
  });
});
