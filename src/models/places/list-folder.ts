// The names in a folder of another program, within limits. One that is not there has none; one that can't be read has a
// warning: it must not cost the start.

import { readFolder } from "../folder-walk.ts";
import { type FoundModels, statOrError } from "../found.ts";

/** Repositories of a cache, or tags of a model: whoever has more has them listed in part. */
const NAMES_MAX = 10_000;

/** Sorted, without the hidden ones. */
export function listFolder(found: FoundModels, folder: string): string[] {
  found.folders.add(folder);
  const stats = statOrError(folder);
  if ("code" in stats) {
    if (stats.code !== "ENOENT" && stats.code !== "ENOTDIR") {
      found.warn(`the folder ${folder} can't be read: ${stats.message}`);
    }
    return [];
  }
  if (!stats.isDirectory()) return [];
  const names = readFolder(found, folder)
    .map((entry) => entry.name)
    .filter((name) => !name.startsWith("."));
  if (names.length > NAMES_MAX) found.warn(`of ${folder} only ${NAMES_MAX} of ${names.length} entries are looked at`);
  return names.slice(0, NAMES_MAX);
}
