// Gives a model's file its name: made under a hidden temporary name beside the target, it takes its place only when all of
// it is on the disk and reads as a GGUF. Owns the temporary file, which is removed on any failure; not what is in it.

import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { readGgufHeader } from "../formats/gguf/read-header.ts";
import { withFile } from "../formats/read-at.ts";
import { codeOf } from "../lib/system-error.ts";
import { AppError } from "../protocol/errors.ts";

export interface Placing {
  /** Replaces a file that is there. */
  force: boolean;
  /** Of disk space, for all that is written until the file is in its place. */
  neededBytes: number;
}

/** What a file system needs besides the file itself. */
const SPARE_BYTES = 16 * 1024 * 1024;
/** A temporary file that nobody has written to for so long was left by a process that was killed. */
const STALE_MS = 10 * 60 * 1000;

/** `make` writes the file under the name that it is given. Throws AppError where that fails for the system's reasons. */
export async function placeFile(
  target: string,
  { force, neededBytes }: Placing,
  make: (temporary: string) => Promise<void>,
): Promise<void> {
  try {
    removeStale(target);
    if (!force && existsSync(target)) throw alreadyThere(target);
    checkSpace(dirname(target), neededBytes);
    await makeAndPlace(target, force, make);
  } catch (thrown) {
    throw explainFailure(thrown, target);
  }
}

/** Hidden and without the extension, so no scan of a models folder takes it for a model. `part`: of several files. */
export function temporaryName(target: string, part = ""): string {
  const middle = part === "" ? "" : `.${part}`;
  return join(dirname(target), `.${basename(target)}${middle}.${process.pid}.partial`);
}

async function makeAndPlace(target: string, force: boolean, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = temporaryName(target);
  try {
    await make(temporary);
    sync(temporary);
    // Read as every reader will: what contradicts itself never gets the name of a model.
    withFile(temporary, (written) => readGgufHeader(written));
    if (force) renameSync(temporary, target);
    else placeNew(temporary, target);
    sync(dirname(target));
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** A link is never put over a file that has come meanwhile, as a rename would be. */
function placeNew(temporary: string, target: string): void {
  try {
    linkSync(temporary, target);
  } catch (thrown) {
    const code = codeOf(thrown);
    if (code === "EEXIST") throw alreadyThere(target);
    // Some file systems have no hard links.
    if (existsSync(target)) throw alreadyThere(target);
    renameSync(temporary, target);
  }
}

/** Of a file or a folder: what was written is on the disk. */
function sync(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function checkSpace(folder: string, neededBytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  const freeBytes = bavail * bsize;
  if (freeBytes >= neededBytes + SPARE_BYTES) return;
  throw new AppError({
    code: "storage_unavailable",
    message: `${folder} has ${toGigabytes(freeBytes)} free; the conversion takes ${toGigabytes(neededBytes)}`,
    hint: "Free disk space, or name another place as DST.",
  });
}

const toGigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

/** What killed conversions to the same target have left. */
function removeStale(target: string): void {
  const folder = dirname(target);
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(`.${basename(target)}.`) || !/\.\d+\.partial$/.test(name)) continue;
    const path = join(folder, name);
    if (Date.now() - statSync(path).mtimeMs > STALE_MS) rmSync(path, { force: true });
  }
}

function alreadyThere(target: string): AppError {
  const hint = "Name another DST, or replace the file with --force.";
  return new AppError({ code: "invalid_request", message: `${target} is already there`, hint });
}

/** What the system refuses; errors of the source are `AppError`s already. */
const SYSTEM_ERRORS: readonly unknown[] = [
  "ENOSPC",
  "EDQUOT",
  "EACCES",
  "EPERM",
  "EROFS",
  "EIO",
  "ENOENT",
  "ENOTDIR",
  "EISDIR",
];

function explainFailure(thrown: unknown, target: string): unknown {
  if (!SYSTEM_ERRORS.includes(codeOf(thrown))) return thrown;
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return new AppError({
    code: "storage_unavailable",
    message: `${target} can't be written: ${why}`,
    hint: "Free disk space or check the permissions of the folder, or name another place as DST.",
  });
}
