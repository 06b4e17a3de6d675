// The files that a model's weights are in: one, or several with an index that says which tensor is where. Owns the open
// file; what is in the files is their formats' business.

import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { basename, join } from "node:path";
import { NotAFileError } from "../../formats/read-at.ts";
import { isRecord } from "../../lib/is-record.ts";
import { codeOf } from "../../lib/system-error.ts";
import { AppError } from "../../protocol/errors.ts";
import { damagedModel, orUnreadable, readJsonFile } from "../json-file.ts";
import { nameSome, type Weight } from "../weights.ts";

/** How a format calls its files. */
export interface PartNames {
  index: string;
  /** The first one that any file has counts. */
  patterns: readonly RegExp[];
  /** For messages. */
  shown: string;
}

/** The largest published models have under 200. */
const PARTS_MAX = 4_096;

/** The tensors of all parts, in order. Throws AppError when parts or tensors are missing, or are not where they should be. */
export function gatherParts<T extends Weight>(
  folder: string,
  names: PartNames,
  readPart: (path: string, part: string) => Iterable<T>,
): Map<string, T> {
  const index = readWeightMap(folder, names.index);
  const parts = index === null ? findParts(folder, names) : [...new Set(index.values())].sort();
  if (parts.length > PARTS_MAX)
    throw damagedModel(`the model has ${parts.length} parts; at most ${PARTS_MAX} are read`);
  const tensors = new Map<string, T>();
  for (const part of parts) {
    for (const tensor of readPart(join(folder, part), part)) {
      if (tensors.has(tensor.name)) throw damagedModel(`the tensor "${tensor.name.slice(0, 80)}" is in two parts`);
      tensors.set(tensor.name, tensor);
    }
  }
  if (index !== null) compareWithIndex(names.index, index, tensors);
  return tensors;
}

/** Whether a folder has weights of this format. */
export function hasParts(folder: string, { index, patterns }: PartNames): boolean {
  const names = orUnreadable(folder, () => readdirSync(folder));
  return names.some((name) => name === index || patterns.some((pattern) => pattern.test(name)));
}

/** Tensor → part; null where the folder has no index. */
function readWeightMap(folder: string, file: string): Map<string, string> | null {
  const index = readJsonFile(folder, file);
  if (index === null) return null;
  const weights = index.value("weight_map");
  if (!isRecord(weights)) throw damagedModel(`${file} lacks "weight_map"`);
  const map = new Map<string, string>();
  for (const [name, part] of Object.entries(weights)) {
    // The index is data from elsewhere: it must not lead out of its folder.
    if (typeof part !== "string" || part === "" || basename(part) !== part || part.startsWith(".")) {
      throw damagedModel(`${file}: "${name.slice(0, 80)}" is not in a file of this folder`);
    }
    map.set(name, part);
  }
  return map;
}

function findParts(folder: string, { patterns, shown }: PartNames): string[] {
  const names = orUnreadable(folder, () => readdirSync(folder));
  for (const pattern of patterns) {
    const parts = names.filter((name) => pattern.test(name));
    if (parts.length > 0) return parts.sort();
  }
  throw new AppError({
    code: "format_unsupported",
    message: `${folder} has no ${shown}`,
    hint: "ml-offload convert takes a folder with config.json, a tokenizer and SafeTensors or PyTorch weights.",
  });
}

function compareWithIndex(
  file: string,
  index: ReadonlyMap<string, string>,
  tensors: ReadonlyMap<string, unknown>,
): void {
  const missing = [...index.keys()].filter((name) => !tensors.has(name));
  if (missing.length > 0)
    throw damagedModel(`${missing.length} tensors of ${file} are in no part: ${nameSome(missing)}`);
  const extra = [...tensors.keys()].filter((name) => !index.has(name));
  if (extra.length > 0)
    throw damagedModel(`${extra.length} tensors of the parts are not in ${file}: ${nameSome(extra)}`);
}

/** Says of a part that can't be opened what the system says. What is no trouble of the part goes on as it is. */
export function refusePart(thrown: unknown, path: string, part: string): never {
  if (thrown instanceof AppError) throw thrown;
  if (thrown instanceof NotAFileError) throw damagedModel(thrown.message, "Put the file itself there.");
  if (codeOf(thrown) === "ENOENT") throw damagedModel(`the part ${part} is missing`, "Fetch the missing file.");
  return orUnreadable(path, () => {
    throw thrown;
  });
}

/** One open file at a time: tensors come part by part. */
export class PartReader implements Disposable {
  #open: { path: string; descriptor: number } | null = null;

  /** Fills `target` from a place in a file. */
  read(path: string, start: number, target: Uint8Array): void {
    const descriptor = this.#descriptorOf(path);
    let done = 0;
    while (done < target.byteLength) {
      const count = orUnreadable(path, () =>
        readSync(descriptor, target, done, target.byteLength - done, start + done),
      );
      if (count === 0) throw damagedModel(`${basename(path)} became shorter while it was read`);
      done += count;
    }
  }

  [Symbol.dispose](): void {
    if (this.#open !== null) closeSync(this.#open.descriptor);
    this.#open = null;
  }

  #descriptorOf(path: string): number {
    if (this.#open?.path === path) return this.#open.descriptor;
    this[Symbol.dispose]();
    this.#open = { path, descriptor: orUnreadable(path, () => openSync(path, "r")) };
    return this.#open.descriptor;
  }
}
