// The detector's only window on files: what is at a path, what a folder holds, bytes of a file. The real one is here; tests
// put one in memory in its place and count what is read.

import { opendirSync, type Stats, statSync } from "node:fs";
import { isRecord } from "../lib/is-record.ts";
import { codeOf } from "../lib/system-error.ts";
import { type ReadAt, readBytes, withFile } from "./read-at.ts";

export interface PathFacts {
  kind: "file" | "folder" | "other";
  sizeBytes: number;
}

export interface FileSource {
  /** A read at any place costs microseconds, as on a disk and not over a network: vocabularies are leapt over. */
  readonly isNear?: boolean;
  /** What a path, or the link there, leads to; null where nothing is. */
  stat(path: string): PathFacts | null;
  /** Names in a folder, sorted; at most `LIST_MAX` of them are looked at. */
  list(path: string): readonly string[];
  use<T>(path: string, read: (file: ReadAt) => T): T;
}

/** The largest published models have some hundred files; the cache of a program has thousands. */
export const LIST_MAX = 10_000;

export const diskFiles: FileSource = {
  isNear: true,
  stat(path) {
    let stats: Stats | undefined;
    try {
      stats = statSync(path, { throwIfNoEntry: false });
    } catch (thrown) {
      // Something stands there that may not be looked at, or a link that leads back to itself.
      if (codeOf(thrown) === "EACCES" || codeOf(thrown) === "EPERM") return { kind: "other", sizeBytes: 0 };
      if (["ELOOP", "ENAMETOOLONG", "ENOTDIR"].includes(codeOf(thrown))) return null;
      throw thrown;
    }
    if (stats === undefined) return null;
    const kind = stats.isFile() ? "file" : stats.isDirectory() ? "folder" : "other";
    return { kind, sizeBytes: stats.size };
  },
  list(path) {
    const folder = opendirSync(path);
    const names: string[] = [];
    try {
      while (names.length < LIST_MAX) {
        const entry = folder.readSync();
        if (entry === null) break;
        names.push(entry.name);
      }
    } finally {
      folder.closeSync();
    }
    return names.sort();
  },
  use: withFile,
};

/** JSON of a file, or why there is none. `bytesMax` is the caller's limit, with its reason there. */
export function readJson(source: FileSource, path: string, bytesMax: number): { value: unknown } | { problem: string } {
  return source.use(path, (file) => {
    if (file.sizeBytes > bytesMax) return { problem: `has ${file.sizeBytes} bytes, at most ${bytesMax} are read` };
    if (file.sizeBytes === 0) return { problem: "is empty" };
    const text = new TextDecoder().decode(readBytes(file, 0, file.sizeBytes));
    if (text.startsWith("version https://git-lfs"))
      return { problem: "is a Git-LFS pointer, its content was not fetched" };
    if (/^\s*<(!doctype|html)/i.test(text)) return { problem: "is an HTML page" };
    try {
      return { value: JSON.parse(text) };
    } catch (_notJson) {
      // Why exactly is of no use to a reader: the file has to be fetched again.
      return { problem: "is not whole JSON" };
    }
  });
}

/** An object's own value; names such as `constructor` lead to nothing. */
export function fieldOf(value: unknown, key: string): unknown {
  return isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

/** A whole number over zero, or null. */
export function countOf(value: unknown): number | null {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : null;
}

export function textOf(value: unknown): string | null {
  return typeof value === "string" && value.length > 0 ? value : null;
}
