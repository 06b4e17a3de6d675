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
  matters: Matters;
}

/** Which names in a folder are news: all but hidden ones, and those that lead to a folder that is not there yet. */
interface Matters {
  all: boolean;
  names: Set<string>;
}

export class FolderWatch {
  readonly #watched = new Map<string, Watched>();
  #changed = false;
  #complete = false;
  /** Called at each notice; a copy gives one with every write. */
  onChange: () => void = () => {};

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
    const wanted = new Map<string, Matters>();
    for (const folder of folders) {
      const place = findPlace(folder);
      if (place === null || (wanted.size >= FOLDERS_MAX && !wanted.has(place.folder))) {
        this.#complete = false;
        continue;
      }
      const matters = wanted.get(place.folder) ?? { all: false, names: new Set() };
      if (place.only === null) matters.all = true;
      else matters.names.add(place.only);
      wanted.set(place.folder, matters);
    }
    for (const folder of [...this.#watched.keys()]) {
      if (!wanted.has(folder)) this.#drop(folder);
    }
    for (const [folder, matters] of wanted) this.#ensure(folder, matters);
  }

  close(): void {
    for (const folder of [...this.#watched.keys()]) this.#drop(folder);
    this.#complete = false;
  }

  #ensure(folder: string, matters: Matters): void {
    const stats = statFolder(folder);
    const identity = stats === null ? "" : `${stats.dev}:${stats.ino}`;
    const known = this.#watched.get(folder);
    if (known?.identity === identity) {
      known.matters = matters;
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
      this.#watched.set(folder, { watcher, identity, matters });
    } catch (_unwatchable) {
      // Too many watches, or a file system without them: the registry looks more often then.
      this.#complete = false;
    }
  }

  #notice(folder: string, name: string | null): void {
    const matters = this.#watched.get(folder)?.matters;
    if (matters === undefined) return;
    // Hidden files are downloads in progress: each of their writes is a notice.
    const isNews = name === null || matters.names.has(name) || (matters.all && !basename(name).startsWith("."));
    if (!isNews) return;
    this.#changed = true;
    this.onChange();
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
