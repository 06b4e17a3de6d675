// Finds model files: what `--model` names and what lies in the models folders. Follows links, never
// loops, stays within limits, and keeps what is broken as a finding with an error: a request for it
// then says what is wrong. Reads no file contents (manifest.ts does).

import { type Dirent, readdirSync, realpathSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { ErrorBody } from "../protocol/errors.ts";
import { explainConvertible } from "./convertible.ts";
import { idFromFileName, isGgufName, parseSplit, splitFileName, stripExtension } from "./name.ts";

export interface FoundModel {
  /** Id before collisions are settled. */
  name: string;
  /** Path below its folder without extension and split suffix, such as `owner/repo/name`. */
  relativeName: string;
  files: string[];
  /** Names of other paths that lead to the same file: links are a way to give a model a second name. */
  linkNames: string[];
  sizeBytes: number;
  /** Newest modification time of its files, milliseconds since the epoch. */
  modifiedMs: number;
  explicit: boolean;
  error: ErrorBody | null;
}

export interface Discovery {
  models: FoundModel[];
  /** Folders that could not be read and limits that were hit, in words. */
  warnings: string[];
}

/** Deep enough for `owner/repo/snapshots/revision/file` and one more. */
const DEPTH_MAX = 6;
/** Directory entries of one scan: keeps a scan of a mistaken `--models-dir /` short. */
const ENTRIES_MAX = 50_000;
/** Models of one scan: each is a header read and a line in listings. */
const MODELS_MAX = 4_096;
/** Parts of one split model; the largest published ones have under 100. */
const PARTS_MAX = 1_024;

/** `models` first and in their order, then the folders' files by path. A file that is met twice counts once. */
export function discoverModels(options: { models: readonly string[]; modelsDirs: readonly string[] }): Discovery {
  const scan = new Scan();
  for (const path of options.models) scan.addExplicit(resolve(path));
  for (const folder of options.modelsDirs) scan.addFolder(resolve(folder), false);
  return { models: scan.models, warnings: scan.warnings };
}

class Scan {
  readonly models: FoundModel[] = [];
  readonly warnings: string[] = [];
  readonly #seenFiles = new Map<string, FoundModel>();
  readonly #seenFolders = new Set<string>();
  #entries = 0;

  addExplicit(path: string): void {
    const stats = statOrError(path);
    if ("code" in stats) this.#addBroken(path, basename(path), true, missingFile(path, stats));
    else if (stats.isDirectory()) this.#addNamedFolder(path);
    else this.#addFile(path, dirname(path), true);
  }

  /** One without a GGUF file may be a model all the same. */
  #addNamedFolder(path: string): void {
    const before = this.models.length;
    this.addFolder(path, true);
    const error = this.models.length === before ? explainConvertible(path) : null;
    if (error !== null) this.#addBroken(path, basename(path), true, error);
  }

  /** A models folder that does not exist yet is no trouble: it may come. */
  addFolder(root: string, explicit: boolean): void {
    const stats = statOrError(root);
    if ("code" in stats) {
      if (stats.code !== "ENOENT") this.warnings.push(`the models folder ${root} can't be read: ${stats.message}`);
      return;
    }
    if (!stats.isDirectory()) this.warnings.push(`${root} is not a folder; use --model for a file`);
    else this.#walk(root, root, 0, explicit);
  }

  #walk(root: string, folder: string, depth: number, explicit: boolean): void {
    const real = tryRealpath(folder);
    if (real === null || this.#seenFolders.has(real)) return;
    this.#seenFolders.add(real);
    let entries: Dirent[];
    try {
      entries = readdirSync(folder, { withFileTypes: true });
    } catch (thrown) {
      this.warnings.push(`the folder ${folder} can't be read: ${messageOf(thrown)}`);
      return;
    }
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      if (this.#isFull(root)) return;
      // Hidden files are downloads in progress, caches and the leftovers of editors and macOS.
      if (entry.name.startsWith(".")) continue;
      const path = join(folder, entry.name);
      const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && isDirectory(path));
      if (!isFolder && isGgufName(entry.name)) this.#addFile(path, root, explicit);
      else if (isFolder && depth < DEPTH_MAX) this.#walk(root, path, depth + 1, explicit);
    }
  }

  #isFull(root: string): boolean {
    this.#entries += 1;
    const full = this.#entries > ENTRIES_MAX || this.models.length >= MODELS_MAX;
    const warning = `the scan of ${root} stopped at ${ENTRIES_MAX} directory entries or ${MODELS_MAX} models`;
    if (full && !this.warnings.includes(warning)) this.warnings.push(warning);
    return full;
  }

  #addFile(path: string, root: string, explicit: boolean): void {
    const split = parseSplit(basename(path));
    if (split === null) {
      this.#addParts([path], root, explicit);
      return;
    }
    const folder = dirname(path);
    const count = Math.min(split.count, PARTS_MAX);
    const extension = /\.gguf$/i.exec(path)?.[0] ?? "";
    const names = Array.from({ length: count }, (_, i) => splitFileName(split.stem, i + 1, split.count, extension));
    this.#addParts(
      names.map((name) => join(folder, name)),
      root,
      explicit,
    );
  }

  #addParts(parts: string[], root: string, explicit: boolean): void {
    const first = parts[0] ?? root;
    const found = describe(first, root, explicit);
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
    if (missing.length > 0 && found.error === null) found.error = missingParts(found.name, parts.length, missing);
    if (found.files.length === 0) found.files.push(first);
    this.models.push(found);
  }

  #addBroken(path: string, fileName: string, explicit: boolean, error: ErrorBody): void {
    const found = { ...describe(path, dirname(path), explicit), name: idFromFileName(fileName), files: [path], error };
    if (this.#isNew(path, found)) this.models.push(found);
  }

  /** False for a file that was met before; its name then becomes a further name of that model. */
  #isNew(key: string, found: FoundModel): boolean {
    const known = this.#seenFiles.get(key);
    if (known === undefined) this.#seenFiles.set(key, found);
    else known.linkNames.push(found.name, found.relativeName);
    return known === undefined;
  }
}

function describe(path: string, root: string, explicit: boolean): FoundModel {
  const below = relative(root, path).split("\\").join("/");
  const name = idFromFileName(basename(path));
  const folder = dirname(below);
  const relativeName = folder === "." ? name : `${folder}/${name}`;
  return { name, relativeName, files: [], linkNames: [], sizeBytes: 0, modifiedMs: 0, explicit, error: null };
}

interface StatFailure {
  code: string;
  message: string;
}

/** The file's (a link's target's) stats; the failure, also of a broken link, is a result. */
function statOrError(path: string): Stats | StatFailure {
  try {
    return statSync(path);
  } catch (thrown) {
    const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "unknown";
    return { code, message: messageOf(thrown) };
  }
}

function isDirectory(path: string): boolean {
  const stats = statOrError(path);
  return !("code" in stats) && stats.isDirectory();
}

function tryRealpath(path: string): string | null {
  try {
    return realpathSync(path);
  } catch (_missing) {
    // A path that does not resolve has no real name; its stat says why.
    return null;
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function missingFile(path: string, failure: StatFailure): ErrorBody {
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

/** Names by which a file answers besides its id. */
export function aliasesOf(found: FoundModel): string[] {
  const first = found.files[0] ?? found.name;
  const base = basename(first);
  return [found.relativeName, base, stripExtension(base), found.name, ...found.linkNames].filter(
    (name, index, all) => name.length > 0 && all.indexOf(name) === index,
  );
}
