// The planner's dealings with the world: what is loaded beside, llama.cpp's own account, what earlier loads took, and loads.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../../src/lib/log.ts";
import { AppError } from "../../../src/protocol/errors.ts";
import type { MachineRates } from "../../../src/protocol/machine-rates.ts";
import type { MemoryNeed } from "../../../src/protocol/memory-need.ts";
import { noParts } from "../../../src/protocol/memory-need.ts";
import type { EngineSettings } from "../../../src/protocol/messages.ts";
import { DEFAULT_BUDGET_POLICY } from "../../../src/router/placement/budget.ts";
import type { Deviation } from "../../../src/router/placement/deviation.ts";
import type { AskedSettings, PlanSettings, Resident } from "../../../src/router/placement/plan.ts";
import { Planner } from "../../../src/router/placement/planner.ts";
import type { PlannedModel, PlannerEffects } from "../../../src/router/placement/planning.ts";
import { DeviationFile } from "../../../src/state/deviation-file.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { makeEntry } from "../../support/fake-engines.ts";
import { makeMachine } from "../../support/machines.ts";
import { GIB, MIB, makeResident, makeSubject } from "../../support/random-plans.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-planner-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SPEC = { id: "m", layers: 4, layerBytes: 100 * MIB, kvBytesPerToken: 2048 };

const rates = [{ type: "q4_K", bytesPerSecond: 1e11, flopsPerSecond: 1e12 }];
const RATES: MachineRates = {
  devices: [
    { name: "CPU", kind: "cpu", totalBytes: 64 * GIB, rates },
    { name: "CUDA0", kind: "gpu", totalBytes: 8 * GIB, rates },
  ],
  diskBytesPerSecond: null,
};

interface World {
  /** What models may take; null: what is free decides. */
  memoryBytes?: number | null;
  free?: { bytes: number };
  asked?: AskedSettings;
  residents?: Resident[];
  /** What llama.cpp says beyond the formula; null: it says nothing. */
  beyondBytes?: number | null;
  /** What it ends with in place of an answer. */
  refusal?: Error;
  broken?: boolean;
  /** What requests may bring beside a load. */
  useBytes?: number;
  /** It is not converted yet. */
  outType?: string;
  embeddingBytes?: number;
  /** A plug-in for devices is loaded, and finds one with 8 GiB. */
  device?: boolean;
}

function makePlanner({
  memoryBytes = 8 * GIB,
  free = { bytes: 64 * GIB },
  asked = {},
  residents = [],
  beyondBytes = 0,
  refusal,
  broken = false,
  device = false,
  useBytes = 0,
  outType,
  embeddingBytes,
}: World = {}) {
  const spec = { ...SPEC, ...(embeddingBytes === undefined ? {} : { embeddingBytes }) };
  const subject = { ...makeSubject(spec), useBytes: () => useBytes };
  const seen = {
    measured: [] as PlanSettings[],
    warnings: [] as string[],
    deviations: new Map<string, Deviation>(),
    moves: false,
    broken,
    looks: 0,
    described: 0,
  };
  const memory = () => ({ ...makeMachine().memory, totalBytes: 64 * GIB, availableBytes: free.bytes });
  const effects: PlannerEffects = {
    async snapshot() {
      seen.looks++;
      return makeMachine({ memory: memory() });
    },
    rates: async () => (device ? RATES : null),
    recallRates: () => null,
    usesDevices: device,
    residents: () => residents,
    isMoving: () => seen.moves,
    async describe(model): Promise<PlannedModel> {
      seen.described++;
      if (seen.broken) throw new AppError({ code: "format_unsupported", message: "its header does not tell" });
      if (typeof model === "string" && model !== "m")
        throw new AppError({ code: "model_not_found", message: "no such" });
      if (outType !== undefined) return { subject, asked, stamp: null, outType };
      return { subject, asked, stamp: "stamp" };
    },
    describeHeaders: async ({ id }) => ({ subject: { ...subject, id }, asked, stamp: null, outType: "q8_0" }),
    listModels: () => ["m", "gone"],
    async measure(_model, settings): Promise<MemoryNeed | null> {
      seen.measured.push(settings);
      if (refusal !== undefined) throw refusal;
      if (beyondBytes === null) throw new Error("the child died");
      const { host, devices } = subject.needOf(settings);
      return { host: { ...host, computeBytes: host.computeBytes + beyondBytes }, devices };
    },
    deviations: { entries: () => seen.deviations, set: (key, deviation) => seen.deviations.set(key, deviation) },
    warn: (message) => seen.warnings.push(message),
  };
  const policy = { ...DEFAULT_BUDGET_POLICY, memoryBudgetBytes: memoryBytes };
  return { planner: new Planner(effects, policy, new FakeClock()), seen };
}

const entry = makeEntry("m");
const ask = (planner: Planner, asked: AskedSettings = {}) => planner.plan({ model: "m", asked, goal: "balanced" });
const total = ({ plan }: Awaited<ReturnType<typeof ask>>) => (plan.verdict === "fits" ? plan.placed.totalBytes : null);

describe("headers alone", () => {
  test("are planned by the formula, for the type that the weights would get, and llama.cpp is not asked", async () => {
    const { planner, seen } = makePlanner({ residents: [makeResident("other", 7.9 * GIB)] });
    const model = { id: "hub", facts: { kind: "none", reason: "for this test" } } as const;
    expect(await planner.planHeaders(model, { alone: true })).toMatchObject({
      model: "hub",
      source: "estimated",
      outType: "q8_0",
      plan: { verdict: "fits" },
      learned: null,
    });
    expect((await planner.planHeaders(model)).plan).toMatchObject({ verdict: "fits-if" });
    expect(seen.measured).toEqual([]);
  });
});

describe("llama.cpp's account", () => {
  test("confirms a plan, and its figures are told", async () => {
    const { planner, seen } = makePlanner({ beyondBytes: 5 * MIB });
    const report = await ask(planner);
    expect(report).toMatchObject({ source: "measured", plan: { verdict: "fits" } });
    expect(seen.measured).toHaveLength(1);
    const estimated = await ask(makePlanner({ beyondBytes: null }).planner);
    expect(total(report)).toBe((total(estimated) ?? 0) + 5 * MIB);
  });

  test("that is over the budget leads to a smaller plan, which is within it", async () => {
    const roomy = total(await ask(makePlanner().planner)) ?? 0;
    const { planner, seen } = makePlanner({ memoryBytes: roomy, beyondBytes: 40 * MIB });
    const report = await ask(planner);
    expect(report.plan).toMatchObject({
      verdict: "fits",
      placed: { lowered: expect.arrayContaining([expect.objectContaining({ setting: "microBatchSize" })]) },
    });
    expect(total(report)).toBeLessThanOrEqual(roomy);
    expect(report.source).toBe("measured");
    expect(seen.measured.length).toBeGreaterThan(1);
  });

  test("that never fits ends in a refusal", async () => {
    const { planner } = makePlanner({ memoryBytes: 2 * GIB, beyondBytes: 3 * GIB });
    expect((await ask(planner)).plan.verdict).toBe("refused");
  });

  test.each(["model_damaged", "format_unsupported", "not_supported"] as const)(
    "%s is the plan's answer, as it is the load's",
    async (code) => {
      const refusal = new AppError({ code, message: "a tensor is missing", hint: "Fetch it again." });
      expect(ask(makePlanner({ refusal }).planner)).rejects.toBe(refusal);
    },
  );

  test.each(["out_of_memory", "overloaded", "internal"] as const)("%s is no word about the file", async (code) => {
    const { planner } = makePlanner({ refusal: new AppError({ code, message: "64 measurements wait already" }) });
    expect(await ask(planner)).toMatchObject({ source: "estimated", unmeasured: "64 measurements wait already" });
  });

  test("that can't be had leaves the estimate, with a warning, and the plan tells why", async () => {
    const { planner, seen } = makePlanner({ beyondBytes: null });
    expect(await ask(planner)).toMatchObject({
      source: "estimated",
      unmeasured: "the child died",
      plan: { verdict: "fits" },
    });
    expect(await ask(makePlanner().planner)).toMatchObject({ source: "measured", unmeasured: null });
    expect(seen.warnings).toEqual(["m could not be measured: the child died"]);
  });
});

describe("what is asked for", () => {
  test("here wins over what flags and the model's file say; both are kept", async () => {
    const { planner } = makePlanner({ asked: { contextLength: 1024, parallel: 3 } });
    expect((await ask(planner, { contextLength: 2048 })).asked).toEqual({ contextLength: 2048, parallel: 3 });
  });

  test("experts in main memory are no matter of a model that has none", async () => {
    const { planner } = makePlanner({ asked: { hostExpertLayers: 10 } });
    expect(await ask(planner)).toMatchObject({ asked: { hostExpertLayers: 0 }, plan: { verdict: "fits" } });
  });

  test("all layers on devices is no wish where there are none; a number of them is", async () => {
    const { planner } = makePlanner({ asked: { gpuLayers: -1 } });
    expect((await ask(planner)).plan.verdict).toBe("fits");
    // As many as there are, or more, are all of them.
    expect((await ask(planner, { gpuLayers: 99 })).plan.verdict).toBe("fits");
    expect((await ask(planner, { gpuLayers: 3 })).plan).toMatchObject({
      verdict: "fits-if",
      reason: "3 layers are asked to be on a device, and there is none that computes",
    });
  });
});

describe("beside others", () => {
  test("a model is not in its own way, others are", async () => {
    const residents = [makeResident("m", 7 * GIB), makeResident("other", 1 * GIB)];
    const report = await ask(makePlanner({ residents }).planner);
    expect(report.residents.map(({ id }) => id)).toEqual(["other"]);
    expect(report.plan.verdict).toBe("fits");
  });

  test("a model that can't be described is left out of recommendations", async () => {
    const { planner, seen } = makePlanner();
    expect((await planner.recommend()).models.map(({ id }) => id)).toEqual(["m"]);
    expect(seen.warnings).toEqual(["gone can't be recommended: no such"]);
  });
});

describe("loads", () => {
  const settings = { contextLength: 0, parallel: 0, threads: 0, gpuLayers: -1 } as EngineSettings;

  test("with memory enough nothing is changed, and llama.cpp is not asked", async () => {
    const { planner, seen } = makePlanner();
    const load = await planner.planLoad(entry);
    expect(load?.apply(settings)).toEqual(settings);
    expect(seen).toMatchObject({ measured: [], warnings: [] });
  });

  test("where it is a near thing llama.cpp is asked, what is lowered is applied, and told", async () => {
    const { planner, seen } = makePlanner({ memoryBytes: 600 * MIB, residents: [] });
    const load = await planner.planLoad(entry);
    expect(seen.measured).toHaveLength(1);
    expect(load?.apply(settings)).toEqual({ ...settings, parallel: 8, contextLength: 8192, microBatchSize: 64 });
    expect(seen.warnings).toEqual([
      expect.stringContaining(
        "m fits into its memory with less than usual: contextLength 16384 → 8192, parallel 64 → 8",
      ),
    ]);
  });

  test("where there may be devices it waits to know them, also for the first load", async () => {
    const load = await makePlanner({ device: true, asked: { gpuLayers: 3 } }).planner.planLoad(entry);
    expect(load?.apply(settings)).toEqual({ ...settings, gpuLayers: 3, deviceShares: [1], hostExpertLayers: 0 });
    const all = await makePlanner({ device: true, asked: { gpuLayers: -1 } }).planner.planLoad(entry);
    expect(all?.apply(settings)).toMatchObject({ gpuLayers: 5, deviceShares: [1] });
  });

  test("what can't fit is refused, with what would help", async () => {
    const refused = makePlanner({ memoryBytes: 100 * MIB }).planner.planLoad(entry);
    expect(refused).rejects.toMatchObject({ code: "plan_refused", hint: expect.stringMatching(/^\d+ MB more would/) });
  });

  test("what else is loaded makes room, so it is planned as if nothing were", async () => {
    const { planner } = makePlanner({ residents: [makeResident("other", 7.8 * GIB)] });
    expect((await planner.planLoad(entry))?.apply(settings)).toEqual(settings);
    expect(planner.pools()).toMatchObject([{ budgetBytes: 8 * GIB }]);
  });

  test("is planned from one look at the machine, and from none while engines start or end", async () => {
    const { planner, seen } = makePlanner();
    await planner.planLoad(entry);
    expect([seen.looks, seen.described]).toEqual([1, 1]);
    seen.moves = true;
    await planner.planLoad(entry);
    expect([seen.looks, seen.described]).toEqual([1, 2]);
    // Who asks for a plan gets what is known now.
    await planner.optimization();
    expect(seen.looks).toBe(2);
  });

  test("while an engine starts or ends, the last budget holds", async () => {
    const free = { bytes: 64 * GIB };
    const { planner, seen } = makePlanner({ memoryBytes: null, free });
    expect(planner.pools()).toEqual([]);
    await planner.planLoad(entry);
    const before = planner.pools();
    seen.moves = true;
    free.bytes = 20 * GIB;
    await planner.planLoad(entry);
    expect(planner.pools()).toEqual(before);
    seen.moves = false;
    await planner.planLoad(entry);
    expect(planner.pools()[0]?.budgetBytes).toBeLessThan(before[0]?.budgetBytes ?? 0);
  });

  test("what the first embedding adds is not in the plan, and told of the last one", async () => {
    const { planner } = makePlanner({ embeddingBytes: 300 * MIB });
    expect(planner.embeddingOf(entry)).toBeNull();
    const load = await planner.planLoad(entry);
    expect(planner.embeddingOf(entry)?.host.kvBytes).toBe(300 * MIB);
    const without = await makePlanner().planner.planLoad(entry);
    expect(load?.poolBytes).toEqual(without?.poolBytes ?? []);
    expect(load?.placed.embedding).toEqual(planner.embeddingOf(entry));
  });

  test("what can't be planned is loaded without a plan", async () => {
    const { planner, seen } = makePlanner({ broken: true });
    expect(await planner.planLoad(entry)).toBeNull();
    expect(planner.embeddingOf(entry)).toBeNull();
    expect(seen.warnings).toEqual(["m is loaded without a plan: its header does not tell"]);
  });

  test("what llama.cpp refuses is refused before anybody makes room for it", async () => {
    const refusal = new AppError({ code: "model_damaged", message: "a tensor is missing" });
    const { planner } = makePlanner({ refusal, memoryBytes: 600 * MIB });
    expect(planner.planLoad(entry)).rejects.toBe(refusal);
  });

  test("and counts against the same budget, also as the first load; devices that are known stay known", async () => {
    const { planner } = makePlanner({ broken: true, device: true });
    await planner.planLoad(entry);
    expect(planner.pools()).toMatchObject([{ name: "main memory", budgetBytes: 8 * GIB }]);
    const { planner: planning, seen } = makePlanner({ device: true });
    await planning.planLoad(entry);
    seen.broken = true;
    expect(await planning.planLoad(entry)).toBeNull();
    expect(planning.pools()).toMatchObject([{ name: "main memory" }, { name: "CUDA0" }]);
  });

  test("what a load took beyond its plan is counted in the next one", async () => {
    const { planner, seen } = makePlanner();
    const before = total(await ask(planner)) ?? 0;
    const load = await planner.planLoad(entry);
    if (load === null) throw new Error("not planned");
    const { host, devices } = load.placed.need;
    const deviation = load.note({ host: { ...host, overheadBytes: host.overheadBytes + 30 * MIB }, devices });
    expect((deviation?.measuredBytes ?? 0) - (deviation?.plannedBytes ?? 0)).toBe(30 * MIB);
    expect(planner.learnedOf("m")).toMatchObject({ loads: 1, excessBytes: 30 * MIB });
    expect(planner.learnedOf("another")).toBeNull();
    expect(planner.byPool(load.placed.need)).toEqual([...load.poolBytes]);
    expect(seen.deviations.size).toBe(1);
    const report = await planner.plan({ model: "m", asked: {}, goal: "balanced", quick: true });
    expect(report.learned).toMatchObject({ loads: 1, excessBytes: 30 * MIB });
    expect(total(report)).toBe(before + 30 * MIB);
  });

  test("what requests may bring later is no part of a load, and hides nothing that a load took", async () => {
    const { planner } = makePlanner({ useBytes: 50 * MIB });
    const load = await planner.planLoad(entry);
    const { host, devices } = load?.placed.need ?? { host: noParts(), devices: [] };
    load?.note({ host: { ...host, overheadBytes: host.overheadBytes - 20 * MIB }, devices });
    expect(planner.learnedOf("m")).toMatchObject({ excessBytes: 30 * MIB });
  });

  test("weights that are not converted yet are planned by the formula; what they take teaches nothing", async () => {
    const { planner, seen } = makePlanner({ outType: "q8_0", memoryBytes: 600 * MIB });
    const load = await planner.planLoad(entry);
    expect(load?.placed.lowered).not.toEqual([]);
    expect(load?.note({ host: noParts(), devices: [] })).toBeNull();
    expect(seen.measured).toEqual([]);
    expect([...seen.deviations]).toEqual([]);
    const refused = makePlanner({ outType: "q8_0", memoryBytes: 100 * MIB }).planner.planLoad(entry);
    expect(refused).rejects.toMatchObject({ code: "plan_refused" });
  });

  test("and in all that follow, for as long as loads take that much", async () => {
    const { planner } = makePlanner();
    const before = total(await ask(planner)) ?? 0;
    for (let loads = 1; loads <= 3; loads++) {
      const load = await planner.planLoad(entry);
      if (load === null) throw new Error("not planned");
      const { host, devices } = load.placed.need;
      const missing = loads === 1 ? 30 * MIB : 0;
      load.note({ host: { ...host, overheadBytes: host.overheadBytes + missing }, devices });
      const report = await planner.plan({ model: "m", asked: {}, goal: "balanced", quick: true });
      expect([report.learned?.loads, total(report)]).toEqual([loads, before + 30 * MIB]);
    }
  });
});

describe("the file of deviations", () => {
  const deviation = (atMs: number): Deviation => ({ plannedBytes: 1, measuredBytes: 2, loads: 1, atMs });

  test("outlives the server, bounded, the oldest going first", () => {
    const path = join(folder, "state", "planned.json");
    const file = new DeviationFile(path, silentLogger);
    for (let at = 0; at < 510; at++) file.set(`k${at}`, deviation(at));
    const again = new DeviationFile(path, silentLogger).entries();
    expect(again.size).toBe(500);
    expect([again.has("k9"), again.has("k10"), again.get("k509")]).toEqual([false, true, deviation(509)]);
  });

  test.each(["", "{}", '[["k", {"plannedBytes": "x"}]]', "[1, 2"])("what is no such file holds nothing: %j", (text) => {
    const path = join(folder, "odd.json");
    writeFileSync(path, text);
    expect(new DeviationFile(path, silentLogger).entries().size).toBe(0);
  });

  test("one that can't be written is a warning", () => {
    const path = join(folder, "odd.json", "below", "planned.json");
    const warnings: string[] = [];
    const log = { ...silentLogger, warn: (message: string) => warnings.push(message) };
    new DeviationFile(path, log).set("k", deviation(1));
    expect(warnings).toEqual(["what models take can't be kept for the next start"]);
    expect(readFileSync(join(folder, "odd.json"), "utf8")).toBe("[1, 2");
  });
});
