// The machine's speed: measured once, remembered, and not known where the child fails. The last test really measures.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/log.ts";
import type { MachineRates } from "../../../src/protocol/machine-rates.ts";
import type { JobResult } from "../../../src/router/children/jobs.ts";
import {
  type BenchEffects,
  benchEffects,
  type KnownRates,
  MachineBench,
} from "../../../src/router/placement/machine-bench.ts";
import { HAS_NATIVE, openLlama } from "../../support/llama-library.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-bench-"));
const testMain = Bun.main;
afterAll(() => {
  setMain(testMain);
  rmSync(folder, { recursive: true, force: true });
});

/** Children run `Bun.main` again, which is a test file here. */
function setMain(path: string): void {
  (Bun as { main: string }).main = path;
}

const RATES: MachineRates = {
  devices: [
    {
      name: "CPU",
      kind: "cpu",
      totalBytes: 8e9,
      rates: [{ type: "f16", bytesPerSecond: 1e10, flopsPerSecond: 1e11 }],
    },
  ],
  diskBytesPerSecond: null,
};

function makeEffects(result: JobResult, recalled: KnownRates | null = null) {
  const seen = { measured: 0, remembered: [] as KnownRates[], warnings: [] as string[] };
  const effects: BenchEffects = {
    async measure() {
      seen.measured += 1;
      return result;
    },
    recall: () => recalled,
    remember: (known) => seen.remembered.push(known),
    warn: (message) => seen.warnings.push(message),
  };
  return { effects, seen };
}

test("it is measured once, whoever asks, and remembered", async () => {
  const { effects, seen } = makeEffects({ kind: "answer", answer: { job: "bench", ...RATES } });
  const bench = new MachineBench(effects);
  expect(await Promise.all([bench.rates(), bench.rates()])).toEqual([RATES, RATES]);
  expect(seen).toEqual({ measured: 1, remembered: [{ rates: RATES, runs: 1 }], warnings: [] });
});

const slower = (share: number): MachineRates => ({
  devices: RATES.devices.map((device) => ({
    ...device,
    rates: device.rates.map((rate) => ({ ...rate, bytesPerSecond: rate.bytesPerSecond * share })),
  })),
  diskBytesPerSecond: 1e9 * share,
});

test("of three measurements the best is kept: a busy machine only makes them slower", async () => {
  const answer = { kind: "answer", answer: { job: "bench", ...slower(0.5) } } as const;
  const { effects, seen } = makeEffects(answer, { rates: RATES, runs: 1 });
  const rates = await new MachineBench(effects).rates();
  expect(rates).toEqual({ devices: RATES.devices, diskBytesPerSecond: 5e8 });
  expect(seen.remembered).toMatchObject([{ runs: 2 }]);
  const failing = makeEffects({ kind: "failed", reason: "no time" }, { rates: RATES, runs: 2 });
  expect(await new MachineBench(failing.effects).rates()).toEqual(RATES);
  expect(failing.seen.warnings).toEqual(["the machine's speed is not measured again: no time"]);
});

test("what is remembered of three is not measured", async () => {
  const { effects, seen } = makeEffects({ kind: "failed", reason: "never asked" }, { rates: RATES, runs: 3 });
  expect(await new MachineBench(effects).rates()).toEqual(RATES);
  expect(seen.measured).toBe(0);
});

test.each<[JobResult, string]>([
  [{ kind: "failed", reason: "the child ended with SIGILL" }, "SIGILL"],
  [{ kind: "answer", answer: { job: "quantize" } }, "another question"],
])("a child that fails leaves it unknown, with one warning: %j", async (result, reason) => {
  const { effects, seen } = makeEffects(result);
  const bench = new MachineBench(effects);
  expect([await bench.rates(), await bench.rates()]).toEqual([null, null]);
  expect(seen.warnings).toEqual([expect.stringContaining(reason)]);
  expect(seen.remembered).toEqual([]);
});

test.skipIf(!HAS_NATIVE)(
  "a child really measures the processor and the disk, and another build does not trust it",
  async () => {
    const { files, plugin } = await openLlama();
    setMain(join(import.meta.dir, "../../../src/main.ts"));
    const diskPath = join(folder, "weights.bin");
    writeFileSync(diskPath, new Uint8Array(16 * 1024 * 1024));
    const sources = { files, plugins: [plugin], cacheFolder: folder, log: silentLogger, clock: systemClock };
    const effects = benchEffects({ ...sources, diskPath: () => diskPath });
    expect(effects.recall()).toBeNull();
    const rates = await new MachineBench(effects).rates();
    const [cpu] = rates?.devices ?? [];
    expect(cpu).toMatchObject({ kind: "cpu", totalBytes: expect.any(Number) });
    expect(cpu?.rates.map(({ type }) => type)).toEqual(["f16", "q8_0", "q4_K"]);
    for (const { bytesPerSecond, flopsPerSecond } of cpu?.rates ?? []) {
      // A toaster and a supercomputer lie within.
      expect(bytesPerSecond).toBeWithin(1e7, 1e13);
      expect(flopsPerSecond).toBeWithin(1e8, 1e15);
    }
    expect<unknown>(effects.recall()).toEqual({ rates, runs: 1 });
    const other = { ...files, key: `${files.key} of another build` };
    expect(benchEffects({ ...sources, files: other, diskPath: () => null }).recall()).toBeNull();
    writeFileSync(join(folder, "bench.json"), readFileSync(join(folder, "bench.json"), "utf8").slice(0, 20));
    expect(effects.recall()).toBeNull();
  },
);
