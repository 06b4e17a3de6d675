// Deletes a model's files, if they are the server's own to delete: found in its own folder, really there and not behind
// a link to another one, and not named by a person at the start. Everything else is refused with the reason.

import { realpathSync, unlinkSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { AppError } from "../protocol/errors.ts";
import { recordName } from "../protocol/hub-name.ts";
import type { ModelEntry } from "./entry.ts";

/** What was removed. */
export interface Removal {
  /** A further name, a model file, or a model's own files. */
  kind: "name" | "model-file" | "files";
  /** Of the model's file that is gone; null: none is. */
  path: string | null;
}

/** A model that a model file describes, or could not describe, loses that; its own files stay. */
export function removeModel(entry: ModelEntry, ownFolder: string | null): Removal {
  const modelFile = entry.described?.file ?? (entry.place === "model-file" ? entry.path : null);
  if (modelFile === null) removeModelFiles(entry, ownFolder);
  else unlinkFiles(entry.id, [modelFile]);
  return { kind: modelFile === null ? "files" : "model-file", path: entry.path };
}

/** `ownFolder`: null when the server has none. Throws `forbidden`, or `internal` when a file can't be deleted. */
function removeModelFiles(entry: ModelEntry, ownFolder: string | null): void {
  const hint = entry.demo ? "It goes when there is another model." : "Delete the file yourself.";
  assertOwn(entry, ownFolder, "delete", hint);
  // The record of its download goes with it.
  const records = entry.files.map((file) => join(dirname(file), recordName(basename(file))));
  unlinkFiles(entry.id, [...entry.files, ...records]);
}

/** Throws `forbidden` with the reason where the files are not this server's. */
export function assertOwn(entry: ModelEntry, ownFolder: string | null, verb: string, hint: string): void {
  const reason = explainKeeping(entry, ownFolder);
  if (reason === null) return;
  const message = `${entry.id} is not this server's to ${verb}: ${reason}`;
  throw new AppError({ code: "forbidden", message, hint, param: "model" });
}

function unlinkFiles(id: string, files: readonly string[]): void {
  for (const file of files) {
    try {
      // Of a link it takes the link: what that leads to stays.
      unlinkSync(file);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === "ENOENT") continue;
      const message = `${id} could not be deleted: ${(thrown as Error).message}`;
      throw new AppError({ code: "internal", message, hint: "Check the permissions." }, { cause: thrown });
    }
  }
}

function explainKeeping(entry: ModelEntry, ownFolder: string | null): string | null {
  if (entry.demo) return "it is built in";
  if (entry.explicit) return "it was named with --model";
  if (entry.conversion !== null) return "it is a folder of weights, with files that may be the only ones";
  const own = ownFolder === null ? null : realFolder(ownFolder);
  const inside = (file: string): boolean => {
    const folder = realFolder(dirname(file));
    return own !== null && folder !== null && (folder === own || folder.startsWith(own + sep));
  };
  return entry.files.every(inside) ? null : "its file is outside of the server's own models folder";
}

/** Null: it is not there. */
function realFolder(path: string): string | null {
  try {
    return realpathSync(path);
  } catch (_missing) {
    // Nothing of ours can be in a folder that is not there.
    return null;
  }
}
