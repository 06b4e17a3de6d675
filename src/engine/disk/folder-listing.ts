// The names in a folder's folders, told again only where they may have changed: other processes write there too, and
// looking at thousands of names for each file that is written would take longer than writing it. It opens no file.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

export interface ListedFolder {
  path: string;
  /** Empty for a folder that is gone. */
  names: string[];
}

/** File systems tell times in steps of up to 2 s: a folder may change twice within one. */
const STEP_MS = 2_000;

export class FolderListing {
  readonly #root: string;
  /** Folder → its time when it was listed last; null: it had changed just before, so that this says little. */
  readonly #seen = new Map<string, number | null>();

  constructor(root: string) {
    this.#root = root;
  }

  /** Folders whose names may not be what they were at the last call; at the first one all of them. */
  changed(): ListedFolder[] {
    const folders = listFolders(this.#root);
    const gone = [...this.#seen.keys()].filter((path) => !folders.includes(path));
    for (const path of gone) this.#seen.delete(path);
    const found = folders.flatMap((path) => this.#look(path) ?? []);
    return [...gone.map((path) => ({ path, names: [] })), ...found];
  }

  #look(path: string): ListedFolder | null {
    // By the system's own clock, since it is compared with what the file system noted.
    const nowMs = Date.now();
    const timeMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null;
    if (timeMs !== null && this.#seen.get(path) === timeMs) return null;
    this.#seen.set(path, timeMs !== null && timeMs < nowMs - STEP_MS ? timeMs : null);
    return { path, names: listNames(path) };
  }
}

/** Throws the system's error when the root itself can't be read. */
function listFolders(root: string): string[] {
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(root, name));
}

function listNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // Gone by now, or not to be read by us: what is in it can't be counted, and nobody fails for it.
    return [];
  }
}
