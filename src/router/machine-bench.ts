// How fast this machine computes and reads, measured once in a child and remembered per host and build: what predictions go
// by. One that can't be measured has null, and no plan waits for it twice.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join } from "node:path";
import { readCpuIdentity } from "../hardware/cpu.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { MachineRates } from "../protocol/machine-rates.ts";
import { type JobResult, runJob } from "./jobs.ts";
import type { NativeFiles } from "./native-files.ts";

/** It takes two seconds where nobody else computes; a machine that is that busy tells nothing worth knowing. */
const BENCH_MS_MAX = 20_000;
const FILE = "bench.json";

export interface BenchEffects {
  measure(): Promise<JobResult>;
  recall(): MachineRates | null;
  remember(rates: MachineRates): void;
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
    if (known !== null) return known;
    const result = await this.#effects.measure();
    if (result.kind === "failed" || result.answer.job !== "bench") {
      const reason = result.kind === "failed" ? result.reason : "the child answered another question";
      this.#effects.warn(`the machine's speed is not known: ${reason}`);
      return null;
    }
    const { job: _job, ...rates } = result.answer;
    this.#effects.remember(rates);
    return rates;
  }
}

/** What was measured last, whichever build measured it: for who would not wait for a measurement. */
export function recallRates(cacheFolder: string): MachineRates | null {
  return readStored(cacheFolder)?.rates ?? null;
}

function readStored(cacheFolder: string): { key: string; rates: MachineRates } | null {
  try {
    return JSON.parse(readFileSync(join(cacheFolder, FILE), "utf8")) as { key: string; rates: MachineRates };
  } catch (_absent) {
    // No file, or one that is no longer readable: it is measured again.
    return null;
  }
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
      return stored?.key === key ? stored.rates : null;
    },
    remember(rates) {
      try {
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(`${path}.part`, JSON.stringify({ key, rates }));
        renameSync(`${path}.part`, path);
      } catch (thrown) {
        log.warn("the machine's speed can't be kept; it is measured again", { error: String(thrown) });
      }
    },
    warn: (message) => log.warn(message),
  };
}
