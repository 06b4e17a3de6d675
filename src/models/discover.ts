// Finds model files: what `--model` names, what lies in the models folders, and what other programs keep. What is broken
// stays as a finding with an error: a request for it then says what is wrong. Reads no file contents but the small
// records that other programs keep beside their models, and what a person named that holds no model of any kind known here
// (manifest.ts and weights-folder.ts read the models).

import { basename, dirname, resolve } from "node:path";
import { namesByFile, WalkBudget, type WalkOptions, walkFolder } from "./folder-walk.ts";
import { type FoundModel, FoundModels, isDirectory, missingFile, statOrError } from "./found.ts";
import { idFromFileName } from "./name.ts";
import { searchHuggingFace } from "./places/hugging-face.ts";
import { searchJan } from "./places/jan.ts";
import { searchLlamaCache } from "./places/llama-cache.ts";
import { searchLmStudio } from "./places/lm-studio.ts";
import { searchOllama } from "./places/ollama.ts";
import type { ModelPlace } from "./places/places.ts";
import { addWeightsFolder, namesByFolder } from "./places/weights.ts";
import { namesByFolderRecord, namesByRecord } from "./pulled.ts";
import { judgeNamed } from "./weights-folder.ts";

export interface DiscoverOptions {
  models: readonly string[];
  modelsDirs: readonly string[];
  /** Folders of other programs, in order. */
  places?: readonly ModelPlace[];
}

const SEARCHES: Readonly<Record<ModelPlace["kind"], (found: FoundModels, folder: string) => void>> = {
  own: (found, root) => walkFolder(found, ownFolder(found, root)),
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
  found.place = "models-dir";
  for (const folder of modelsDirs) {
    walkFolder(found, ownFolder(found, resolve(folder)), budget);
  }
  for (const { kind, folder } of places) {
    found.place = kind;
    SEARCHES[kind](found, folder);
  }
  return found;
}

function ownFolder(found: FoundModels, root: string): WalkOptions {
  return {
    root,
    what: "the models folder",
    names: namesByRecord,
    onFolder: (folder, entries) => void addWeightsFolder(found, folder, entries, namesByFolderRecord(folder, root)),
  };
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

/** One without a model that can be served may hold something else: then it is named. */
function addNamedFolder(found: FoundModels, path: string, budget: WalkBudget): void {
  const before = found.models.length;
  const onFolder = (folder: string, entries: readonly string[]): void =>
    void addWeightsFolder(found, folder, entries, namesByFolder(folder, path), true);
  walkFolder(found, { root: path, what: "the folder", explicit: true, onFolder }, budget);
  const verdict = found.models.length === before ? judgeNamed(path) : null;
  if (verdict === null) return;
  if (verdict === "weights") found.addWeights(path, namesByFolder(path, path), true);
  else found.addRefused(path, { ...namesByFile(path, dirname(path)), name: basename(path) }, true, verdict);
}
