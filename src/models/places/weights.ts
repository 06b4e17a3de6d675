// Folders of weights that are no GGUF files, SafeTensors as a rule: told by names alone, and listed as one model each. What
// they really hold, and whether they can be converted, the detector says when they are read.

import { existsSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { isConvertibleFile } from "../../formats/convertible.ts";
import { PARAMS_FILE } from "../../formats/meta/own-layout.ts";
import type { FoundModels, FoundNames } from "../found.ts";

/** Every such folder has one. */
export const WEIGHTS_CONFIG = "config.json";

/** True when the folder is one: a configuration, weights, and no GGUF file that could be served in their place. */
export function addWeightsFolder(
  found: FoundModels,
  folder: string,
  entries: readonly string[],
  names: FoundNames,
  explicit = false,
): boolean {
  const has = (pattern: RegExp): boolean => entries.some((name) => pattern.test(name));
  const hasWeights = has(/\.safetensors$/i) || entries.some(isConvertibleFile);
  const isDescribed = entries.includes(WEIGHTS_CONFIG) || entries.includes(PARAMS_FILE);
  if (!isDescribed || !hasWeights || has(/\.gguf$/i)) return false;
  // The parts of an image pipeline are no models of their own.
  if (existsSync(join(folder, "..", "model_index.json"))) return false;
  found.addWeights(folder, names, explicit);
  return true;
}

/** In a models folder: the folder's name, or the repository's where it is a revision of the Hugging Face cache. */
export function namesByFolder(folder: string, root: string): FoundNames {
  const parent = dirname(folder);
  const repository = /^models--(.+?)--(.+)$/.exec(basename(dirname(parent)));
  if (basename(parent) === "snapshots" && repository !== null) {
    const repo = `${repository[1]}/${repository[2]}`;
    return { name: repo, relativeName: repo, otherNames: [basename(folder)], repo };
  }
  const path = relative(root, folder).split("\\").join("/");
  return { name: basename(folder), relativeName: path === "" ? basename(folder) : path, otherNames: [], repo: null };
}
