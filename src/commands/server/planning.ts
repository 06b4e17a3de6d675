// Puts the planner together: the machine as it is, its measured speed, models from the registry, and llama.cpp's own account.
// `serve`, `plan` and `recommend` all plan from here.

import { statSync } from "node:fs";
import { basename, join } from "node:path";
import { systemClock } from "../../lib/clock.ts";
import { assertServable, type ModelEntry } from "../../models/entry.ts";
import { inspectPath } from "../../models/inspect.ts";
import { readHeaderFacts } from "../../models/memory/header-facts.ts";
import type { ModelShape } from "../../models/memory/model-shape.ts";
import { describeRepacking } from "../../models/memory/repacking.ts";
import { readShapeOfFiles } from "../../models/memory/shape-of-files.ts";
import type { ModelRegistry } from "../../models/registry.ts";
import { AppError } from "../../protocol/errors.ts";
import { quantizationOf } from "../../protocol/hub-name.ts";
import type { MachineSource } from "../../protocol/machine.ts";
import type { EngineSettings } from "../../protocol/messages.ts";
import type { ModelCard } from "../../router/inference.ts";
import { describeBudget } from "../../router/placement/budget.ts";
import { fileLimitBytes } from "../../router/placement/file-fit.ts";
import { benchEffects, MachineBench, recallRates } from "../../router/placement/machine-bench.ts";
import { applyLoadSettings, measureEffects, NeedMeasurer } from "../../router/placement/measure.ts";
import type { PlanSettings, PlanSubject, Resident } from "../../router/placement/plan.ts";
import { Planner } from "../../router/placement/planner.ts";
import type { HeaderModel, ModelReference, PlannedModel, PlannerEffects } from "../../router/placement/planning.ts";
import { countUseBytes, describeSubject } from "../../router/placement/subject.ts";
import { DeviationFile } from "../../state/deviation-file.ts";
import { describeAsked } from "./asked-settings.ts";
import { describeStart, type EngineSources } from "./engine-settings.ts";
import { describeHeaderModel, unplannable } from "./header-subject.ts";
import { describePolicy, readConvertType } from "./serve-settings.ts";
import type { StartOptions } from "./server.ts";

/** An older reading may be of before a load, and the models that are counted as loaded of after it. */
const SNAPSHOT_MS_MAX = 0;
/** Shapes of large models have some hundred kB each. */
const SHAPES_MAX = 64;

export interface PlanningSources {
  start: Pick<StartOptions, "config" | "folders" | "log" | "said">;
  engines: EngineSources;
  registry: ModelRegistry;
  machine: MachineSource;
  residents: () => readonly Resident[];
  isMoving: () => boolean;
  /** With what its load was asked for; absent: there are no loads. */
  asAsked?: (entry: ModelEntry) => ModelEntry;
}

export function openPlanner(sources: PlanningSources): Planner {
  const { start, engines, registry, machine, residents, isMoving } = sources;
  const { config, folders, log } = start;
  const { files, plugins } = engines;
  const bench = new MachineBench(
    benchEffects({
      files,
      plugins,
      cacheFolder: folders.cache,
      diskPath: () => largestFile(registry),
      log,
      clock: systemClock,
    }),
  );
  const library = { path: files.library, buildId: files.buildId };
  const measurer = new NeedMeasurer(measureEffects(library, folders.cache, log, systemClock));
  const models = new Models(sources);
  const policy = describePolicy(config);
  // It stays what it is: no load waits for another look at it.
  const readProcessor = async () => (machine.latest() ?? (await machine.read(SNAPSHOT_MS_MAX))).cpu;
  const effects: PlannerEffects = {
    snapshot: () => machine.read(SNAPSHOT_MS_MAX),
    rates: () => bench.rates(),
    recallRates: () => recallRates(folders.cache),
    usesDevices: plugins.some((path) => !basename(path).includes("-cpu")),
    residents,
    isMoving,
    async describe(model) {
      const entry = models.find(model);
      if (entry.conversion?.file !== null) return models.describe(entry, (await readProcessor()).simd);
      const snapshot = await machine.read(SNAPSHOT_MS_MAX);
      const { machine: pools } = describeBudget(snapshot, policy, residents(), recallRates(folders.cache));
      return models.describeWeights(entry, snapshot.cpu.simd, fileLimitBytes(pools));
    },
    describeHeaders: async (model, largestBytes) =>
      models.describeHeaders(model, (await readProcessor()).simd, largestBytes),
    listModels: () =>
      registry.list().flatMap(({ id, error, conversion }) => (error === null && conversion?.file !== null ? [id] : [])),
    async measure(model, settings) {
      const entry = models.find(model);
      const { need } = await measurer.measure(models.toEngine(entry, settings));
      const useBytes = models.useBytes(entry, settings);
      return { ...need, host: { ...need.host, overheadBytes: need.host.overheadBytes + useBytes } };
    },
    deviations: new DeviationFile(join(folders.state, "planned.json"), log),
    warn: (message) => log.warn(message),
  };
  return new Planner(effects, policy, systemClock);
}

/** Models as the planner wants them; headers are read once for as long as the files stay. */
class Models {
  readonly #sources: PlanningSources;
  readonly #shapes = new Map<string, ModelShape | null>();

  constructor(sources: PlanningSources) {
    this.#sources = sources;
  }

  find(model: ModelReference): ModelEntry {
    if (typeof model === "object") return model;
    const { registry, asAsked = (entry) => entry } = this.#sources;
    return asAsked(registry.resolve(model));
  }

  describe(entry: ModelEntry, simd: readonly string[]): PlannedModel {
    const { start, registry } = this.#sources;
    const others = registry.list().filter((other) => isSameModel(entry, other));
    const described = others.flatMap((other) => this.#tryDescribe(other, simd));
    const asked = describeAsked(start.config, start.said ?? new Set(), entry.settings.engine);
    return { subject: this.#subject(entry, simd, described), asked, stamp: stampOf(filesOf(entry)) };
  }

  /** Of a folder that nothing was made of yet: what its headers tell of the file that would be. */
  describeWeights(entry: ModelEntry, simd: readonly string[], largestBytes: number | null): PlannedModel {
    assertServable(entry);
    const { start } = this.#sources;
    const facts = readHeaderFacts(inspectPath(entry.path));
    const described = this.describeHeaders({ id: entry.id, facts }, simd, largestBytes);
    return { ...described, asked: describeAsked(start.config, start.said ?? new Set(), entry.settings.engine) };
  }

  describeHeaders(model: HeaderModel, simd: readonly string[], largestBytes: number | null): PlannedModel {
    const { config, said = new Set() } = this.#sources.start;
    const wantedType = readConvertType(config);
    const asked = describeAsked(config, said, {});
    return describeHeaderModel(model, { simd, plugin: this.#plugin(), wantedType, largestBytes, asked });
  }

  #plugin(): string {
    return this.#sources.engines.plugins.map((path) => basename(path)).find((name) => name.includes("cpu")) ?? "";
  }

  /** As an engine would be started with what the plan chose. */
  toEngine(entry: ModelEntry, { checkpointBytes: _bytes, draft, ...load }: PlanSettings): EngineSettings {
    const { settings } = this.#start(entry);
    const [modelPath = entry.path] = filesOf(entry);
    const planned = applyLoadSettings({ ...settings, modelPath }, load);
    return draft ? planned : { ...planned, draft: null };
  }

  /** llama.cpp's account has none of it. */
  useBytes(entry: ModelEntry, settings: PlanSettings): number {
    const { kvStore } = this.#start(entry).settings;
    return countUseBytes(this.#shape(entry.id, filesOf(entry)), settings, kvStore !== null);
  }

  /** Another file that can't be read is no alternative, and nothing to fail for. */
  #tryDescribe(entry: ModelEntry, simd: readonly string[]): PlanSubject[] {
    try {
      return [this.#subject(entry, simd, [])];
    } catch (thrown) {
      this.#sources.start.log.debug(`${entry.id} is no alternative`, { error: String(thrown) });
      return [];
    }
  }

  #subject(entry: ModelEntry, simd: readonly string[], others: readonly PlanSubject[]): PlanSubject {
    assertServable(entry);
    const paths = filesOf(entry);
    const shape = this.shapeOf(entry);
    const { settings } = this.#start(entry);
    return describeSubject({
      id: entry.id,
      shape,
      fileBytes: paths.reduce((sum, path) => sum + statSync(path).size, 0),
      repacking: describeRepacking(simd, this.#plugin()),
      draft: settings.draft === null ? null : this.#shape(settings.draft.modelPath, [settings.draft.modelPath]),
      withHead: (settings.head ?? null) !== null,
      besideBytes: settings.adapters.reduce((sum, path) => sum + statSync(path).size, 0),
      pooling: settings.pooling,
      savesStates: settings.kvStore !== null,
      others,
    });
  }

  #start(entry: ModelEntry) {
    const { engines, registry } = this.#sources;
    return describeStart(engines, entry, registry.defaultEntry()?.id === entry.id);
  }

  shapeOf(entry: ModelEntry): ModelShape {
    return this.#shape(entry.id, filesOf(entry));
  }

  #shape(name: string, paths: readonly string[]): ModelShape {
    const key = stampOf(paths);
    const known = this.#shapes.get(key);
    const shape = known === undefined ? readShapeOfFiles(paths) : known;
    if (known === undefined) {
      if (this.#shapes.size >= SHAPES_MAX) this.#shapes.clear();
      this.#shapes.set(key, shape);
    }
    if (shape !== null) return shape;
    throw unplannable(name, "its header does not tell its layers");
  }
}

/** What is loaded: of a folder of weights what was made of it. Throws `not_supported` while nothing was. */
function filesOf({ id, files, conversion }: ModelEntry): readonly string[] {
  if (conversion === null) return files;
  if (conversion.file !== null) return [conversion.file];
  const message = `${id} is a folder of weights that are not converted yet`;
  const hint = "Convert it first, or load it once; ml-offload show tells what it will take about.";
  throw new AppError({ code: "not_supported", message, hint, param: "model" });
}

function stampOf(paths: readonly string[]): string {
  const parts = paths.map((path) => {
    const { size, mtimeMs } = statSync(path);
    return `${path}:${size}:${mtimeMs}`;
  });
  return new Bun.CryptoHasher("sha256").update(parts.join("\n")).digest("hex").slice(0, 24);
}

/** What is loaded now, by what its engine says that it takes; one that does not say is left out. */
export function listResidents(cards: readonly ModelCard[]): Resident[] {
  return cards.flatMap(({ id, state, info, pinned }) => {
    const need = info?.memoryNeed ?? null;
    if (state !== "loaded" || info === null || need === null) return [];
    return [{ id, need, pinned, busy: false, idleSeconds: 0, reloadSeconds: info.loadMs / 1000 }];
  });
}

/** The same weights in another type: as many, and a name that differs in the type alone. */
function isSameModel(entry: ModelEntry, other: ModelEntry): boolean {
  if (other.id === entry.id || other.error !== null || other.conversion?.file === null) return false;
  const isAlike = other.architecture === entry.architecture && other.parameterCount === entry.parameterCount;
  return isAlike && entry.parameterCount !== null && withoutType(entry.id) === withoutType(other.id);
}

function withoutType(id: string): string {
  const type = quantizationOf(id);
  const bare = type === null ? id : id.replace(new RegExp(type.replaceAll(/[^A-Za-z0-9_]/g, "."), "i"), "");
  return bare.toLowerCase().replace(/[-._:]+$/, "");
}

/** Measured past the page cache: a small file would only tell of the first seek. */
function largestFile(registry: ModelRegistry): string | null {
  const [largest] = registry.list().toSorted((a, b) => b.sizeBytes - a.sizeBytes);
  return largest?.files[0] ?? null;
}
