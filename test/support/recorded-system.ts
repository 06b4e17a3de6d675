// A machine as files: path → text, in place of the real /proc and /sys.

import type { SystemReader } from "../../src/hardware/reader.ts";

export function recordedSystem(files: Readonly<Record<string, string>>): SystemReader {
  return {
    text: (path) => files[path] ?? null,
    list(folder) {
      const below = Object.keys(files).filter((path) => path.startsWith(`${folder}/`));
      return [...new Set(below.map((path) => path.slice(folder.length + 1).split("/")[0] ?? ""))].sort();
    },
  };
}

/** The same files under a folder: `under("/a", { b: "1" })` is `{ "/a/b": "1" }`. */
export function under(folder: string, files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [`${folder}/${name}`, text]));
}
