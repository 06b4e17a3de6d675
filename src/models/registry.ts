// The models that can be asked for: finds them, gives them unambiguous ids, resolves names. Looks at the disk again when
// something changed there, when a name is unknown or when its view is old, and only when it is asked: nothing is polled.
// A file that is still being written waits until it is whole. Knows nothing of engines and load states.

import { type Clock, systemClock } from "../lib/clock.ts";
import { type Logger, silentLogger } from "../lib/log.ts";
import { AppError } from "../protocol/errors.ts";
import type { AliasStore } from "./alias.ts";
import { findEntry, readSelector, selectEntry } from "./capability.ts";
import { ModelChanges, type Renamed } from "./changes.ts";
import { attachCompanions, type Companion, type ReadModel, toCompanion } from "./companion.ts";
import { discoverModels, nameLoneRepositories } from "./discover.ts";
import type { ModelEntry } from "./entry.ts";
import type { FolderWatch } from "./folder-watch.ts";
import type { FoundModel } from "./found.ts";
import { chooseId, chooseIds, isReady, keyOf, pickDefault, toEntry } from "./make-entry.ts";
import { type ManifestResult, readManifest, unreadManifest } from "./manifest.ts";
import { describeModels } from "./model-file/describe.ts";
import { ModelFileFolder, type ModelFileOptions } from "./model-file/folder.ts";
import { DEFAULT_MODEL_NAMES, modelNotFound } from "./name.ts";
import { indexNames, lookUp, type NameIndex } from "./name-index.ts";
import type { ModelPlace } from "./places/places.ts";
import type { Removal } from "./removal.ts";
import { isSettling } from "./settling.ts";
import { explainUnlisted } from "./unlisted.ts";
import { readWeightsFolder } from "./weights-folder.ts";

export interface RegistryOptions {
  /** `--model` paths in order: the first is the default model. */
  models: readonly string[];
  modelsDirs: readonly string[];
  /** Folders of other programs; absent: none. */
  places?: readonly ModelPlace[];
  /** Files that describe models; absent: there are none. */
  modelFiles?: ModelFileOptions;
  /** Sees changes in all those folders; absent: they are looked at more often. */
  watch?: FolderWatch;
  /** The embedded demo model's file; null: none. Listed only while no other model can be served. */
  demoPath: string | null;
  /** Names of the configuration: alias → a model's name. */
  aliases?: ReadonlyMap<string, string>;
  /** Names that were given at run time; absent: none can be given. */
  copies?: AliasStore;
  /** Finds the GGUF file that was made of a folder of weights; absent: none was. */
  findConverted?: (folder: string) => string | null;
  /** Models whose engines stay, by id; absent: none can be pinned. */
  pins?: AliasStore;
  /** The folder whose models may be deleted; absent: none. */
  ownFolder?: string;
  clock?: Clock;
  logger?: Logger;
}

const DEMO_ID = "demo";

/** A view older than this is renewed by the next listing or lookup; a scan of a usual folder takes a millisecond. */
const VIEW_AGE_MS_MAX = 5_000;
/** The same where changes are noticed: for what no notice comes of, such as a disk of another machine. */
const WATCHED_AGE_MS_MAX = 30_000;
/** After a change, or while a file is being written: each of its writes is a notice. */
const CHANGE_SCAN_INTERVAL_MS = 500;
/** Requests for unknown names do not make us scan more often than this. */
const MISS_SCAN_INTERVAL_MS = 1_000;

interface View extends NameIndex {
  entries: ModelEntry[];
  takenAtMs: number;
  /** Still being written. */
  settling: readonly FoundModel[];
}

export class ModelRegistry {
  readonly #options: RegistryOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #manifests = new Map<string, ManifestResult>();
  readonly #modelFiles: ModelFileFolder | null;
  #warned = new Set<string>();
  /** What was listed: it stays although it looks as if it were being written. */
  #listed: Set<string> | null = null;
  #view: View | null = null;
  /** Paths of files that were put there by ourselves, in one step. */
  readonly #whole = new Set<string>();
  readonly #changes: ModelChanges;
  #preferred: string | null = null;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#modelFiles = options.modelFiles === undefined ? null : new ModelFileFolder(options.modelFiles);
    this.#changes = new ModelChanges(options, {
      resolve: (name) => this.resolve(name),
      findName: (name) => lookUp(this.#currentView(MISS_SCAN_INTERVAL_MS), name),
      rescan: (whole) => this.rescan(whole),
    });
  }

  /** All entries, also the broken ones: the explicit ones in their order, then by path, then the demo. */
  list(): readonly ModelEntry[] {
    return this.#currentView().entries;
  }

  /** The model of requests that name none; null when there is nothing at all. */
  defaultEntry(): ModelEntry | null {
    return pickDefault(this.list(), this.#preferred);
  }

  /** What would be that without `makeDefault`. */
  firstEntry(): ModelEntry | null {
    return pickDefault(this.list());
  }

  /** From now on, while it is there; until the server ends. */
  makeDefault(id: string): void {
    this.#preferred = id;
    // Names of the configuration may stand for it.
    this.#view = null;
  }

  /**
   * Id, alias, another case of either, `default`, `auto-select`, `auto` with capabilities, or absent → entry. Throws
   * `model_not_found`.
   */
  resolve(name: string | undefined): ModelEntry {
    if (name === undefined || name === "" || DEFAULT_MODEL_NAMES.includes(name)) return this.#requireDefault();
    const wanted = readSelector(name);
    if (wanted !== null) {
      return wanted.length === 0 ? this.#requireDefault() : selectEntry(this.list(), this.defaultEntry(), wanted);
    }
    const found = lookUp(this.#currentView(), name) ?? lookUp(this.#currentView(MISS_SCAN_INTERVAL_MS), name);
    if (found !== null) return found;
    const { byName, dangling, entries, settling } = this.#currentView();
    const unlisted = explainUnlisted(name, entries, settling);
    if (unlisted !== null) throw unlisted;
    throw modelNotFound(name, [...byName.keys()], dangling.get(name));
  }

  /** Gives a model a further name, kept across restarts. Throws `model_not_found` and `invalid_request`. */
  addAlias(model: string, alias: string): void {
    this.#changes.addAlias(model, alias);
  }

  /** Takes back a name that `addAlias` gave, or deletes what has this id. Throws `model_not_found` and `forbidden`. */
  remove(name: string): Removal {
    return this.#changes.remove(name);
  }

  /** Something has changed, or a file is still being written: the next listing may be another one. */
  get isWaiting(): boolean {
    return this.#options.watch?.hasChanged === true || (this.#view?.settling.length ?? 0) > 0;
  }

  /** Another name for a file of the own folder, or for a name that `addAlias` gave. Throws as `remove` and `addAlias` do. */
  rename(model: string, name: string): Renamed {
    return this.#changes.rename(model, name);
  }

  /** Whether its engine stays when nobody asks; kept across restarts. Throws `model_not_found`. */
  pin(model: string, pinned: boolean): ModelEntry {
    return this.#changes.pin(model, pinned);
  }

  /** Looks at the disk now. `whole`: files that appear there and need not be waited for. */
  rescan(whole: readonly string[] = []): void {
    for (const path of whole) this.#whole.add(path);
    this.#takeView();
  }

  #takeView(): View {
    const discovery = discoverModels(this.#options);
    const described = describeModels(
      discovery.models,
      this.#modelFiles?.read(discovery) ?? [],
      this.#options.modelFiles?.env ?? {},
    );
    for (const warning of discovery.warnings) {
      if (!this.#warned.has(warning)) this.#logger.warn(warning);
    }
    this.#warned = new Set(discovery.warnings);
    const used = new Set<string>();
    const { settled, settling } = this.#readAll(described, used);
    const attached = attachCompanions(settled);
    const listed = attached.map(({ model }) => model.found);
    nameLoneRepositories(listed);
    const taken = new Set<string>();
    const ids = chooseIds(listed, taken);
    const entries = attached.map(({ model, companions }, at) =>
      toEntry(model, ids[at] ?? "", [...companions, ...this.#readAttached(model.found, used)]),
    );
    // A folder that would have to be converted first is for those who name it.
    if (!entries.some((entry) => isReady(entry) || (entry.explicit && entry.error === null)))
      entries.push(...this.#demoEntries(taken, used));
    for (const key of this.#manifests.keys()) {
      if (!used.has(key)) this.#manifests.delete(key);
    }
    const { aliases = [], copies, pins, watch } = this.#options;
    for (const entry of entries) entry.pinned = pins?.entries().get(entry.id) === entry.path;
    const given = new Map([...(copies?.entries() ?? []), ...aliases]);
    const names = indexNames(entries, given, (word) => resolveWord(word, entries, this.#preferred));
    watch?.follow(discovery.folders);
    this.#view = { entries, ...names, settling, takenAtMs: this.#clock.monotonicMs() };
    return this.#view;
  }

  /** What is there at the first look is told as it is: nobody can say yet whether it grows. */
  #readAll(models: readonly FoundModel[], used: Set<string>): { settled: ReadModel[]; settling: FoundModel[] } {
    const nowMs = this.#clock.wallMs();
    const settled: ReadModel[] = [];
    const settling: FoundModel[] = [];
    const listed = new Set<string>();
    for (const found of models) {
      const result = this.#manifestOf(found, used);
      const key = keyOf(found);
      const isNew = this.#listed !== null && !this.#listed.has(key) && !this.#whole.has(found.files[0] ?? "");
      if (isNew && isSettling(found, result.incomplete, nowMs)) {
        settling.push(found);
        continue;
      }
      listed.add(key);
      settled.push({ ...result, found });
    }
    this.#listed = listed;
    return { settled, settling };
  }

  /** Files that the place's own records give a model. One that is not there is left out: the model works without. */
  #readAttached(found: FoundModel, used: Set<string>): Companion[] {
    const { models } = discoverModels({ models: found.attached, modelsDirs: [] });
    return models.flatMap((attached) => {
      if (attached.error !== null) return [];
      const read = { ...this.#manifestOf(attached, used), found: attached };
      const { role } = read.lineage;
      return role === "model" ? [] : [toCompanion(read, role)];
    });
  }

  #requireDefault(): ModelEntry {
    const entry = this.defaultEntry();
    if (entry !== null) return entry;
    throw new AppError({
      code: "model_not_found",
      message: "there is no model to answer with",
      hint: "Put a GGUF file into the models folder, or name one with --model.",
      param: "model",
    });
  }

  #currentView(ageMsMax = this.#ageMsMax()): View {
    const ageMs = this.#view === null ? Number.POSITIVE_INFINITY : this.#clock.monotonicMs() - this.#view.takenAtMs;
    return this.#view === null || ageMs >= ageMsMax ? this.#takeView() : this.#view;
  }

  #ageMsMax(): number {
    const { watch } = this.#options;
    if (this.isWaiting) return CHANGE_SCAN_INTERVAL_MS;
    return watch?.isComplete === true ? WATCHED_AGE_MS_MAX : VIEW_AGE_MS_MAX;
  }

  /** Headers are read again only when a file's size or date has changed. */
  #manifestOf(found: FoundModel, used: Set<string>): ManifestResult {
    if (found.error !== null) return unreadManifest(found.error, found.incomplete);
    const key = keyOf(found);
    used.add(key);
    let result = this.#manifests.get(key);
    if (result === undefined) {
      result = found.kind === "weights" ? readWeightsFolder(found.files[0] ?? "") : readManifest(found.files);
      this.#manifests.set(key, result);
    }
    return found.kind === "weights" ? this.#withConverted(found.files[0] ?? "", result, used) : result;
  }

  /** Once a file was made of a folder, it says more of the model than the folder does. */
  #withConverted(folder: string, read: ManifestResult, used: Set<string>): ManifestResult {
    const converted = read.error === null ? (this.#options.findConverted?.(folder) ?? null) : null;
    if (converted === null) return { ...read, converted };
    // Such a file never changes: other sources have another one.
    used.add(converted);
    const result = this.#manifests.get(converted) ?? readManifest([converted]);
    this.#manifests.set(converted, result);
    return { ...result, converted };
  }

  #demoEntries(ids: Set<string>, used: Set<string>): ModelEntry[] {
    if (this.#options.demoPath === null) return [];
    const [found] = discoverModels({ models: [this.#options.demoPath], modelsDirs: [] }).models;
    if (found === undefined) return [];
    const id = chooseId({ ...found, name: DEMO_ID, relativeName: DEMO_ID }, ids);
    const entry = toEntry({ ...this.#manifestOf(found, used), found }, id, []);
    return [{ ...entry, aliases: [], explicit: false, demo: true, place: "built-in" }];
  }
}

/** What a configured name may stand for besides a model: `default`, `auto:tools`. */
function resolveWord(word: string, entries: readonly ModelEntry[], preferred: string | null): ModelEntry | null {
  const standard = pickDefault(entries, preferred);
  if (DEFAULT_MODEL_NAMES.includes(word)) return standard;
  const wanted = readSelector(word);
  return wanted === null ? null : findEntry(entries, standard, wanted);
}
