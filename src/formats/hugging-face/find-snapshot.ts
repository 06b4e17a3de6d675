// The folder with a model's files within the Hugging Face cache: `models--owner--name` keeps them by revision under
// snapshots/, and says in refs/main which one is current.

import { join } from "node:path";
import type { FileSource } from "../file-source.ts";
import { readBytes } from "../read-at.ts";

/** A revision is a commit's hash. */
const REVISION_BYTES_MAX = 128;

/** Null: not a folder of that cache. */
export function findSnapshot(
  source: FileSource,
  folder: string,
  names: readonly string[],
): { path: string } | { problem: string } | null {
  if (!names.includes("snapshots") || !(names.includes("refs") || names.includes("blobs"))) return null;
  const snapshots = join(folder, "snapshots");
  if (source.stat(snapshots)?.kind !== "folder") return null;
  const revisions = source.list(snapshots);
  const main = join(folder, "refs", "main");
  const named =
    source.stat(main)?.kind === "file" ? source.use(main, (file) => readBytes(file, 0, REVISION_BYTES_MAX)) : null;
  const wanted = named === null ? "" : new TextDecoder().decode(named).trim();
  const revision = revisions.includes(wanted) ? wanted : revisions[0];
  return revision === undefined ? { problem: "snapshots" } : { path: join(snapshots, revision) };
}
