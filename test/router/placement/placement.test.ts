// What the planner chooses and proposes, case by case. The laws that hold for all cases are in placement-properties.test.ts.

import { describe, expect, test } from "bun:test";
import type { Placed, Plan, PlanQuestion } from "../../../src/router/placement/plan.ts";
import { plan } from "../../../src/router/placement.ts";
import { GIB, MIB, makeMachine, makeQuestion, makeResident, makeSubject } from "../../support/random-plans.ts";

function fit(made: Plan): Placed {
  if (made.verdict !== "fits") throw new Error(`it does not fit: ${made.reason}`);
  return made.placed;
}

function options(made: Plan): Record<string, string> {
  if (made.verdict !== "fits-if") throw new Error(`the verdict is ${made.verdict}`);
  return Object.fromEntries(made.options.map(({ kind, cost }) => [kind, cost]));
}

const dense = makeSubject({ id: "dense", layers: 9, layerBytes: 100 * MIB, kvBytesPerToken: 4096 });
const mixture = makeSubject({
  id: "mixture",
  layers: 9,
  expertLayers: 9,
  layerBytes: 1000 * MIB,
  kvBytesPerToken: 512,
});
const ask = (changes: Partial<PlanQuestion>): Plan => plan(makeQuestion({ subject: dense, ...changes }));

describe("what is automatic", () => {
  test("with memory enough nothing is lowered, and the context is the engine's own automatic one", () => {
    const { settings, lowered, rank } = fit(ask({}));
    expect(settings).toMatchObject({ contextLength: 16_384, parallel: 64, retainedMax: 64, kvType: "f16", threads: 8 });
    expect({ lowered, rank }).toEqual({ lowered: [], rank: 0 });
  });

  test("batches go first, then streams, then caches, the context last", () => {
    const at = (bytes: number) => fit(ask({ machine: makeMachine(bytes) })).lowered.map(({ setting }) => setting);
    const whole = 1000 * MIB + 9 * 64 * MIB + 32 * MIB + 28 * MIB;
    expect(at(whole)).toEqual([]);
    expect(at(whole - 1)).toEqual(["microBatchSize"]);
    expect(at(whole - 29 * MIB)).toEqual(["parallel", "microBatchSize"]);
    expect(at(whole - 60 * MIB)).toContain("contextLength");
  });

  test("the KV cache is never made of less than f16 by itself: that is an option", () => {
    const asked = { contextLength: 16_384 };
    const short = ask({ asked, machine: makeMachine(1300 * MIB) });
    expect(options(short).kvType).toBe("a KV cache of q5_1 in place of f16");
  });

  test("a device takes all layers while a decent context fits, and the rest goes to main memory", () => {
    const whole = fit(ask({ machine: makeMachine(8 * GIB, [1400 * MIB]) }));
    expect(whole.settings).toMatchObject({ gpuLayers: 10, deviceShares: [1] });
    expect(whole.settings.contextLength).toBeLessThan(16_384);
    const part = fit(ask({ machine: makeMachine(8 * GIB, [800 * MIB]) }));
    expect(part.settings.gpuLayers).toBeWithin(1, 9);
    expect(part.settings.contextLength).toBe(16_384);
    const none = fit(ask({ machine: makeMachine(8 * GIB, [10 * MIB]) }));
    expect(none.settings).toMatchObject({ gpuLayers: 0, deviceShares: [0] });
  });

  test("experts leave a device before layers do", () => {
    const machine = makeMachine(32 * GIB, [5 * GIB]);
    const { settings } = fit(ask({ subject: mixture, machine }));
    expect(settings.gpuLayers).toBe(10);
    expect(settings.hostExpertLayers).toBeWithin(1, 10);
    const scarce = fit(ask({ subject: mixture, machine: makeMachine(32 * GIB, [2 * GIB]) }));
    expect(scarce.settings).toMatchObject({ hostExpertLayers: 9 });
    expect(scarce.settings.gpuLayers).toBeLessThan(10);
  });

  test("one device alone where that is enough, else shares of whole layers", () => {
    const one = fit(ask({ machine: makeMachine(8 * GIB, [2 * GIB, 6 * GIB]) }));
    expect(one.settings.deviceShares).toEqual([0, 1]);
    const both = fit(ask({ machine: makeMachine(8 * GIB, [1 * GIB, 1 * GIB]) }));
    expect(both.settings.gpuLayers).toBe(10);
    for (const share of both.settings.deviceShares) expect((share * 10) % 1).toBeCloseTo(0, 9);
  });

  test("unified memory is one budget: what a device has is not there twice", () => {
    const machine = makeMachine(1500 * MIB, [1500 * MIB], true);
    const { need, settings } = fit(ask({ machine }));
    expect(settings.gpuLayers).toBe(10);
    const sum = [need.host, ...need.devices].flatMap((parts) => Object.values(parts)).reduce((a, b) => a + b, 0);
    expect(sum).toBeLessThanOrEqual(1500 * MIB);
  });

  test("without automatic choices the standard fits or does not", () => {
    const policy = { goal: "balanced", automatic: false } as const;
    expect(ask({ policy }).verdict).toBe("fits");
    expect(ask({ policy, machine: makeMachine(1100 * MIB) }).verdict).not.toBe("fits");
  });

  test("memory that is not known holds nothing against a model", () => {
    expect(fit(ask({ machine: makeMachine(null, [null]) })).rank).toBe(0);
  });
});

describe("goals", () => {
  const goal = (name: PlanQuestion["policy"]["goal"], machine = makeMachine(64 * GIB)) =>
    fit(ask({ machine, policy: { goal: name, automatic: true } })).settings;

  test("throughput takes more streams, memory the least of what serves", () => {
    expect(goal("throughput").parallel).toBeGreaterThan(goal("balanced").parallel);
    expect(goal("latency").parallel).toBe(4);
    expect(goal("memory")).toMatchObject({ contextLength: 4096, parallel: 4, retainedMax: 4, microBatchSize: 128 });
  });

  test("latency has rather a small context on a device than a large one beside it", () => {
    const machine = makeMachine(8 * GIB, [1100 * MIB]);
    expect(goal("latency", machine).gpuLayers).toBeGreaterThan(goal("balanced", machine).gpuLayers);
  });
});

describe("what was asked for", () => {
  test("is kept, or the plan says what would have to change", () => {
    const asked = { contextLength: 131_072, parallel: 200, microBatchSize: 2048 };
    expect(fit(ask({ asked, machine: makeMachine(16 * GIB) })).settings).toMatchObject(asked);
    const made = ask({ asked, machine: makeMachine(3 * GIB) });
    expect(options(made)).toMatchObject({
      contextLength: expect.stringMatching(/^a context of \d+ in place of 131072$/),
    });
  });

  test("eviction comes with its cost, the idle and cheap one first, never a pinned one", () => {
    const residents = [
      makeResident("pinned", 2 * GIB, { pinned: true, reloadSeconds: 0 }),
      makeResident("busy", 2 * GIB, { busy: true, reloadSeconds: 0 }),
      makeResident("slow", 2 * GIB, { reloadSeconds: 9 }),
      makeResident("quick", 2 * GIB, { reloadSeconds: 1.25 }),
    ];
    const made = ask({ residents, machine: makeMachine(8.5 * GIB) });
    expect(options(made).evict).toBe("quick is unloaded; loading it again takes about 1.3 s");
    const tight = ask({ residents, machine: makeMachine(8 * GIB), asked: { contextLength: 65_536 } });
    expect(options(tight).evict).toContain("slow is unloaded");
  });

  test("another file of the same model is an option, the largest that fits", () => {
    const file = (id: string, layerBytes: number) => makeSubject({ id, layers: 9, layerBytes });
    const others = [file("q2", 20 * MIB), file("q4", 60 * MIB), file("q8", 200 * MIB)];
    const made = ask({ subject: { ...dense, others }, machine: makeMachine(800 * MIB) });
    expect(options(made).quantization).toStartWith("q4 with 629 MB in place of 1.0 GB");
  });

  test.each<[PlanQuestion["asked"], string, object]>([
    [{ gpuLayers: 5 }, "there is none that computes", { gpuLayers: 0 }],
    [{ hostExpertLayers: 3 }, "has 0 layers with experts, not 3", { hostExpertLayers: 0 }],
    [{ deviceShares: [0.5, 0.5] }, "shares of 2 devices are given, and there are 0", {}],
  ])("what is impossible is named: %j", (asked, reason, change) => {
    const made = ask({ asked });
    if (made.verdict !== "fits-if") throw new Error(made.verdict);
    expect(made.reason).toContain(reason);
    expect(made.options[0].change.asked).toMatchObject(change);
  });

  test("a refusal says how much is missing, and where the limit comes from", () => {
    const made = ask({ machine: makeMachine(500 * MIB) });
    if (made.verdict !== "refused") throw new Error(made.verdict);
    expect(made.reason).toMatch(
      /^dense takes at least 1\.\d GB of main memory, where 524 MB are left for it \(for this test\)$/,
    );
    expect(made.change.moreBytes?.host).toBe((made.short[0]?.neededBytes ?? 0) - 500 * MIB);
  });
});

describe("speed", () => {
  test("is what a token reads against what was measured; a full context is slower, a device faster", () => {
    const host = fit(ask({})).speed;
    const bytes = 1000 * MIB;
    expect(host.tokensPerSecond).toBeCloseTo(1 / (bytes / 50e9 + 0.0005 + dense.layers * 0.0002), 1);
    expect(host.fullTokensPerSecond).toBeLessThan(host.tokensPerSecond ?? 0);
    expect(host.promptTokensPerSecond).toBeCloseTo(1 / ((4 * bytes) / 500e9 + 0.0005 / 512), 1);
    expect(host.loadSeconds).toBeGreaterThan((host.cachedLoadSeconds ?? 0) + 1);
    const device = fit(ask({ machine: makeMachine(8 * GIB, [8 * GIB]) })).speed;
    expect(device.tokensPerSecond).toBeGreaterThan(5 * (host.tokensPerSecond ?? 0));
  });

  test("is not known where nothing was measured", () => {
    const machine = { ...makeMachine(8 * GIB), speed: null };
    expect(Object.values(fit(ask({ machine })).speed)).toEqual([null, null, null, null, null]);
  });
});
