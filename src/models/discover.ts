// Finds model files: what `--model` names, what lies in the models folders, and what other programs keep. What is broken
// stays as a finding with an error: a request for it then says what is wrong. Reads no file contents but the small
// records that other programs keep beside their models (manifest.ts reads the models).

import { basename, dirname, resolve } from "node:path";
import { explainConvertible } from "./convertible.ts";
import { namesByFile, WalkBudget, walkFolder } from "./folder-walk.ts";
import { type FoundModel, FoundModels, isDirectory, missingFile, statOrError } from "./found.ts";
import { idFromFileName } from "./name.ts";
import { searchHuggingFace } from "./places/hugging-face.ts";
import { searchJan } from "./places/jan.ts";
import { searchLlamaCache } from "./places/llama-cache.ts";
import { searchLmStudio } from "./places/lm-studio.ts";
import { searchOllama } from "./places/ollama.ts";
import type { ModelPlace } from "./places/places.ts";
import { namesByRecord } from "./pulled.ts";

export interface DiscoverOptions {
  models: readonly string[];
  modelsDirs: readonly string[];
  /** Folders of other programs, in order. */
  places?: readonly ModelPlace[];
}

const SEARCHES: Readonly<Record<ModelPlace["kind"], (found: FoundModels, folder: string) => void>> = {
  own: (found, root) => walkFolder(found, { root, what: "the models folder", names: namesByRecord }),
  "hugging-face": searchHuggingFace,
  "lm-studio": searchLmStudio,
  ollama: searchOllama,
  "llama-cache": searchLlamaCache,
  jan: searchJan,
};

/** `models` first and in their order, then the folders' files by path, then the places. A file that is met twice counts once. */
export function discoverModels({ models, modelsDirs, places = [] }: DiscoverOptions): FoundModels {
  const found = new FoundModels();
  const budget = new WalkBudget();
  for (const path of models) addNamed(found, resolve(path), budget);
  for (const folder of modelsDirs) {
    walkFolder(found, { root: resolve(folder), what: "the models folder", names: namesByRecord }, budget);
  }
  for (const { kind, folder } of places) SEARCHES[kind](found, folder);
  return found;
}

function addNamed(found: FoundModels, path: string, budget: WalkBudget): void {
  const stats = statOrError(path);
  if ("code" in stats) {
    const names = { ...namesByFile(path, dirname(path)), name: idFromFileName(basename(path)) };
    found.addRefused(path, names, true, missingFile(path, stats));
  } else if (isDirectory(path)) {
    addNamedFolder(found, path, budget);
  } else {
    found.folders.add(dirname(path));
    found.addFile(path, namesByFile(path, dirname(path)), true);
  }
}

/** `owner/repo` alone names a model when there is one of that repository only. Companions are no models. */
export function nameLoneRepositories(models: readonly FoundModel[]): void {
  const counts = new Map<string, number>();
  for (const { repo } of models) {
    if (repo !== null) counts.set(repo, (counts.get(repo) ?? 0) + 1);
  }
  for (const model of models) {
    if (model.repo !== null && counts.get(model.repo) === 1) model.linkNames.push(model.repo);
  }
}

/** One without a GGUF file may be a model all the same. */
function addNamedFolder(found: FoundModels, path: string, budget: WalkBudget): void {
  const before = found.models.length;
  walkFolder(found, { root: path, what: "the folder", explicit: true }, budget);
  const error = found.models.length === before ? explainConvertible(path) : null;
  if (error === null) return;
  found.addRefused(path, { ...namesByFile(path, dirname(path)), name: basename(path) }, true, error);
}
