// A file system in memory for the detector: files by path, folders by their files, and a count of all that is read.

import { dirname } from "node:path";
import type { FileSource, PathFacts } from "../../src/formats/file-source.ts";

export interface MemoryFiles extends FileSource {
  /** Bytes that were asked for, all files together. */
  readBytes: number;
  /** The most that were asked for at once. */
  largestRead: number;
}

/** `sizes`: files that are larger than their bytes; the rest reads as zeros, as in a sparse file. */
export function memoryFiles(
  files: Readonly<Record<string, Uint8Array>>,
  sizes: Readonly<Record<string, number>> = {},
): MemoryFiles {
  const folders = new Map<string, Set<string>>([["/", new Set()]]);
  for (const path of Object.keys(files)) {
    for (let child = path; child !== "/"; child = dirname(child)) {
      const parent = dirname(child);
      folders.set(parent, (folders.get(parent) ?? new Set()).add(child.slice(parent === "/" ? 1 : parent.length + 1)));
    }
  }
  const sizeOf = (path: string): number => sizes[path] ?? files[path]?.byteLength ?? 0;
  return {
    readBytes: 0,
    largestRead: 0,
    stat(path): PathFacts | null {
      if (Object.hasOwn(files, path)) return { kind: "file", sizeBytes: sizeOf(path) };
      return folders.has(path) ? { kind: "folder", sizeBytes: 4096 } : null;
    },
    list: (path) => [...(folders.get(path) ?? [])].sort(),
    use(path, read) {
      const bytes = files[path];
      if (bytes === undefined) throw new Error(`no file ${path}`);
      const sizeBytes = sizeOf(path);
      return read({
        sizeBytes,
        read: (target, offset) => {
          const count = Math.max(0, Math.min(target.byteLength, sizeBytes - offset));
          this.readBytes += count;
          this.largestRead = Math.max(this.largestRead, target.byteLength);
          target.fill(0, 0, count);
          target.set(bytes.subarray(offset, offset + count));
          return count;
        },
      });
    },
  };
}
