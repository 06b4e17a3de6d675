// The end of an upload: the whole file is checked, and gets its name in one step. Nothing is put in the place of a model.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { withFile } from "../../formats/read-at.ts";
import type { Environment } from "../../lib/paths.ts";
import { AppError } from "../../protocol/errors.ts";
import { encodeRecord, recordName } from "../../protocol/hub-name.ts";
import { type ModelDescription, ModelFileError, parseModelFile } from "../model-file/parse.ts";
import { assertTemplateNear } from "../model-file/template-file.ts";
import { placeFile } from "../place-file.ts";
import { checkWhole } from "./header-check.ts";
import type { UploadStatus } from "./ticket.ts";

export interface Uploaded {
  kind: "model" | "model-file";
  path: string;
  sizeBytes: number;
  /** Hexadecimal; null: it was not asked for, and the upload came in parts. */
  sha256: string | null;
}

/** About a millisecond of work between two turns. */
const PIECE_BYTES = 1024 * 1024;

/** `digest`: of all that arrived, where it is known. */
export async function finishModel(
  ticket: UploadStatus,
  part: string,
  path: string,
  digest: string | null,
): Promise<Uploaded> {
  const sha256 = await verify(ticket, part, digest);
  withFile(part, checkWhole);
  if (!placeFile(part, path)) throw isThere(path);
  const { offset: sizeBytes } = ticket;
  // As of a download: it says that the file was whole and checked when it got its name.
  const record = encodeRecord({ repo: null, tag: null, url: "upload:", revision: null, sizeBytes, sha256 });
  writeFileSync(join(dirname(path), recordName(basename(path))), record);
  return { kind: "model", path, sizeBytes, sha256 };
}

export async function finishModelFile(
  ticket: UploadStatus,
  part: string,
  path: string,
  digest: string | null,
  { env, check }: { env: Environment; check: (description: ModelDescription) => void },
): Promise<Uploaded> {
  const sha256 = await verify(ticket, part, digest);
  const text = readFileSync(part, "utf8");
  try {
    const description = parseModelFile(path, text, env);
    assertTemplateNear(description);
    check(description);
  } catch (thrown) {
    if (!(thrown instanceof ModelFileError)) throw thrown;
    const { param = "file" } = thrown.body;
    const hint = `Correct it and send it again. ${thrown.advice}`;
    // Where it would have come to lie is nobody's business who sends it.
    const message = thrown.body.message.replace(path, basename(path));
    throw new AppError({ code: "invalid_request", message, hint, param }, { cause: thrown });
  }
  mkdirSync(dirname(path), { recursive: true });
  // The folder may lie on another disk than the part does.
  const fresh = join(dirname(path), `.${basename(path)}.${ticket.id}.new`);
  try {
    writeFileSync(fresh, text, { flag: "wx" });
    if (ticket.replaces) renameSync(fresh, path);
    else if (!placeFile(fresh, path)) throw isThere(path);
  } finally {
    rmSync(fresh, { force: true });
  }
  return { kind: "model-file", path, sizeBytes: ticket.offset, sha256 };
}

/** Length and checksum. Returns the checksum where it is known. */
async function verify(ticket: UploadStatus, part: string, digest: string | null): Promise<string | null> {
  const { sizeBytes, offset, sha256 } = ticket;
  if (sizeBytes !== null && offset !== sizeBytes) {
    const message = `the upload ended after ${offset} of ${sizeBytes} bytes`;
    throw new AppError({ code: "invalid_request", message, hint: "Send all of it." });
  }
  const found = digest ?? (sha256 === null ? null : await hashFile(part));
  if (sha256 === null || found === sha256) return found;
  const message = `the upload has the SHA-256 ${found} in place of ${sha256}`;
  throw new AppError({ code: "invalid_request", message, hint: "Send it again.", param: "sha256" });
}

async function hashFile(path: string): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  const buffer = new Uint8Array(PIECE_BYTES);
  const file = await open(path, "r");
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, PIECE_BYTES, null);
      if (bytesRead === 0) return hasher.digest("hex");
      hasher.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

function isThere(path: string): AppError {
  const message = `there is a file ${basename(path)} already`;
  return new AppError({ code: "conflict", message, hint: "Choose another name.", param: "name" });
}
