// What a search of the disk has found so far: models, each file once whatever ways lead to it, the folders that were
// read, and warnings. Reads no file contents. Where to search, and how models are named there, is its callers' business.

import { readdirSync, realpathSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import type { ErrorBody } from "../protocol/errors.ts";
import type { ModelDescription } from "./model-file/parse.ts";
import { parseSplit, splitFileName } from "./name.ts";
import type { ModelPlace } from "./places/places.ts";

/** How a model is called where it was found. */
export interface FoundNames {
  /** Its id, before collisions are settled. */
  name: string;
  /** A longer name, for when the id is taken: such as `owner/repo/name`. */
  relativeName: string;
  /** Further names that it answers to. */
  otherNames: readonly string[];
  /** `owner/repo` of the Hub, where the place tells. */
  repo: string | null;
  /** Its record says that it was checked when it was whole. */
  isChecked?: boolean;
}

/** Where something was found: by `--model`, in a models folder, by a model file, inside of the program, or at a place. */
export type FoundPlace = "named" | "models-dir" | "model-file" | "built-in" | ModelPlace["kind"];

export interface FoundModel extends FoundNames {
  /** `weights`: its one file is a folder of weights that must be converted before it is served. */
  kind: "file" | "weights";
  /** Absolute, first part first. */
  files: string[];
  /** Names of other paths that lead to the same file: links are a way to give a model a second name. */
  linkNames: string[];
  sizeBytes: number;
  /** Newest modification time of its files, milliseconds since the epoch. */
  modifiedMs: number;
  explicit: boolean;
  /** Files that belong to it by the place's own records, such as a projector of Ollama. Absolute. */
  attached: readonly string[];
  /** Parts are missing: a copy may be on its way. */
  incomplete: boolean;
  error: ErrorBody | null;
  place: FoundPlace;
  /** The model file that describes it. */
  description: ModelDescription | null;
}

/** Models of one search: each is a header read and a line in listings. */
const MODELS_MAX = 4_096;
/** Parts of one split model; the largest published ones have under 100. */
const PARTS_MAX = 1_024;
/** The largest published models have some 300 files. */
const FOLDER_FILES_MAX = 4_096;

export class FoundModels {
  readonly models: FoundModel[] = [];
  readonly warnings: string[] = [];
  /** Folders that were read, or looked for: a change in them changes what is found. */
  readonly folders = new Set<string>();
  readonly #byFile = new Map<string, FoundModel>();
  /** Of what is added from now on. */
  place: FoundPlace = "named";

  get isFull(): boolean {
    return this.models.length >= MODELS_MAX;
  }

  warn(warning: string): void {
    if (!this.warnings.includes(warning)) this.warnings.push(warning);
  }

  /** The file with its other parts, if it is one of several. */
  addFile(path: string, names: FoundNames, explicit: boolean): void {
    const split = parseSplit(basename(path));
    if (split === null) {
      this.addParts([path], names, { explicit });
      return;
    }
    const count = Math.min(split.count, PARTS_MAX);
    const extension = /\.gguf$/i.exec(path)?.[0] ?? "";
    const parts = Array.from({ length: count }, (_, i) => splitFileName(split.stem, i + 1, split.count, extension));
    this.addParts(
      parts.map((part) => join(dirname(path), part)),
      names,
      { explicit },
    );
  }

  /** All parts, first part first. A file that was met before gives its name to the model that is there. */
  addParts(
    parts: readonly string[],
    names: FoundNames,
    { explicit = false, attached = [] }: { explicit?: boolean; attached?: readonly string[] } = {},
  ): void {
    const first = parts[0] ?? "";
    const found = { ...emptyModel(names, explicit, this.place), attached };
    if (!this.#isNew(tryRealpath(first) ?? first, found)) return;
    const missing: string[] = [];
    for (const part of parts) {
      const stats = statOrError(part);
      if ("code" in stats) {
        if (parts.length === 1) found.error = missingFile(part, stats);
        missing.push(basename(part));
        continue;
      }
      if (!stats.isFile()) found.error = notAFile(part);
      found.files.push(part);
      found.sizeBytes += stats.size;
      found.modifiedMs = Math.max(found.modifiedMs, stats.mtimeMs);
    }
    found.incomplete = missing.length > 0 && found.files.length > 0;
    if (missing.length > 0 && found.error === null) found.error = missingParts(found.name, parts.length, missing);
    if (found.files.length === 0) found.files.push(first);
    this.models.push(found);
  }

  /** A folder of weights is one model; folders inside of it are parts of it. */
  addWeights(folder: string, names: FoundNames, explicit: boolean): void {
    const found: FoundModel = { ...emptyModel(names, explicit, this.place), kind: "weights", files: [folder] };
    if (!this.#isNew(tryRealpath(folder) ?? folder, found)) return;
    this.folders.add(folder);
    for (const name of namesIn(folder)) {
      const stats = name.startsWith(".") ? null : statOrError(join(folder, name));
      if (stats === null || "code" in stats || !stats.isFile()) continue;
      found.sizeBytes += stats.size;
      found.modifiedMs = Math.max(found.modifiedMs, stats.mtimeMs);
    }
    const isPart = ({ kind, files }: FoundModel): boolean =>
      kind === "weights" && files[0]?.startsWith(folder + sep) === true;
    const others = this.models.filter((model) => !isPart(model));
    this.models.splice(0, this.models.length, ...others, found);
  }

  /** Something under a model's name that can't be served, with the reason. */
  addRefused(path: string, names: FoundNames, explicit: boolean, error: ErrorBody): void {
    const found = { ...emptyModel(names, explicit, this.place), files: [path], error };
    if (!this.#isNew(tryRealpath(path) ?? path, found)) return;
    const stats = statOrError(path);
    if (!("code" in stats)) found.modifiedMs = stats.mtimeMs;
    this.models.push(found);
  }

  #isNew(key: string, found: FoundModel): boolean {
    const known = this.#byFile.get(key);
    if (known === undefined) this.#byFile.set(key, found);
    else {
      known.linkNames.push(found.name, found.relativeName);
      known.attached = [...new Set([...known.attached, ...found.attached])];
    }
    return known === undefined;
  }
}

function emptyModel(names: FoundNames, explicit: boolean, place: FoundPlace): FoundModel {
  return {
    ...names,
    kind: "file",
    files: [],
    linkNames: [],
    sizeBytes: 0,
    modifiedMs: 0,
    explicit,
    attached: [],
    incomplete: false,
    error: null,
    place,
    description: null,
  };
}

/** Names by which a model answers besides its id. */
export function aliasesOf({ relativeName, otherNames, name, linkNames }: FoundModel): string[] {
  return [relativeName, ...otherNames, name, ...linkNames].filter(
    (alias, index, all) => alias.length > 0 && all.indexOf(alias) === index,
  );
}

export interface StatFailure {
  code: string;
  message: string;
}

/** The file's (a link's target's) stats; the failure, also of a broken link, is a result. */
export function statOrError(path: string): Stats | StatFailure {
  try {
    return statSync(path);
  } catch (thrown) {
    const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "unknown";
    return { code, message: messageOf(thrown) };
  }
}

export function isDirectory(path: string): boolean {
  const stats = statOrError(path);
  return !("code" in stats) && stats.isDirectory();
}

export function tryRealpath(path: string): string | null {
  try {
    return realpathSync(path);
  } catch (_missing) {
    // A path that does not resolve has no real name; its stat says why.
    return null;
  }
}

/** Empty where the folder can't be read: the walk has warned. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).slice(0, FOLDER_FILES_MAX);
  } catch (_unreadable) {
    return [];
  }
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

export function missingFile(path: string, failure: StatFailure): ErrorBody {
  if (failure.code === "ENOENT") {
    const hint = "Check --model, or that a link's target exists.";
    return { code: "model_not_found", message: `the model file ${path} does not exist`, hint };
  }
  return {
    code: "model_damaged",
    message: `the model file ${path} can't be read: ${failure.message}`,
    hint: "Check the permissions of the file and its folders.",
  };
}

function notAFile(path: string): ErrorBody {
  return { code: "format_unsupported", message: `${path} is not a regular file` };
}

function missingParts(name: string, count: number, missing: string[]): ErrorBody {
  const shown = missing.slice(0, 3).join(", ") + (missing.length > 3 ? ", …" : "");
  const message = `the model ${name} has ${count} parts, of which ${missing.length} are missing: ${shown}`;
  return { code: "model_damaged", message, hint: "Fetch the missing files." };
}
