// Walks a folder of model files: follows links, never loops, stays within limits, steps over what is hidden. How a file
// is called is the caller's choice. Reads no file contents.

import { type Dirent, readdirSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { type FoundModels, type FoundNames, isDirectory, messageOf, statOrError, tryRealpath } from "./found.ts";
import { idFromFileName, isGgufName, stripExtension } from "./name.ts";

/** Deep enough for `owner/repo/snapshots/revision/file` and one more. */
const DEPTH_MAX = 6;
/** Directory entries of one walk: keeps that of a mistaken `--models-dir /` short. */
const ENTRIES_MAX = 50_000;

export interface WalkOptions {
  root: string;
  /** As `--models-dir` names it, in words for warnings. */
  what: string;
  explicit?: boolean;
  names?: (path: string, root: string) => FoundNames;
  /** False: the file is left out. */
  accept?: (path: string) => boolean;
  /** Sees each folder with the names of its entries, after its files were added. */
  onFolder?: (folder: string, entries: readonly string[]) => void;
}

/** What several walks share: real folders are walked once, and the entries of all of them are counted together. */
export class WalkBudget {
  readonly seen = new Set<string>();
  #entries = 0;

  /** False when the limit is reached. */
  take(): boolean {
    this.#entries += 1;
    return this.#entries <= ENTRIES_MAX;
  }
}

/** A folder that does not exist yet is no trouble: it may come. One that can't be read is a warning. */
export function walkFolder(found: FoundModels, options: WalkOptions, budget = new WalkBudget()): void {
  const { root, what } = options;
  found.folders.add(root);
  const stats = statOrError(root);
  if ("code" in stats) {
    if (stats.code !== "ENOENT" && stats.code !== "ENOTDIR") {
      found.warn(`${what} ${root} can't be read: ${stats.message}`);
    }
    return;
  }
  if (!stats.isDirectory()) found.warn(`${root} is not a folder; use --model for a file`);
  else new Walk(found, options, budget).visit(root, 0);
}

class Walk {
  constructor(
    private readonly found: FoundModels,
    private readonly options: WalkOptions,
    private readonly budget: WalkBudget,
  ) {}

  visit(folder: string, depth: number): void {
    const { root, explicit = false, names = namesByFile, accept, onFolder } = this.options;
    const real = tryRealpath(folder);
    if (real === null || this.budget.seen.has(real)) return;
    this.budget.seen.add(real);
    const entries = readFolder(this.found, folder);
    for (const entry of entries) {
      if (this.#isFull()) return;
      // Hidden files are downloads in progress, caches and the leftovers of editors and macOS.
      if (entry.name.startsWith(".")) continue;
      const path = join(folder, entry.name);
      const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && isDirectory(path));
      if (!isFolder && isGgufName(entry.name)) {
        if (accept?.(path) !== false) this.found.addFile(path, names(path, root), explicit);
      } else if (isFolder && depth < DEPTH_MAX) this.visit(path, depth + 1);
    }
    onFolder?.(
      folder,
      entries.map((entry) => entry.name),
    );
  }

  #isFull(): boolean {
    const full = !this.budget.take() || this.found.isFull;
    if (full) this.found.warn(`the search of ${this.options.root} stopped: it has too many files or models`);
    return full;
  }
}

/** Sorted by name. A folder that can't be read is a warning and has no entries. */
export function readFolder(found: FoundModels, folder: string): Dirent[] {
  found.folders.add(folder);
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (thrown) {
    found.warn(`the folder ${folder} can't be read: ${messageOf(thrown)}`);
    return [];
  }
}

/** The file's name is the id, and its path below the folder the longer name. */
export function namesByFile(path: string, root: string): FoundNames {
  const base = basename(path);
  const folder = dirname(relative(root, path).split("\\").join("/"));
  const name = idFromFileName(base);
  const relativeName = folder === "." ? name : `${folder}/${name}`;
  return { name, relativeName, otherNames: [base, stripExtension(base)], repo: null };
}
