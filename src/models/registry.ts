// The models that can be asked for: finds them, gives them unambiguous ids, resolves names. Looks at
// the disk again when a name is unknown or its view is old, so that a file dropped into the folder
// appears. Knows nothing of engines and load states.

import { type Clock, systemClock } from "../lib/clock.ts";
import { type Logger, silentLogger } from "../lib/log.ts";
import { AppError } from "../protocol/errors.ts";
import { aliasesOf, discoverModels, type FoundModel } from "./discover.ts";
import type { ModelEntry } from "./entry.ts";
import { type ManifestResult, readManifest, UNKNOWN_MANIFEST } from "./manifest.ts";
import { DEFAULT_MODEL_NAMES, modelNotFound } from "./name.ts";

export interface RegistryOptions {
  /** `--model` paths in order: the first is the default model. */
  models: readonly string[];
  modelsDirs: readonly string[];
  /** The embedded demo model's file; null: none. Listed only while no other model can be served. */
  demoPath: string | null;
  clock?: Clock;
  logger?: Logger;
}

export const DEMO_ID = "demo";

/** A view older than this is renewed by the next listing or lookup; a scan of a usual folder takes a millisecond. */
const VIEW_AGE_MS_MAX = 5_000;
/** Requests for unknown names do not make us scan more often than this. */
const MISS_SCAN_INTERVAL_MS = 1_000;

interface View {
  entries: ModelEntry[];
  /** Ids and aliases; ids were entered first, so an alias never hides one. */
  byName: Map<string, ModelEntry>;
  /** Lower-cased names; null where two models differ by case only. */
  byFoldedName: Map<string, ModelEntry | null>;
  takenAtMs: number;
}

export class ModelRegistry {
  readonly #options: RegistryOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #manifests = new Map<string, ManifestResult>();
  #warned = new Set<string>();
  #view: View | null = null;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
  }

  /** All entries, also the broken ones: the explicit ones in their order, then by path, then the demo. */
  list(): readonly ModelEntry[] {
    return this.#currentView(VIEW_AGE_MS_MAX).entries;
  }

  /** The model of requests that name none; null when there is nothing at all. */
  defaultEntry(): ModelEntry | null {
    return pickDefault(this.list());
  }

  /** Id, alias, another case of either, `default`, `auto-select` or absent → entry. Throws `model_not_found`. */
  resolve(name: string | undefined): ModelEntry {
    if (name === undefined || name === "" || DEFAULT_MODEL_NAMES.includes(name)) return this.#requireDefault();
    const found =
      lookUp(this.#currentView(VIEW_AGE_MS_MAX), name) ?? lookUp(this.#currentView(MISS_SCAN_INTERVAL_MS), name);
    if (found !== null) return found;
    throw modelNotFound(name, [...this.#currentView(VIEW_AGE_MS_MAX).byName.keys()]);
  }

  /** Looks at the disk now. */
  rescan(): void {
    this.#takeView();
  }

  #takeView(): View {
    const discovery = discoverModels(this.#options);
    for (const warning of discovery.warnings) {
      if (!this.#warned.has(warning)) this.#logger.warn(warning);
    }
    this.#warned = new Set(discovery.warnings);
    const used = new Set<string>();
    const ids = new Set<string>();
    const entries = discovery.models.map((found) => this.#toEntry(found, chooseId(found, ids), used));
    if (!entries.some((entry) => entry.error === null)) entries.push(...this.#demoEntries(ids, used));
    for (const key of this.#manifests.keys()) {
      if (!used.has(key)) this.#manifests.delete(key);
    }
    this.#view = { entries, ...indexNames(entries), takenAtMs: this.#clock.monotonicMs() };
    return this.#view;
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

  #currentView(ageMsMax: number): View {
    const ageMs = this.#view === null ? Number.POSITIVE_INFINITY : this.#clock.monotonicMs() - this.#view.takenAtMs;
    return this.#view === null || ageMs >= ageMsMax ? this.#takeView() : this.#view;
  }

  #toEntry(found: FoundModel, id: string, used: Set<string>): ModelEntry {
    const { manifest, error } =
      found.error === null ? this.#manifestOf(found, used) : { manifest: UNKNOWN_MANIFEST, error: found.error };
    return {
      ...manifest,
      id,
      aliases: aliasesOf(found).filter((alias) => alias !== id),
      path: found.files[0] ?? "",
      files: found.files,
      created: Math.floor(found.modifiedMs / 1000),
      sizeBytes: found.sizeBytes,
      error,
      explicit: found.explicit,
      demo: false,
    };
  }

  /** Headers are read again only when a file's size or date has changed. */
  #manifestOf(found: FoundModel, used: Set<string>): ManifestResult {
    const key = JSON.stringify([found.files, found.sizeBytes, found.modifiedMs]);
    used.add(key);
    let result = this.#manifests.get(key);
    if (result === undefined) {
      result = readManifest(found.files);
      this.#manifests.set(key, result);
    }
    return result;
  }

  #demoEntries(ids: Set<string>, used: Set<string>): ModelEntry[] {
    if (this.#options.demoPath === null) return [];
    const [found] = discoverModels({ models: [this.#options.demoPath], modelsDirs: [] }).models;
    if (found === undefined) return [];
    const id = chooseId({ ...found, name: DEMO_ID, relativeName: DEMO_ID }, ids);
    return [{ ...this.#toEntry(found, id, used), aliases: [], explicit: false, demo: true }];
  }
}

/** The first `--model`, even a broken one (its error is the answer then); else the first that can generate. */
function pickDefault(entries: readonly ModelEntry[]): ModelEntry | null {
  const servable = entries.filter((entry) => entry.error === null);
  return (
    entries.find((entry) => entry.explicit) ??
    servable.find((entry) => entry.capabilities.completion) ??
    servable[0] ??
    null
  );
}

/** The plain name, else the path below its folder, else a number behind it: stable for a given set of files. */
function chooseId(found: FoundModel, taken: Set<string>): string {
  let id = found.name;
  if (taken.has(id)) id = found.relativeName;
  for (let number = 2; taken.has(id); number++) id = `${found.relativeName}-${number}`;
  taken.add(id);
  return id;
}

function indexNames(entries: readonly ModelEntry[]): Pick<View, "byName" | "byFoldedName"> {
  const byName = new Map<string, ModelEntry>();
  for (const entry of entries) byName.set(entry.id, entry);
  for (const entry of entries) {
    for (const alias of entry.aliases) {
      if (!byName.has(alias)) byName.set(alias, entry);
    }
  }
  const byFoldedName = new Map<string, ModelEntry | null>();
  for (const [name, entry] of byName) {
    const folded = name.toLowerCase();
    const other = byFoldedName.get(folded);
    byFoldedName.set(folded, other === undefined || other === entry ? entry : null);
  }
  return { byName, byFoldedName };
}

function lookUp(view: View, name: string): ModelEntry | null {
  return view.byName.get(name) ?? view.byFoldedName.get(name.toLowerCase()) ?? null;
}
