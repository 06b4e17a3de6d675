// The GGUF files that were made of folders so that they could be served: where they lie, which one is for a folder as it is
// now, and which ones may go. One folder each, named by a hash of the source's files and the converter's version, with a
// note beside the file that says where it came from. Converts nothing.

import { mkdirSync, readdirSync, rmSync, type Stats, statfsSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isGgufName } from "./name.ts";
import { parseJsonObject, readSmallText } from "./small-file.ts";

export interface ConvertedCacheOptions {
  folder: string;
  /** Of the converter: another one may make another file of the same source. */
  version: string;
  /** What all files may take together; 0: a quarter of the disk, since they can be made anew and other things can't. */
  bytesMax: number;
}

interface Kept {
  folder: string;
  files: string[];
  bytes: number;
  usedMs: number;
  isCurrent: boolean;
}

const NOTE = "source.json";
const NOTE_BYTES_MAX = 64 * 1024;
const KEY = /^[0-9a-f]{32}$/;
/** The largest published models have some 300 files. */
const FILES_MAX = 4_096;
/** Share of the disk when nothing is set. */
const DISK_SHARE = 0.25;

export class ConvertedCache {
  readonly #options: ConvertedCacheOptions;

  constructor(options: ConvertedCacheOptions) {
    this.#options = options;
  }

  /** Another one when a file of the folder has come, gone or changed. Null: the folder can't be read. */
  keyOf(source: string): string | null {
    const files = listFiles(source);
    if (files === null) return null;
    const facts = files.map(({ name, stats }) => [name, stats.size, stats.mtimeMs]);
    const text = JSON.stringify([this.#options.version, source, facts]);
    return new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 32);
  }

  /** The file that was made of the folder as it is now; null: there is none. `outType` null: any, the largest first. */
  find(source: string, outType: string | null): string | null {
    const key = this.keyOf(source);
    if (key === null) return null;
    const suffix = outType === null ? "" : `-${outType.toLowerCase()}.gguf`;
    const files = listGgufs(join(this.#options.folder, key)).filter(({ path }) => path.toLowerCase().endsWith(suffix));
    return files.sort((a, b) => b.bytes - a.bytes)[0]?.path ?? null;
  }

  /** The folder for what is made of the source now; null: the source can't be read. Throws what the file system throws. */
  open(source: string): string | null {
    const key = this.keyOf(source);
    if (key === null) return null;
    const folder = join(this.#options.folder, key);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, NOTE), `${JSON.stringify({ source })}\n`);
    return folder;
  }

  /** What is used now goes last. */
  noteUse(path: string): void {
    const now = new Date();
    try {
      utimesSync(join(dirname(path), NOTE), now, now);
    } catch (_readOnly) {
      // Its date is a hint only.
    }
  }

  /** Names of all that lies there by folder, for whoever cleans up after processes that were killed. */
  listFolders(): { folder: string; names: string[] }[] {
    return namesIn(this.#options.folder)
      .filter((name) => KEY.test(name))
      .map((name) => join(this.#options.folder, name))
      .map((folder) => ({ folder, names: namesIn(folder) }));
  }

  /**
   * Removes what was made of sources that are gone or have changed, then what was not used for longest until the rest is
   * within the limit. Files in use stay, and so does the last one that was used.
   */
  sweep(inUse: ReadonlySet<string>): void {
    const all = this.listFolders().map(({ folder, names }) => this.#look(folder, names));
    const isUsed = ({ files }: Kept): boolean => files.some((file) => inUse.has(file));
    const going = all.filter((kept) => !kept.isCurrent && !isUsed(kept));
    const staying = all.filter((kept) => !going.includes(kept)).sort((a, b) => b.usedMs - a.usedMs);
    const bytesMax = this.#bytesMax();
    let bytes = 0;
    for (const [index, kept] of staying.entries()) {
      bytes += kept.bytes;
      if (bytes > bytesMax && index > 0 && !isUsed(kept)) {
        bytes -= kept.bytes;
        going.push(kept);
      }
    }
    for (const { folder } of going) rmSync(folder, { recursive: true, force: true });
  }

  #look(folder: string, names: readonly string[]): Kept {
    const note = readSmallText(join(folder, NOTE), NOTE_BYTES_MAX);
    const source = note === null ? null : parseJsonObject(note)?.source;
    const isCurrent = typeof source === "string" && folder.endsWith(this.keyOf(source) ?? "gone");
    const files = listGgufs(folder);
    // One that is being made has no file yet, but a hidden folder.
    const isBegun = names.some((name) => name.startsWith("."));
    return {
      folder,
      files: files.map(({ path }) => path),
      bytes: files.reduce((sum, file) => sum + file.bytes, 0),
      usedMs: statOrNull(join(folder, NOTE))?.mtimeMs ?? 0,
      isCurrent: isCurrent || isBegun,
    };
  }

  #bytesMax(): number {
    const { bytesMax, folder } = this.#options;
    if (bytesMax > 0) return bytesMax;
    try {
      const { blocks, bsize } = statfsSync(folder);
      return blocks * bsize * DISK_SHARE;
    } catch (_absent) {
      // Nothing was converted yet.
      return 0;
    }
  }
}

/** Sorted by name, without the hidden ones; null: it can't be read. */
function listFiles(folder: string): { name: string; stats: Stats }[] | null {
  const files: { name: string; stats: Stats }[] = [];
  try {
    for (const name of readdirSync(folder).sort()) {
      if (name.startsWith(".")) continue;
      const stats = statOrNull(join(folder, name));
      if (stats?.isFile() === true) files.push({ name, stats });
      if (files.length >= FILES_MAX) break;
    }
    return files;
  } catch (_unreadable) {
    // The folder is gone, or not ours to read: nothing was made of it that could be found.
    return null;
  }
}

function listGgufs(folder: string): { path: string; bytes: number }[] {
  const paths = namesIn(folder).filter((name) => isGgufName(name) && !name.startsWith("."));
  return paths.flatMap((name) => {
    const stats = statOrNull(join(folder, name));
    return stats === null ? [] : [{ path: join(folder, name), bytes: stats.size }];
  });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (_absent) {
    // Nothing was converted yet.
    return [];
  }
}

function statOrNull(path: string): Stats | null {
  return statSync(path, { throwIfNoEntry: false }) ?? null;
}
