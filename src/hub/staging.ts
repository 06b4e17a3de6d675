// The hidden folder that a download arrives in, and the one rename by which it becomes a model.

import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { explainDisk } from "./partial-file.ts";
import type { PullPlan } from "./plan.ts";
import { recordPath } from "./records.ts";

/** One rename makes the model appear. What was there before, of an older revision, goes. */
export async function publish(staging: string, { folder, files }: PullPlan, replaced: string): Promise<void> {
  const expected = files.flatMap(({ fileName }) => [join(staging, fileName), recordPath(staging, fileName)]);
  try {
    // Of a try before the repository's files changed.
    for (const entry of await readdir(staging, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (!entry.isDirectory() && !expected.includes(path)) await rm(path, { force: true });
    }
    await rm(replaced, { recursive: true, force: true });
    if (existsSync(folder)) await rename(folder, replaced);
    await rename(staging, folder);
    await rm(replaced, { recursive: true, force: true });
  } catch (thrown) {
    throw explainDisk(thrown, folder);
  }
}

/** Throws `storage_unavailable`. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (thrown) {
    throw explainDisk(thrown, path);
  }
}

export async function removeEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (_kept) {
    // Something has arrived in it, which the next try goes on from.
  }
}
