// The files of kept KV state, of all models, under one disk budget: which slices are there, which goes next. Engines of
// other models write to the same folder, so it is looked at again before room is made. What is in a file is not its
// business, nor when one is written.

import { existsSync, mkdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { FolderListing, type ListedFolder } from "./folder-listing.ts";
import { fileOf, parseName, type SliceName } from "./kv-names.ts";

interface SliceFile {
  path: string;
  bytes: number;
  usedMs: number;
}

/** What a writer that was killed left behind: see native/shim/state.cpp. */
const DRAFT = /\.part-(\d+)$/;

export class KvFiles {
  readonly folder: string;
  readonly bytesMax: number;
  readonly #listing: FolderListing;
  /** By path: all models'. */
  readonly #files = new Map<string, SliceFile>();
  /** Files that could not be removed: they are not ours to use or to count. */
  readonly #stuck = new Set<string>();
  /** By hash: this model's. */
  readonly #slices = new Map<string, SliceName>();
  /** Those of them that are ends, by parent and hash. */
  readonly #ends = new Map<string, Map<string, SliceName>>();
  /** Changes whenever a slice of this model comes or goes. */
  #version = 0;
  #bytes = 0;

  /** Makes the folder where it is missing. Throws the system's error when that can't be, or it can't be read. */
  constructor(root: string, modelKey: string, bytesMax: number) {
    this.#listing = new FolderListing(root);
    this.folder = join(root, modelKey);
    this.bytesMax = bytesMax;
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    const folders = this.#listing.changed();
    for (const { path, names } of folders) {
      for (const name of names) if (isLeftOver(name)) this.#remove(join(path, name));
    }
    for (const folder of folders) this.#takeListed(folder);
    // The budget may have been larger before.
    this.makeRoom(0, Number.POSITIVE_INFINITY);
  }

  get bytes(): number {
    return this.#bytes;
  }

  get version(): number {
    return this.#version;
  }

  get count(): number {
    return this.#slices.size;
  }

  has(hash: string): boolean {
    return this.#slices.has(hash);
  }

  pathOf(name: SliceName): string {
    return join(this.folder, fileOf(name));
  }

  /** How many slices of a chain are there, from its beginning on. */
  countLeading(hashes: readonly string[]): number {
    const missing = hashes.findIndex((hash) => !this.#slices.has(hash));
    return missing < 0 ? hashes.length : missing;
  }

  find(hash: string): SliceName | null {
    return this.#slices.get(hash) ?? null;
  }

  /** Ends of sequences and checkpoints that follow on this whole slice, the longest first. */
  endsAfter(parent: string): SliceName[] {
    return [...(this.#ends.get(parent)?.values() ?? [])].sort((a, b) => (b.extra ?? 0) - (a.extra ?? 0));
  }

  /** The last state of each chain that no other one goes on from. */
  ends(): { name: SliceName; usedMs: number }[] {
    const parents = new Set([...this.#slices.values()].map(({ parent }) => parent));
    const ends = [...this.#slices.values()].filter(({ hash }) => !parents.has(hash));
    return ends.map((name) => ({ name, usedMs: this.#files.get(this.pathOf(name))?.usedMs ?? 0 }));
  }

  /** What the first state of its chain hangs on; null where that one is gone. */
  rootOf(name: SliceName): string | null {
    let first = name;
    while (first.depth > (first.extra === undefined ? 1 : 0)) {
      const before = this.#slices.get(first.parent);
      if (before === undefined) return null;
      first = before;
    }
    return first.parent;
  }

  /** Slices are used from the first one on, so none is ever older than those that need it. */
  touch(hashes: readonly string[], nowMs: number): void {
    for (const hash of hashes) {
      const name = this.#slices.get(hash);
      const file = name === undefined ? undefined : this.#files.get(this.pathOf(name));
      if (file === undefined || file.usedMs >= nowMs) continue;
      file.usedMs = nowMs;
      setTime(file.path, nowMs);
    }
  }

  /**
   * Removes what was not used for longest, until `bytes` more are within the budget. Only files that were last used
   * before `usedMs` go: else two states that don't fit together would push each other out for ever. False: no room.
   * What others have begun to write at this moment is not counted yet: the budget may be passed by a file of each.
   */
  makeRoom(bytes: number, usedMs: number): boolean {
    this.#look();
    while (this.#bytes + bytes > this.bytesMax) {
      let oldest: SliceFile | null = null;
      for (const file of this.#files.values()) {
        // Of one chain the last slice goes first: the others are of use without it.
        if (oldest === null || file.usedMs < oldest.usedMs || (file.usedMs === oldest.usedMs && deeper(file, oldest)))
          oldest = file;
      }
      if (oldest === null || oldest.usedMs >= usedMs) return false;
      // Another engine may have used it since.
      if (!this.#update(oldest)) this.#drop(oldest.path);
    }
    return true;
  }

  /** Whether the file is there: another engine may have made room with it. */
  isThere(name: SliceName): boolean {
    return existsSync(this.pathOf(name));
  }

  /** The file was written, of a state that was last used then. */
  add(name: SliceName, bytes: number, usedMs: number): void {
    const path = this.pathOf(name);
    this.#forget(path);
    this.#know(name);
    this.#files.set(path, { path, bytes, usedMs });
    this.#bytes += bytes;
    setTime(path, usedMs);
  }

  /** A file that can't be trusted goes, and with it what went on from it. */
  discard(hash: string): void {
    const open = [hash];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const name = this.#slices.get(next);
      if (name !== undefined) this.#drop(this.pathOf(name));
      for (const { hash: child, parent } of this.#slices.values()) if (parent === next) open.push(child);
    }
  }

  /** What came and went by others' doing. A folder that can't be read now leaves what was known. */
  #look(): void {
    try {
      for (const folder of this.#listing.changed()) this.#takeListed(folder);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === undefined) throw thrown;
    }
  }

  #takeListed({ path: folder, names }: ListedFolder): void {
    const there = new Set(names);
    for (const path of [...this.#files.keys()]) {
      if (dirname(path) === folder && !there.has(basename(path))) this.#forget(path);
    }
    for (const entry of names) {
      const path = join(folder, entry);
      const name = this.#files.has(path) || this.#stuck.has(path) ? null : parseName(entry);
      if (name !== null) this.#note(path, folder === this.folder ? name : null);
    }
  }

  #note(path: string, name: SliceName | null): void {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return;
    this.#files.set(path, { path, bytes: stat.size, usedMs: stat.mtimeMs });
    this.#bytes += stat.size;
    if (name !== null) this.#know(name);
  }

  #know(name: SliceName): void {
    this.#version++;
    this.#slices.set(name.hash, name);
    if (name.extra === undefined) return;
    const siblings = this.#ends.get(name.parent) ?? new Map<string, SliceName>();
    this.#ends.set(name.parent, siblings.set(name.hash, name));
  }

  #drop(path: string): void {
    this.#remove(path);
    this.#forget(path);
  }

  /** True when the file was used later than we knew. */
  #update(file: SliceFile): boolean {
    const timeMs = statSync(file.path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    // Times of files are rounded.
    if (timeMs < file.usedMs + 1) return false;
    file.usedMs = timeMs;
    return true;
  }

  #remove(path: string): void {
    try {
      rmSync(path, { force: true });
    } catch {
      // A read-only disk keeps its files.
      this.#stuck.add(path);
    }
  }

  #forget(path: string): void {
    const file = this.#files.get(path);
    if (file === undefined) return;
    this.#bytes -= file.bytes;
    this.#files.delete(path);
    const name = parseName(basename(path));
    if (name === null || path !== this.pathOf(name)) return;
    this.#version++;
    this.#slices.delete(name.hash);
    const siblings = this.#ends.get(name.parent);
    if (siblings?.delete(name.hash) === true && siblings.size === 0) this.#ends.delete(name.parent);
  }
}

/** A draft whose writer is gone; another model's engine may be writing its own right now. */
function isLeftOver(file: string): boolean {
  const pid = Number(DRAFT.exec(file)?.[1] ?? 0);
  if (pid === 0) return false;
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return false;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "ESRCH";
  }
}

function deeper(a: SliceFile, b: SliceFile): boolean {
  const [depthA, depthB] = [depthOf(a), depthOf(b)];
  return depthA > depthB;
}

/** An end goes before the slice that it follows on, and is needed by no other. */
function depthOf(file: SliceFile): number {
  const name = parseName(basename(file.path));
  return name === null ? 0 : name.depth + (name.extra === undefined ? 0 : 0.5);
}

/** The next start tells the old from the new by it. */
function setTime(path: string, ms: number): void {
  try {
    utimesSync(path, ms / 1000, ms / 1000);
  } catch {
    // Another process may have removed it, or the disk be read-only: its age is all that is lost.
  }
}
