// The weights of a SafeTensors folder: one file or several with an index, as one list of tensors whose bytes are read by
// ranges. Owns the open file; reads no tensor until it is asked to, and never a whole file.

import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { basename, join } from "node:path";
import { NotAFileError, withFile } from "../formats/read-at.ts";
import { readSafetensorsHeader, SafetensorsError, type SafetensorsTensor } from "../formats/safetensors/read-header.ts";
import { isRecord } from "../lib/is-record.ts";
import { codeOf } from "../lib/system-error.ts";
import { AppError } from "../protocol/errors.ts";
import { damagedModel, orUnreadable, readJsonFile } from "./json-file.ts";

export interface Weight extends SafetensorsTensor {
  path: string;
}

/** Tensors by name, and their bytes: what stands between the files of a model and its architecture. */
export interface WeightSource extends Disposable {
  /** In the order in which they are written. */
  readonly tensors: ReadonlyMap<string, Weight>;
  /** Fills `target` with a tensor's bytes, in the type that `dtype` names, from `offset` on. */
  read(weight: Weight, offset: number, target: Uint8Array): void;
}

const INDEX_FILE = "model.safetensors.index.json";
/** The largest published models have under 200. */
const PARTS_MAX = 4_096;

export class SafetensorsWeights implements WeightSource {
  /** By part, and within one by name: the order in which llama.cpp's converter writes them. */
  readonly tensors: ReadonlyMap<string, Weight>;
  readonly parts: readonly string[];
  #open: { path: string; descriptor: number } | null = null;

  private constructor(tensors: ReadonlyMap<string, Weight>, parts: readonly string[]) {
    this.tensors = tensors;
    this.parts = parts;
  }

  /** Reads the headers of all parts. Throws AppError when parts or tensors are missing, or are not what they should be. */
  static open(folder: string): SafetensorsWeights {
    const index = readWeightMap(folder);
    const parts = index === null ? findParts(folder) : [...new Set(index.values())].sort();
    if (parts.length > PARTS_MAX)
      throw damagedModel(`the model has ${parts.length} parts; at most ${PARTS_MAX} are read`);
    const tensors = new Map<string, Weight>();
    for (const part of parts) {
      const path = join(folder, part);
      const found = [...readHeader(path, part).values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      for (const tensor of found) {
        if (tensors.has(tensor.name)) throw damagedModel(`the tensor "${tensor.name.slice(0, 80)}" is in two parts`);
        tensors.set(tensor.name, { ...tensor, path });
      }
    }
    if (index !== null) compareWithIndex(index, tensors);
    return new SafetensorsWeights(tensors, parts);
  }

  read(weight: Weight, offset: number, target: Uint8Array): void {
    const descriptor = this.#descriptorOf(weight.path);
    let done = 0;
    while (done < target.byteLength) {
      const at = weight.start + offset + done;
      const count = orUnreadable(weight.path, () => readSync(descriptor, target, done, target.byteLength - done, at));
      if (count === 0) throw damagedModel(`${basename(weight.path)} became shorter while it was read`);
      done += count;
    }
  }

  [Symbol.dispose](): void {
    if (this.#open !== null) closeSync(this.#open.descriptor);
    this.#open = null;
  }

  /** One file at a time: tensors come part by part. */
  #descriptorOf(path: string): number {
    if (this.#open?.path === path) return this.#open.descriptor;
    this[Symbol.dispose]();
    this.#open = { path, descriptor: orUnreadable(path, () => openSync(path, "r")) };
    return this.#open.descriptor;
  }
}

function readHeader(path: string, part: string): ReadonlyMap<string, SafetensorsTensor> {
  try {
    return withFile(path, (file) => readSafetensorsHeader(file).tensors);
  } catch (thrown) {
    if (thrown instanceof SafetensorsError) {
      const hint = thrown.reason === "unsupported" ? "Use a version of the model in F32, F16 or BF16." : undefined;
      throw damagedModel(`${part}: ${thrown.message}`, hint);
    }
    if (thrown instanceof NotAFileError) throw damagedModel(thrown.message, "Put the file itself there.");
    const code = codeOf(thrown);
    if (code === "ENOENT") throw damagedModel(`the part ${part} is missing`, "Fetch the missing file.");
    return orUnreadable(path, () => {
      throw thrown;
    });
  }
}

/** Tensor → part; null where the folder has no index. */
function readWeightMap(folder: string): Map<string, string> | null {
  const index = readJsonFile(folder, INDEX_FILE);
  if (index === null) return null;
  const weights = index.value("weight_map");
  if (!isRecord(weights)) throw damagedModel(`${INDEX_FILE} lacks "weight_map"`);
  const map = new Map<string, string>();
  for (const [name, part] of Object.entries(weights)) {
    // The index is data from elsewhere: it must not lead out of its folder.
    if (typeof part !== "string" || part === "" || basename(part) !== part || part.startsWith(".")) {
      throw damagedModel(`${INDEX_FILE}: "${name.slice(0, 80)}" is not in a file of this folder`);
    }
    map.set(name, part);
  }
  return map;
}

function findParts(folder: string): string[] {
  const names = orUnreadable(folder, () => readdirSync(folder)).filter((name) => /^model.*\.safetensors$/.test(name));
  if (names.length > 0) return names.sort();
  throw new AppError({
    code: "format_unsupported",
    message: `${folder} has no model*.safetensors`,
    hint: "ml-offload convert takes a folder with config.json, a tokenizer and SafeTensors weights.",
  });
}

function compareWithIndex(index: ReadonlyMap<string, string>, tensors: ReadonlyMap<string, Weight>): void {
  const missing = [...index.keys()].filter((name) => !tensors.has(name));
  if (missing.length > 0) {
    throw damagedModel(`${missing.length} tensors of ${INDEX_FILE} are in no part: ${nameSome(missing)}`);
  }
  const extra = [...tensors.keys()].filter((name) => !index.has(name));
  if (extra.length > 0) {
    throw damagedModel(`${extra.length} tensors of the parts are not in ${INDEX_FILE}: ${nameSome(extra)}`);
  }
}

export function nameSome(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => name.slice(0, 80));
  return shown.join(", ") + (names.length > shown.length ? ", …" : "");
}
