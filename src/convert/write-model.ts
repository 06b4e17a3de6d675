// Writes a planned model: tensor by tensor and chunk by chunk, to a temporary name beside the target, which takes its
// place only when everything is on the disk. Owns the temporary file: it is removed on any failure.

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
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { readGgufHeader } from "../formats/gguf/read-header.ts";
import { ALIGNMENT, type EncodedHeader } from "../formats/gguf/write-header.ts";
import { withFile } from "../formats/read-at.ts";
import { codeOf } from "../lib/system-error.ts";
import { AppError } from "../protocol/errors.ts";

/** Bytes of one tensor, in order. */
export type TensorBytes = Generator<Uint8Array>;

export interface ModelFile {
  header: EncodedHeader;
  tensors: readonly { name: string; chunks: () => TensorBytes }[];
}

export interface WriteOptions {
  /** Replaces a file that is there. */
  force: boolean;
  signal: AbortSignal;
  onProgress: (doneBytes: number, totalBytes: number) => void;
}

/** What a file system needs besides the file itself. */
const SPARE_BYTES = 16 * 1024 * 1024;
/** A temporary file that nobody has written to for so long was left by a process that was killed. */
const STALE_MS = 10 * 60 * 1000;

export async function writeModel(target: string, file: ModelFile, options: WriteOptions): Promise<void> {
  try {
    removeStale(target);
    if (!options.force && existsSync(target)) throw alreadyThere(target);
    checkSpace(dirname(target), file.header.fileBytes);
    await writeAndPlace(target, file, options);
  } catch (thrown) {
    throw explainFailure(thrown, target);
  }
}

async function writeAndPlace(target: string, file: ModelFile, options: WriteOptions): Promise<void> {
  // Hidden and without the extension, so no scan of a models folder takes it for a model.
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}.partial`);
  try {
    await writeAll(temporary, file, options);
    // Read as every reader will: what contradicts itself never gets the name of a model.
    withFile(temporary, (written) => readGgufHeader(written));
    if (options.force) renameSync(temporary, target);
    else placeNew(temporary, target);
    syncFolder(dirname(target));
  } finally {
    rmSync(temporary, { force: true });
  }
}

async function writeAll(path: string, { header, tensors }: ModelFile, options: WriteOptions): Promise<void> {
  const descriptor = openSync(path, "w");
  try {
    let done = 0;
    const put = (bytes: Uint8Array): void => {
      for (let at = 0; at < bytes.byteLength; ) at += writeSync(descriptor, bytes, at, bytes.byteLength - at);
      done += bytes.byteLength;
    };
    put(header.bytes);
    for (const [index, { name, chunks }] of tensors.entries()) {
      const expected = header.tensorBytes[index] ?? 0;
      const start = done;
      for (const chunk of chunks()) {
        put(chunk);
        options.onProgress(done, header.fileBytes);
        // Signals and timers run between two chunks.
        await new Promise((resolve) => setImmediate(resolve));
        options.signal.throwIfAborted();
      }
      if (done - start !== expected) {
        throw new Error(`${name} has ${done - start} bytes where the header says ${expected}`);
      }
      put(new Uint8Array((ALIGNMENT - (done % ALIGNMENT)) % ALIGNMENT));
    }
    fsyncSync(descriptor);
    options.onProgress(done, header.fileBytes);
  } finally {
    closeSync(descriptor);
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

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
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
    message: `${folder} has ${toGigabytes(freeBytes)} free; the file takes ${toGigabytes(neededBytes)}`,
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
