// Ollama's store: manifests name layers by digest, the layers are files named by it. A model's weights in it are a GGUF and
// run from where they lie. Digests are checked to be such before they become part of a path.

import { join } from "node:path";
import { quotePath } from "../../lib/shell-quote.ts";
import { type Finding, showText } from "../detection.ts";
import { type FileSource, fieldOf, readJson, textOf } from "../file-source.ts";

export interface OllamaModel {
  /** Such as `llama3.2:1b` or `owner/name:tag`. */
  name: string;
  /** The blob with its weights. */
  path: string;
  isThere: boolean;
}

/** A manifest lists a handful of layers. */
const MANIFEST_BYTES_MAX = 256 * 1024;
/** Manifests that one look at a store reads. */
const MODELS_MAX = 256;
/** manifests/host/owner/name/tag */
const DEPTH = 4;
/** Names that one look at manifests/ goes through: a folder that is no store may hold anything. */
const NAMES_MAX = 4_096;

/** Whether a folder is the store. */
export function isOllamaStore(source: FileSource, folder: string, names: readonly string[]): boolean {
  if (!names.includes("blobs") || !names.includes("manifests")) return false;
  const isFolder = (name: string): boolean => source.stat(join(folder, name))?.kind === "folder";
  return isFolder("blobs") && isFolder("manifests") && listManifests(source, folder).length > 0;
}

function listOllamaModels(source: FileSource, folder: string): OllamaModel[] {
  return listManifests(source, folder).flatMap((parts) => {
    const digest = readDigest(source, join(folder, "manifests", ...parts));
    if (digest === null) return [];
    const path = join(folder, "blobs", `sha256-${digest}`);
    return [{ name: toName(parts), path, isThere: source.stat(path)?.kind === "file" }];
  });
}

/** Paths below manifests/, taken apart. */
function listManifests(source: FileSource, store: string): string[][] {
  const found: string[][] = [];
  let left = NAMES_MAX;
  const visit = (parts: readonly string[]): void => {
    for (const name of source.list(join(store, "manifests", ...parts))) {
      left -= 1;
      if (left < 0 || found.length >= MODELS_MAX) return;
      if (name.startsWith(".")) continue;
      const path = [...parts, name];
      const kind = source.stat(join(store, "manifests", ...path))?.kind;
      if (kind === "file" && path.length === DEPTH) found.push(path);
      if (kind === "folder" && path.length < DEPTH) visit(path);
    }
  };
  visit([]);
  return found;
}

function readDigest(source: FileSource, path: string): string | null {
  const read = readJson(source, path, MANIFEST_BYTES_MAX);
  if ("problem" in read) return null;
  const layers = fieldOf(read.value, "layers");
  if (!Array.isArray(layers)) return null;
  const weights = layers.find((layer) => fieldOf(layer, "mediaType") === "application/vnd.ollama.image.model");
  return /^sha256:([0-9a-f]{64})$/.exec(textOf(fieldOf(weights, "digest")) ?? "")?.[1] ?? null;
}

function toName([host = "", owner = "", name = "", tag = ""]: readonly string[]): string {
  const prefix = host === "registry.ollama.ai" ? (owner === "library" ? "" : `${owner}/`) : `${host}/${owner}/`;
  return `${prefix}${name}:${tag}`;
}

export function detectOllama(source: FileSource, folder: string): Finding {
  const models = listOllamaModels(source, folder);
  const there = models.filter((model) => model.isThere);
  const missing = models.filter((model) => !model.isThere).map((model) => `the weights of ${showText(model.name)}`);
  const [first] = there;
  const base = {
    format: "ollama" as const,
    variant: "store",
    files: there.map((model) => model.path),
    sizeBytes: there.reduce((sum, model) => sum + (source.stat(model.path)?.sizeBytes ?? 0), 0),
    missing,
  };
  if (first === undefined) {
    return {
      ...base,
      verdict: "damaged",
      reason: "a store of Ollama without the weights of any model. Pull them again.",
    };
  }
  const listed = there
    .slice(0, 5)
    .map((model) => showText(model.name))
    .join(", ");
  const reason = `a store of Ollama that holds ${listed}${there.length > 5 ? " and more" : ""}. The weights of each model are a GGUF that runs from where it lies.`;
  return { ...base, verdict: "runs", reason, command: `ml-offload run ${quotePath(first.path)}`, memoryBytes: null };
}
