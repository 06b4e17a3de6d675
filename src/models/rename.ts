// Renames a model's files in the server's own folder: all parts and the records of their downloads, or none. A model that is
// called otherwise than its file, as one of the Hub is, keeps its name.

import { basename, dirname, extname, join } from "node:path";
import { AppError } from "../protocol/errors.ts";
import { decodeRecord, RECORD_BYTES_MAX, recordName } from "../protocol/hub-name.ts";
import type { ModelEntry } from "./entry.ts";
import { checkFileName } from "./file-name.ts";
import { isGgufName, parseSplit, splitFileName, stripExtension } from "./name.ts";
import { placeFile } from "./place-file.ts";
import { assertOwn } from "./removal.ts";
import { readSmallText } from "./small-file.ts";

const COPY_HINT = "POST /api/models/copy gives it a further name.";

/** Returns the new paths. Throws `forbidden`, `invalid_request`, `conflict`, or `internal` when the system refuses. */
export function renameModel(entry: ModelEntry, name: string, ownFolder: string | null): string[] {
  const refuse = (message: string): never => {
    throw new AppError({ code: "forbidden", message, hint: COPY_HINT, param: "model" });
  };
  if (entry.described !== null) refuse(`${entry.id} is called so by its model file ${basename(entry.described.file)}`);
  assertOwn(entry, ownFolder, "rename", COPY_HINT);
  checkFileName(name, "name");
  if (isGgufName(name) || parseSplit(name) !== null) {
    const message = "`name` is a model's name, without .gguf and numbers of parts";
    throw new AppError({ code: "invalid_request", message, hint: `Use ${stripExtension(name)}.`, param: "name" });
  }
  const moves: [from: string, to: string][] = [];
  for (const file of entry.files) {
    const folder = dirname(file);
    const record = join(folder, recordName(basename(file)));
    const text = readSmallText(record, RECORD_BYTES_MAX);
    const repo = text === null ? null : (decodeRecord(text)?.repo ?? null);
    if (repo !== null) refuse(`${entry.id} was downloaded, and is called as the Hub calls it`);
    const split = parseSplit(basename(file));
    const fresh = split === null ? name + extname(file) : splitFileName(name, split.index, split.count, extname(file));
    moves.push([file, join(folder, fresh)]);
    if (text !== null) moves.push([record, join(folder, recordName(fresh))]);
  }
  moveAll(moves, entry.id);
  return moves.map(([, to]) => to).filter((path) => !basename(path).startsWith("."));
}

/** All or none: what was moved goes back. */
function moveAll(moves: readonly (readonly [from: string, to: string])[], id: string): void {
  const done: [from: string, to: string][] = [];
  try {
    for (const [from, to] of moves) {
      if (!placeFile(from, to)) {
        const message = `there is a file ${basename(to)} already`;
        throw new AppError({ code: "conflict", message, hint: "Choose another name.", param: "name" });
      }
      done.push([from, to]);
    }
  } catch (thrown) {
    for (const [from, to] of done.reverse()) placeFile(to, from);
    if (thrown instanceof AppError) throw thrown;
    const message = `${id} could not be renamed: ${(thrown as Error).message}`;
    throw new AppError({ code: "internal", message, hint: "Check the permissions." }, { cause: thrown });
  }
}
