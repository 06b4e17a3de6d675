// What is free on the disk that models go to.

import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";

/** Kept free: a disk without a byte breaks other programs, and our own state is on it too. */
export const DISK_RESERVE_BYTES = 256 * 1024 * 1024;

/** The models folder is made by the first download. */
export function nearestFolder(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestFolder(dirname(path));
}

/** Null: not known. */
export async function readFreeBytes(folder: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (_unknown) {
    // A file system that does not tell: a full disk is then met while writing.
    return null;
  }
}
