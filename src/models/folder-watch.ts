// Sees that something changed in folders of models, by the system's own notices: nothing is polled. It only says that
// there was a change; looking what it was is the registry's business. What can't be watched is told, not hidden.

import { type FSWatcher, type Stats, statSync, watch } from "node:fs";
import { basename, dirname } from "node:path";

/** Each takes a watch of the system's, of which a user has some thousands. */
const FOLDERS_MAX = 512;
/** Up from a folder that is not there yet, for its nearest parent: deeper than any standard place is. */
const LEVELS_MAX = 8;

interface Watched {
  watcher: FSWatcher;
  /** Tells a folder from another one that took its place. */
  identity: string;
  /** The one name in it that matters; null: all do. */
  only: string | null;
}

export class FolderWatch {
  readonly #watched = new Map<string, Watched>();
  #changed = false;
  #complete = false;

  /** Every folder that `follow` named is watched, or its nearest parent where it is not there yet. */
  get isComplete(): boolean {
    return this.#complete;
  }

  /** Whether something changed since the last `follow`. */
  get hasChanged(): boolean {
    return this.#changed;
  }

  /** Watches these folders and no others, from now on. */
  follow(folders: Iterable<string>): void {
    this.#changed = false;
    this.#complete = true;
    const wanted = new Map<string, string | null>();
    for (const folder of folders) {
      const place = findPlace(folder);
      if (place === null || (wanted.size >= FOLDERS_MAX && !wanted.has(place.folder))) this.#complete = false;
      // Two that are missing in the same parent, or a parent that matters itself: then every name in it does.
      else wanted.set(place.folder, wanted.has(place.folder) ? null : place.only);
    }
    for (const folder of [...this.#watched.keys()]) {
      if (!wanted.has(folder)) this.#drop(folder);
    }
    for (const [folder, only] of wanted) this.#ensure(folder, only);
  }

  close(): void {
    for (const folder of [...this.#watched.keys()]) this.#drop(folder);
    this.#complete = false;
  }

  #ensure(folder: string, only: string | null): void {
    const stats = statFolder(folder);
    const identity = stats === null ? "" : `${stats.dev}:${stats.ino}`;
    const known = this.#watched.get(folder);
    if (known?.identity === identity) {
      known.only = only;
      return;
    }
    this.#drop(folder);
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => this.#notice(folder, name));
      watcher.on("error", () => {
        this.#drop(folder);
        this.#complete = false;
        this.#changed = true;
      });
      this.#watched.set(folder, { watcher, identity, only });
    } catch (_unwatchable) {
      // Too many watches, or a file system without them: the registry looks more often then.
      this.#complete = false;
    }
  }

  #notice(folder: string, name: string | null): void {
    const only = this.#watched.get(folder)?.only ?? null;
    // Hidden files are downloads in progress: each of their writes is a notice.
    const matters = name === null || (only === null ? !basename(name).startsWith(".") : name === only);
    if (matters) this.#changed = true;
  }

  #drop(folder: string): void {
    this.#watched.get(folder)?.watcher.close();
    this.#watched.delete(folder);
  }
}

/** The folder, or the nearest parent that is there and the name in it that leads to the folder. */
function findPlace(folder: string): { folder: string; only: string | null } | null {
  let only: string | null = null;
  let current = folder;
  for (let level = 0; level < LEVELS_MAX; level++) {
    if (statFolder(current) !== null) return { folder: current, only };
    only = basename(current);
    current = dirname(current);
  }
  return null;
}

function statFolder(path: string): Stats | null {
  try {
    const stats = statSync(path);
    return stats.isDirectory() ? stats : null;
  } catch (_absent) {
    // Its parent is looked at instead.
    return null;
  }
}
