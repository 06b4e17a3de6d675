// The records beside downloaded files: written when a file was checked, and read to see what need not be fetched again.

import { readFile, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { decodeRecord, encodeRecord, type PullRecord, RECORD_BYTES_MAX, recordName } from "../protocol/hub-name.ts";
import { explainDisk } from "./partial-file.ts";
import type { PlannedFile, PullPlan } from "./plan.ts";

/** Whether the folder has all these files, as they are now where they come from. */
export async function isComplete(folder: string, { files }: Pick<PullPlan, "files">): Promise<boolean> {
  for (const file of files) {
    if (!(await isThere(folder, file))) return false;
  }
  return true;
}

async function isThere(folder: string, { fileName, url, sizeBytes, sha256 }: PlannedFile): Promise<boolean> {
  const record = await readRecord(recordPath(folder, fileName));
  if (record === null) return false;
  // Without a checksum nobody can tell whether the source has something else by now: the address has to do.
  const same = sha256 === null ? record.url === url : record.sha256 === sha256;
  if (!same || (sizeBytes !== null && record.sizeBytes !== sizeBytes)) return false;
  try {
    return (await stat(join(folder, fileName))).size === record.sizeBytes;
  } catch (_gone) {
    // Somebody deleted the file and left its record.
    return false;
  }
}

/** Beside its file. */
export function recordPath(folder: string, fileName: string): string {
  const path = join(folder, fileName);
  return join(dirname(path), recordName(basename(path)));
}

async function readRecord(path: string): Promise<PullRecord | null> {
  try {
    return (await stat(path)).size > RECORD_BYTES_MAX ? null : decodeRecord(await readFile(path, "utf8"));
  } catch (_none) {
    // It was never fetched.
    return null;
  }
}

/** Throws `storage_unavailable`. */
export async function writeRecord(
  folder: string,
  { fileName, url, sha256 }: PlannedFile,
  { repo, tag, revision }: PullPlan,
  { sizeBytes, commit }: { sizeBytes: number; commit: string | null },
): Promise<void> {
  const path = recordPath(folder, fileName);
  const record = { repo, tag, url, revision: commit ?? revision, sizeBytes, sha256 };
  try {
    await writeFile(path, encodeRecord(record));
  } catch (thrown) {
    throw explainDisk(thrown, path);
  }
}
