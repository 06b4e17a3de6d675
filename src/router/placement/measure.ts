// Asks llama.cpp what a load would take: in a child, once for a model's files and the settings that matter, and remembers
// the answers on disk. Decides nothing.

import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { isRecord } from "../../lib/is-record.ts";
import type { Logger } from "../../lib/log.ts";
import { AppError } from "../../protocol/errors.ts";
import type { LoadSettings, MeasuredNeed, MemoryParts } from "../../protocol/memory-need.ts";
import type { EngineSettings } from "../../protocol/messages.ts";
import { type JobResult, runJob } from "../children/jobs.ts";

/** An answer is about 500 bytes; a search over settings of many models stays under this. */
const ANSWERS_MAX = 512;
/** A child takes tens of MB and a core while it answers. */
const CHILDREN_MAX = 2;
/** That many answers take a few seconds; whoever comes then is better served by the formula at once. */
const WAITING_MAX = 64;

export interface FileStamp {
  path: string;
  sizeBytes: number;
  modifiedMs: number;
}

/** What the measurer needs from outside; tests give their own. */
export interface MeasureEffects {
  ask(settings: EngineSettings): Promise<JobResult>;
  /** Throws where the file can't be looked at. */
  stamp(path: string): FileStamp;
  /** The answers of earlier runs, the oldest first. */
  recall(): [key: string, measured: MeasuredNeed][];
  remember(answers: readonly (readonly [key: string, measured: MeasuredNeed])[]): void;
  /** All else that shapes an answer: the build of the libraries, this host's processors. */
  hostKey: string;
}

export class NeedMeasurer {
  readonly #effects: MeasureEffects;
  /** In the order of their last use. */
  readonly #answers: Map<string, MeasuredNeed>;
  readonly #running = new Map<string, Promise<MeasuredNeed>>();
  #children = 0;
  readonly #line: (() => void)[] = [];

  constructor(effects: MeasureEffects) {
    this.#effects = effects;
    this.#answers = new Map(effects.recall());
  }

  /** Throws AppError, as a load of these settings would. Nothing that failed is remembered. */
  async measure(settings: EngineSettings): Promise<MeasuredNeed> {
    const key = measureKey(settings, listFiles(settings).map(this.#effects.stamp), this.#effects.hostKey);
    const known = this.#answers.get(key);
    if (known !== undefined) {
      this.#answers.delete(key);
      this.#answers.set(key, known);
      return known;
    }
    const running = this.#running.get(key) ?? this.#ask(key, settings);
    this.#running.set(key, running);
    try {
      return await running;
    } finally {
      this.#running.delete(key);
    }
  }

  async #ask(key: string, settings: EngineSettings): Promise<MeasuredNeed> {
    const result = await this.#inTurn(() => this.#effects.ask(settings));
    if (result.kind === "failed") throw explain(result);
    if (result.answer.job !== "measure") throw new Error(`a ${result.answer.job} job answered`);
    this.#answers.set(key, result.answer.measured);
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= ANSWERS_MAX) break;
      this.#answers.delete(oldest);
    }
    this.#effects.remember([...this.#answers]);
    return result.answer.measured;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#children < CHILDREN_MAX) this.#children += 1;
    else {
      if (this.#line.length >= WAITING_MAX) {
        throw new AppError({ code: "overloaded", message: `${WAITING_MAX} measurements wait already` });
      }
      const turn = Promise.withResolvers<void>();
      this.#line.push(turn.resolve);
      await turn.promise;
    }
    try {
      return await work();
    } finally {
      // The turn passes on; nobody else can come between.
      const next = this.#line.shift();
      if (next === undefined) this.#children -= 1;
      else next();
    }
  }
}

/** The settings with what a plan chose in the place of theirs. */
export function applyLoadSettings(settings: EngineSettings, load: LoadSettings): EngineSettings {
  return { ...settings, ...load };
}

/** Equal for two loads that take the same memory. */
export function measureKey(settings: EngineSettings, files: readonly FileStamp[], hostKey: string): string {
  const { contextLength, parallel, retainedMax, batchSize, microBatchSize, threads, gpuLayers, ...rest } = settings;
  const { kvType = "f16", deviceShares = [], hostExpertLayers = 0, pooling = null, plugins, draft, head = null } = rest;
  const parts = [
    hostKey,
    files.map(({ path, sizeBytes, modifiedMs }) => [path, sizeBytes, modifiedMs]),
    plugins,
    [contextLength, parallel, retainedMax, batchSize, microBatchSize, threads],
    [gpuLayers, deviceShares, hostExpertLayers, kvType, pooling],
    [draft !== null, head !== null],
  ];
  return new Bun.CryptoHasher("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);
}

function listFiles({ modelPath, draft, adapters }: EngineSettings): string[] {
  return [modelPath, ...(draft === null ? [] : [draft.modelPath]), ...adapters];
}

function explain({ reason, error }: Extract<JobResult, { kind: "failed" }>): AppError {
  if (error !== undefined) return new AppError(error);
  return new AppError({ code: "internal", message: `llama.cpp could not say what the model takes: ${reason}` });
}

/** Children of this host; the answers are in a file of the cache folder. `buildId`: of the native libraries. */
export function measureEffects(
  library: { path: string; buildId: string },
  cacheFolder: string,
  log: Logger,
  clock: Clock,
): MeasureEffects {
  const path = join(cacheFolder, "measured.json");
  return {
    ask: (settings) => runJob(library.path, { job: "measure", settings }, log, clock),
    stamp: (file) => {
      const { size, mtimeMs } = statSync(file);
      return { path: file, sizeBytes: size, modifiedMs: mtimeMs };
    },
    recall: () => recall(path),
    remember: (answers) => remember(path, answers, log),
    hostKey: `${library.buildId} ${availableParallelism()}`,
  };
}

function recall(path: string): [string, MeasuredNeed][] {
  try {
    const stored: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (!isRecord(stored) || !Array.isArray(stored.answers)) return [];
    return stored.answers.filter(isAnswer).slice(-ANSWERS_MAX);
  } catch {
    // No file, or one that is no longer readable: it is asked again.
    return [];
  }
}

/** The file is of this program, but not always of this version. */
function isAnswer(entry: unknown): entry is [string, MeasuredNeed] {
  if (!Array.isArray(entry) || typeof entry[0] !== "string" || !isRecord(entry[1])) return false;
  const { need } = entry[1];
  if (!isRecord(need) || !Array.isArray(need.devices)) return false;
  return [need.host, ...need.devices].every((parts) => PARTS.every((name) => isRecord(parts) && isBytes(parts[name])));
}

const PARTS: readonly (keyof MemoryParts)[] = [
  "weightsBytes",
  "mappedBytes",
  "kvBytes",
  "computeBytes",
  "overheadBytes",
];

function isBytes(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

function remember(path: string, answers: readonly (readonly [string, MeasuredNeed])[], log: Logger): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.part`, JSON.stringify({ answers }));
    renameSync(`${path}.part`, path);
  } catch (thrown) {
    log.warn("what models take can't be kept; it is measured again after a restart", { error: String(thrown) });
  }
}
