// The cache of the Hugging Face Hub's libraries: `models--owner--repo/snapshots/REVISION/…`, whose files are links to
// blobs. Of each file the one of the newest snapshot counts. Models of MLX lie there as well.

import { join, relative } from "node:path";
import { walkFolder } from "../folder-walk.ts";
import { type FoundModels, isDirectory, statOrError } from "../found.ts";
import { hubNames } from "../pulled.ts";
import { readSmallText } from "../small-file.ts";
import { listFolder } from "./list-folder.ts";
import { addWeightsFolder } from "./weights.ts";

const PREFIX = "models--";
/** Revisions that somebody fetched of one repository; each is a folder of links. */
const SNAPSHOTS_MAX = 32;
/** A commit's name, with room. */
const REF_BYTES_MAX = 256;

export function searchHuggingFace(found: FoundModels, hub: string): void {
  for (const name of listFolder(found, hub)) {
    if (!name.startsWith(PREFIX)) continue;
    searchRepository(found, join(hub, name), name.slice(PREFIX.length).split("--").join("/"));
  }
}

function searchRepository(found: FoundModels, folder: string, repo: string): void {
  const met = new Set<string>();
  for (const root of listSnapshots(found, folder)) {
    walkFolder(found, {
      root,
      what: "the snapshot",
      names: (path) => hubNames(repo, relative(root, path)),
      accept(path) {
        const file = relative(root, path);
        const isNew = !met.has(file);
        met.add(file);
        return isNew;
      },
      onFolder(inner, entries) {
        if (inner !== root || met.size > 0) return;
        const names = { name: repo, relativeName: repo, otherNames: [], repo };
        if (addWeightsFolder(found, inner, entries, names)) met.add("");
      },
    });
  }
}

/** That of `main` first, then the newest ones. */
function listSnapshots(found: FoundModels, folder: string): string[] {
  const main = readSmallText(join(folder, "refs", "main"), REF_BYTES_MAX)?.trim() ?? "";
  const snapshots = join(folder, "snapshots");
  found.folders.add(folder);
  const dated = listFolder(found, snapshots)
    .map((name) => ({ name, path: join(snapshots, name) }))
    .filter(({ path }) => isDirectory(path))
    .map(({ name, path }) => {
      const stats = statOrError(path);
      return { path, rank: name === main ? Number.POSITIVE_INFINITY : "code" in stats ? 0 : stats.mtimeMs };
    });
  dated.sort((a, b) => b.rank - a.rank);
  return dated.slice(0, SNAPSHOTS_MAX).map(({ path }) => path);
}
