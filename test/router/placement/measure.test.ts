// What models take is asked once for a file and the settings that matter, and a failure is nobody's answer for long.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../../src/lib/log.ts";
import type { MeasuredNeed } from "../../../src/protocol/memory-need.ts";
import type { EngineSettings } from "../../../src/protocol/messages.ts";
import type { JobResult } from "../../../src/router/children/jobs.ts";
import {
  applyLoadSettings,
  type FileStamp,
  measureEffects,
  measureKey,
  NeedMeasurer,
} from "../../../src/router/placement/measure.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { describeEngine, LOAD } from "../../support/memory-settings.ts";

const SETTINGS = describeEngine("/m/a.gguf", "/n/libggml-cpu-x64.so");
const STAMP: FileStamp = { path: "/m/a.gguf", sizeBytes: 10, modifiedMs: 1 };

const needOf = (kvBytes: number): MeasuredNeed => {
  const host = { weightsBytes: 0, mappedBytes: 0, kvBytes, computeBytes: 0, overheadBytes: 0 };
  return { need: { host, devices: [] }, repackedBytes: 0, embedding: null };
};

function makeMeasurer(answers: JobResult[] = [], recalled: [string, MeasuredNeed][] = []) {
  const asked: EngineSettings[] = [];
  const kept: string[][] = [];
  const stamps = new Map<string, FileStamp>();
  const measurer = new NeedMeasurer({
    ask: async (settings) => {
      asked.push(settings);
      return answers.shift() ?? { kind: "answer", answer: { job: "measure", measured: needOf(asked.length) } };
    },
    stamp: (path) => stamps.get(path) ?? { ...STAMP, path },
    recall: () => recalled,
    remember: (all) => kept.push(all.map(([key]) => key)),
    hostKey: "h",
  });
  return { measurer, asked, kept, stamps };
}

describe("the key", () => {
  const keyOf = (changes: Partial<EngineSettings>, stamp: Partial<FileStamp> = {}, host = "h") =>
    measureKey({ ...SETTINGS, ...changes }, [{ ...STAMP, ...stamp }], host);
  const base = keyOf({});

  test("differs by all that changes what a load takes", () => {
    const others = [
      keyOf({ contextLength: 1 }),
      keyOf({ parallel: 9 }),
      keyOf({ retainedMax: 9 }),
      keyOf({ batchSize: 9 }),
      keyOf({ microBatchSize: 9 }),
      keyOf({ threads: 9 }),
      keyOf({ gpuLayers: 9 }),
      keyOf({ deviceShares: [1] }),
      keyOf({ hostExpertLayers: 9 }),
      keyOf({ kvType: "q8_0" }),
      keyOf({ pooling: "rank" }),
      keyOf({ plugins: ["/n/other.so"] }),
      keyOf({ draft: { modelPath: "/m/d.gguf", tokensMax: 4 } }),
      keyOf({ head: { tokensMax: 4, required: false } }),
      keyOf({}, { sizeBytes: 11 }),
      keyOf({}, { modifiedMs: 2 }),
      keyOf({}, { path: "/m/b.gguf" }),
      keyOf({}, {}, "other"),
    ];
    expect(new Set([base, ...others]).size).toBe(others.length + 1);
  });

  test("is the same where a default is said, or what is said takes no memory", () => {
    expect(keyOf({ kvType: "f16", deviceShares: [], hostExpertLayers: 0 })).toBe(base);
    expect(keyOf({ itlMsMax: 5, speculates: true, shiftsContext: true })).toBe(base);
  });
});

test("what a plan chose takes the place of the settings", () => {
  const chosen = { ...LOAD, contextLength: 777, deviceShares: [1], gpuLayers: 3 };
  expect(applyLoadSettings(SETTINGS, chosen)).toEqual({ ...SETTINGS, ...chosen });
});

describe("an answer", () => {
  test("is kept, and asked for once at a time", async () => {
    const { measurer, asked, kept } = makeMeasurer();
    const both = await Promise.all([measurer.measure(SETTINGS), measurer.measure(SETTINGS)]);
    expect(both).toEqual([needOf(1), needOf(1)]);
    expect(await measurer.measure(SETTINGS)).toEqual(needOf(1));
    expect([asked.length, kept.length]).toEqual([1, 1]);
  });

  test("of an earlier run is taken, unless the file has changed since", async () => {
    const key = measureKey(SETTINGS, [STAMP], "h");
    const { measurer, asked, stamps } = makeMeasurer([], [[key, needOf(42)]]);
    expect(await measurer.measure(SETTINGS)).toEqual(needOf(42));
    stamps.set(STAMP.path, { ...STAMP, modifiedMs: 99 });
    expect(await measurer.measure(SETTINGS)).toEqual(needOf(1));
    expect(asked.length).toBe(1);
  });

  test("the longest unused is forgotten where there are too many", async () => {
    const known = Array.from({ length: 512 }, (_, index): [string, MeasuredNeed] => [`k${index}`, needOf(index)]);
    const { measurer, kept } = makeMeasurer([], known);
    await measurer.measure(SETTINGS);
    expect(kept[0]).toHaveLength(512);
    expect(kept[0]).not.toContain("k0");
    expect(kept[0]).toContain("k1");
  });
});

test("two children answer at a time, and the line behind them has an end", async () => {
  let running = 0;
  let most = 0;
  const go = Promise.withResolvers<void>();
  const measurer = new NeedMeasurer({
    ask: async () => {
      running += 1;
      most = Math.max(most, running);
      await go.promise;
      running -= 1;
      return { kind: "answer", answer: { job: "measure", measured: needOf(1) } };
    },
    stamp: (path) => ({ ...STAMP, path }),
    recall: () => [],
    remember: () => {},
    hostKey: "h",
  });
  const asked = Array.from({ length: 67 }, (_, contextLength) => measurer.measure({ ...SETTINGS, contextLength }));
  const settled = Promise.allSettled(asked);
  await expect(asked[66]).rejects.toMatchObject({ code: "overloaded" });
  go.resolve();
  expect((await settled).map(({ status }) => status)).toEqual([...Array(66).fill("fulfilled"), "rejected"]);
  expect([most, running]).toEqual([2, 0]);
  expect(await measurer.measure({ ...SETTINGS, contextLength: 99 })).toEqual(needOf(1));
});

test("what the file of answers has that is none of them is left out", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mlo-measured-"));
  const good = needOf(7);
  const { host } = good.need;
  const bad = [1, null, ["a"], ["b", null], ["c", { need: 1 }], ["d", { need: { host, devices: [{}] } }]];
  const worse = [5, ["e", { need: { host: { ...host, kvBytes: -1 }, devices: [] } }]];
  writeFileSync(join(folder, "measured.json"), JSON.stringify({ answers: [...bad, ["k", good], ...worse] }));
  const library = { path: "/n/libmlo.so", buildId: "b" };
  expect(measureEffects(library, folder, silentLogger, new FakeClock()).recall()).toEqual([["k", good]]);
  rmSync(folder, { recursive: true });
});

describe("a failure", () => {
  test("is the load's own error, and is not kept", async () => {
    const error = { code: "model_damaged" as const, message: "broken" };
    const { measurer, kept } = makeMeasurer([{ kind: "failed", reason: "broken", error }]);
    await expect(measurer.measure(SETTINGS)).rejects.toMatchObject({ code: "model_damaged" });
    expect(kept).toEqual([]);
    expect(await measurer.measure(SETTINGS)).toEqual(needOf(2));
  });

  test("of a child that died says how", async () => {
    const { measurer } = makeMeasurer([{ kind: "failed", reason: "the child ended with SIGKILL" }]);
    await expect(measurer.measure(SETTINGS)).rejects.toThrow(/could not say.*SIGKILL/);
  });

  test("of a file that is gone reaches who asked", async () => {
    const measurer = new NeedMeasurer({
      ask: () => Promise.reject(new Error("never")),
      stamp: () => {
        throw new Error("ENOENT");
      },
      recall: () => [],
      remember: () => {},
      hostKey: "h",
    });
    await expect(measurer.measure(SETTINGS)).rejects.toThrow("ENOENT");
  });
});
