// A repository's files for readers that are synchronous: those bytes that have arrived, and which ones are asked for next.
// Asks nobody itself: who reads too far is stopped, and begins anew when more has been fetched (look.ts).

import { dirname } from "node:path/posix";
import type { FileSource, PathFacts } from "../formats/file-source.ts";
import type { ByteRange } from "./byte-ranges.ts";
import type { RepositoryFile } from "./repository.ts";

/** Ends a reading whose bytes have not arrived. */
export class NotArrivedError extends Error {
  constructor(path: string) {
    super(`more of ${path} has to be fetched`);
    this.name = "NotArrivedError";
  }
}

export interface Need {
  path: string;
  range: ByteRange;
}

interface Window {
  start: number;
  bytes: Uint8Array;
}

/** Paths are those inside of the repository; `.` is its folder. */
export class RemoteFiles implements FileSource {
  readonly #sizes: ReadonlyMap<string, number>;
  readonly #folders: ReadonlyMap<string, Set<string>>;
  readonly #windows = new Map<string, Window[]>();
  /** What the last reading was stopped by, however it ended. */
  #need: Need | null = null;

  constructor(files: readonly Pick<RepositoryFile, "path" | "sizeBytes">[]) {
    this.#sizes = new Map(files.map(({ path, sizeBytes }) => [path, sizeBytes]));
    this.#folders = listFolders([...this.#sizes.keys()]);
  }

  /** Once; then it is forgotten. */
  takeNeed(): Need | null {
    const need = this.#need;
    this.#need = null;
    return need;
  }

  /** Bytes from the beginning that are there. */
  headBytes(path: string): number {
    let end = 0;
    for (const { start, bytes } of this.#windows.get(path) ?? []) if (start === end) end += bytes.byteLength;
    return end;
  }

  add(path: string, start: number, bytes: Uint8Array): void {
    const windows = [...(this.#windows.get(path) ?? []), { start, bytes }];
    this.#windows.set(
      path,
      windows.sort((a, b) => a.start - b.start),
    );
  }

  stat(path: string): PathFacts | null {
    if (this.#folders.has(path)) return { kind: "folder", sizeBytes: 0 };
    const sizeBytes = this.#sizes.get(path);
    return sizeBytes === undefined ? null : { kind: "file", sizeBytes };
  }

  list(path: string): readonly string[] {
    return [...(this.#folders.get(path) ?? [])].sort();
  }

  use: FileSource["use"] = (path, read) => {
    const sizeBytes = this.#sizes.get(path);
    if (sizeBytes === undefined) throw new Error(`there is no file ${path} in the repository`);
    return read({ sizeBytes, read: (target, offset) => this.#copy(path, sizeBytes, target, offset) });
  };

  #copy(path: string, sizeBytes: number, target: Uint8Array, offset: number): number {
    const end = Math.min(sizeBytes, offset + target.byteLength);
    let at = offset;
    for (const { start, bytes } of this.#windows.get(path) ?? []) {
      if (at >= end || start > at) break;
      const part = bytes.subarray(at - start, end - start);
      if (at < start + bytes.byteLength) {
        target.set(part, at - offset);
        at += part.byteLength;
      }
    }
    if (at >= end) return Math.max(0, end - offset);
    this.#need = { path, range: [at, end] };
    throw new NotArrivedError(path);
  }
}

/** Folder → names in it. */
function listFolders(paths: readonly string[]): Map<string, Set<string>> {
  const folders = new Map<string, Set<string>>([[".", new Set()]]);
  for (const path of paths) {
    for (let child = path; child !== "."; child = dirname(child)) {
      const parent = dirname(child);
      const names = folders.get(parent) ?? new Set<string>();
      names.add(child.slice(parent === "." ? 0 : parent.length + 1));
      folders.set(parent, names);
    }
  }
  return folders;
}
