// How fast this machine computes and reads, measured once in a child and remembered per host and build: what predictions go
// by. One that can't be measured has null, and no plan waits for it twice.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join } from "node:path";
import { readCpuIdentity } from "../../hardware/cpu.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { MachineRates } from "../../protocol/machine-rates.ts";
import type { NativeFiles } from "../backends/native-files.ts";
import { type JobResult, runJob } from "../children/jobs.ts";

/** It takes two seconds where nobody else computes; a machine that is that busy tells nothing worth knowing. */
const BENCH_MS_MAX = 20_000;
const FILE = "bench.json";

/** Whoever else computes only makes a measurement slower, so of some of them the best is kept. */
const RUNS_MAX = 3;

export interface KnownRates {
  rates: MachineRates;
  /** Processes that measured it. */
  runs: number;
}

export interface BenchEffects {
  measure(): Promise<JobResult>;
  recall(): KnownRates | null;
  remember(known: KnownRates): void;
  warn(message: string): void;
}

export class MachineBench {
  readonly #effects: BenchEffects;
  #rates: Promise<MachineRates | null> | null = null;

  constructor(effects: BenchEffects) {
    this.#effects = effects;
  }

  /** Null: it could not be measured. The first one to ask starts it, the others wait for the same. */
  rates(): Promise<MachineRates | null> {
    this.#rates ??= this.#find();
    return this.#rates;
  }

  async #find(): Promise<MachineRates | null> {
    const known = this.#effects.recall();
    if (known !== null && known.runs >= RUNS_MAX) return known.rates;
    const result = await this.#effects.measure();
    if (result.kind === "failed" || result.answer.job !== "bench") {
      const reason = result.kind === "failed" ? result.reason : "the child answered another question";
      this.#effects.warn(`the machine's speed is not ${known === null ? "known" : "measured again"}: ${reason}`);
      return known?.rates ?? null;
    }
    const { job: _job, ...measured } = result.answer;
    const rates = known === null ? measured : keepBest(measured, known.rates);
    this.#effects.remember({ rates, runs: (known?.runs ?? 0) + 1 });
    return rates;
  }
}

/** What was measured last, whichever build measured it: for who would not wait for a measurement. */
export function recallRates(cacheFolder: string): MachineRates | null {
  return readStored(cacheFolder)?.rates ?? null;
}

function readStored(cacheFolder: string): (KnownRates & { key: string }) | null {
  try {
    return JSON.parse(readFileSync(join(cacheFolder, FILE), "utf8")) as KnownRates & { key: string };
  } catch (_absent) {
    // No file, or one that is no longer readable: it is measured again.
    return null;
  }
}

function keepBest(measured: MachineRates, known: MachineRates): MachineRates {
  const disks = [measured.diskBytesPerSecond, known.diskBytesPerSecond].filter((rate) => rate !== null);
  return {
    devices: measured.devices.map((device) => {
      const before = known.devices.find(({ name }) => name === device.name)?.rates ?? [];
      const rates = device.rates.map(({ type, bytesPerSecond, flopsPerSecond }) => {
        const earlier = before.find((rate) => rate.type === type);
        return {
          type,
          bytesPerSecond: Math.max(bytesPerSecond, earlier?.bytesPerSecond ?? 0),
          flopsPerSecond: Math.max(flopsPerSecond, earlier?.flopsPerSecond ?? 0),
        };
      });
      return { ...device, rates };
    }),
    diskBytesPerSecond: disks.length === 0 ? null : Math.max(...disks),
  };
}

export interface BenchSources {
  files: NativeFiles;
  /** Absolute paths, in load order. */
  plugins: readonly string[];
  cacheFolder: string;
  /** A large file on the disk where models lie; null: none is known. */
  diskPath: () => string | null;
  log: Logger;
  clock: Clock;
}

/** The real effects: a child, and a small file in the cache folder. */
export function benchEffects({ files, plugins, cacheFolder, diskPath, log, clock }: BenchSources): BenchEffects {
  const path = join(cacheFolder, FILE);
  const threads = availableParallelism();
  const key = [files.key, ...plugins.map((file) => basename(file)), readCpuIdentity(), threads].join(" ");
  return {
    measure: () =>
      runJob(files.library, { job: "bench", plugins: [...plugins], threads, diskPath: diskPath() }, log, clock, {
        timeoutMs: BENCH_MS_MAX,
      }),
    recall() {
      const stored = readStored(cacheFolder);
      return stored?.key === key ? { rates: stored.rates, runs: stored.runs } : null;
    },
    remember(known) {
      try {
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(`${path}.part`, JSON.stringify({ key, ...known }));
        renameSync(`${path}.part`, path);
      } catch (thrown) {
        log.warn("the machine's speed can't be kept; it is measured again", { error: String(thrown) });
      }
    },
    warn: (message) => log.warn(message),
  };
}
