// A folder → the model in it: by the signature of its names, then by the first bytes of its files. Goes into subfolders only
// where a format says so.

import { join } from "node:path";
import { quotePath } from "../lib/shell-quote.ts";
import { codeOf } from "../lib/system-error.ts";
import { isPytorchZip } from "./archive/detect-archive.ts";
import { detectCoremlFolder } from "./coreml/detect-coreml.ts";
import { detectFile, sniffFile } from "./detect-file.ts";
import type { Finding } from "./detection.ts";
import { detectEngineFolder } from "./executable/detect-executable.ts";
import type { FileSource } from "./file-source.ts";
import { detectGguf } from "./gguf/detect-gguf.ts";
import { findSnapshot } from "./hugging-face/find-snapshot.ts";
import { detectHtml, detectPointer, isPartialName } from "./not-a-model.ts";
import { detectOllama, isOllamaStore } from "./ollama/detect-ollama.ts";
import { detectPytorch } from "./pytorch/detect-pytorch.ts";
import { detectSafetensors } from "./safetensors/detect-safetensors.ts";
import { gatherShards } from "./safetensors/gather-shards.ts";
import type { Sniffed } from "./sniff.ts";
import { detectSavedModel, detectTensorflowCheckpoint } from "./tensorflow/detect-tensorflow.ts";

interface Own {
  files: readonly string[];
  sizeBytes: number;
}

/** The largest published models have some 300 files; of a folder of anything else this many tell enough. */
const SNIFFED_MAX = 512;
/** GGUF files of one folder whose headers are read; a folder with more is a collection. */
const GGUF_MAX = 16;
const WEIGHTS_NAME = /\.(safetensors|bin|gguf|pt|pth|ckpt|npz|onnx|h5|msgpack)$/i;
const SAFETENSORS_NAMES = [
  "model.safetensors",
  "adapter_model.safetensors",
  "weights.safetensors",
  "consolidated.safetensors",
];
const PYTORCH_NAMES = [
  "pytorch_model.bin",
  "adapter_model.bin",
  "model.bin",
  "consolidated.00.pth",
  "model.pt",
  "model.pth",
];

/** `inCache`: it is already a revision of the Hugging Face cache, which holds no further cache. */
export function detectFolder(
  source: FileSource,
  folder: string,
  thorough: boolean,
  inCache = false,
): { found: Finding; own: Own } {
  const names = source.list(folder).filter((name) => !name.startsWith("."));
  const snapshot = inCache ? null : findSnapshot(source, folder, names);
  if (snapshot !== null && "problem" in snapshot) {
    const reason = "a model of the Hugging Face cache without any of its files. Fetch it again.";
    return {
      found: { format: "folder", variant: "hub-cache", verdict: "damaged", missing: [snapshot.problem], reason },
      own: EMPTY,
    };
  }
  if (snapshot !== null) return detectFolder(source, snapshot.path, thorough, true);
  if (isOllamaStore(source, folder, names)) return { found: detectOllama(source, folder), own: EMPTY };
  const files = sniffAll(source, folder, names);
  const own = {
    files: files.map((file) => file.path),
    sizeBytes: files.reduce((sum, file) => sum + (source.stat(file.path)?.sizeBytes ?? 0), 0),
  };
  const signed = detectCoremlFolder(source, folder, names) ?? detectSavedModel(source, folder, names);
  const found = signed ?? detectByContents(source, { folder, names, files, thorough }) ?? detectEmpty(names);
  return { found, own };
}

const EMPTY: Own = { files: [], sizeBytes: 0 };

interface SniffedFile {
  name: string;
  path: string;
  kind: Sniffed;
}

interface Contents {
  folder: string;
  names: readonly string[];
  files: readonly SniffedFile[];
  thorough: boolean;
}

function sniffAll(source: FileSource, folder: string, names: readonly string[]): SniffedFile[] {
  const files: SniffedFile[] = [];
  for (const name of names) {
    if (files.length >= SNIFFED_MAX) break;
    const path = join(folder, name);
    if (source.stat(path)?.kind === "file") files.push({ name, path, kind: sniffIfReadable(source, path) });
  }
  return files;
}

/** A file that may not be read is no reason to say nothing about the others; the one that is needed fails when it is read. */
function sniffIfReadable(source: FileSource, path: string): Sniffed {
  try {
    return sniffFile(source, path);
  } catch (thrown) {
    if (codeOf(thrown) === "EACCES") return "unknown";
    throw thrown;
  }
}

function detectByContents(source: FileSource, contents: Contents): Finding | null {
  const { folder, names, files, thorough } = contents;
  const of = (...kinds: Sniffed[]): SniffedFile[] =>
    files.filter((file) => kinds.includes(file.kind) && !isPartialName(file.name));
  const ggufs = of("gguf");
  if (ggufs.length > 0) return detectGgufs(source, folder, ggufs, thorough);
  if (names.includes("model_index.json")) {
    const reason = "an image pipeline (diffusers): this program runs language models.";
    return { format: "safetensors", variant: "diffusers", verdict: "unsupported", reason };
  }
  const safetensors = files
    .filter(({ kind, name }) => (kind === "safetensors" && !isPartialName(name)) || /\.safetensors$/.test(name))
    .map((file) => file.name);
  if (safetensors.length > 0 || names.some((name) => name.endsWith(".safetensors.index.json"))) {
    const shards = gatherShards(source, folder, names, safetensors, SAFETENSORS_NAMES);
    return findStandIn(source, files, shards.files) ?? detectSafetensors(source, { folder, names, shards, thorough });
  }
  const pickles = of("pickle", "zip").filter((file) => file.kind === "pickle" || isPytorchZip(source, file.path));
  if (pickles.length > 0 || names.includes("pytorch_model.bin.index.json")) {
    const shards = gatherShards(
      source,
      folder,
      names,
      pickles.map((file) => file.name),
      PYTORCH_NAMES,
    );
    return findStandIn(source, files, shards.files) ?? detectPytorch(source, folder, shards, thorough);
  }
  const engines = of("tensorrt").map((file) => file.name);
  if (engines.length > 0) return detectEngineFolder(source, folder, engines);
  const weights = files.filter(({ name }) => WEIGHTS_NAME.test(name)).map(({ path }) => path);
  return detectTensorflowCheckpoint(names) ?? detectSole(source, contents) ?? findStandIn(source, files, weights);
}

/** Pointers and web pages in the place of files that a model needs. Those of formats that are not needed do no harm. */
function findStandIn(source: FileSource, files: readonly SniffedFile[], needed: readonly string[]): Finding | null {
  const inPlace = files.filter(({ path }) => needed.includes(path));
  const pointers = inPlace.filter(({ kind }) => kind === "lfs-pointer").map(({ path }) => path);
  if (pointers.length > 0) return detectPointer(source, pointers);
  const page = inPlace.find(({ kind }) => kind === "html");
  return page === undefined ? null : detectHtml(source, page.path);
}

/** A folder with one model of another format is that model. */
function detectSole(source: FileSource, { files, thorough }: Contents): Finding | null {
  const ignored: readonly Sniffed[] = [
    "json",
    "unknown",
    "empty",
    "script",
    "html",
    "lfs-pointer",
    "elf",
    "windows-program",
  ];
  for (const file of files
    .filter(({ kind, name }) => !ignored.includes(kind) || isPartialName(name))
    .slice(0, GGUF_MAX)) {
    const found = detectFile(source, file.path, thorough);
    if (found.format !== "unknown") return { files: [file.path], ...found };
  }
  return null;
}

/** One model, perhaps with its projector and adapters, or a collection. */
function detectGgufs(source: FileSource, folder: string, ggufs: readonly SniffedFile[], thorough: boolean): Finding {
  const models: Finding[] = [];
  const others: Finding[] = [];
  const seen = new Set<string>();
  for (const file of ggufs) {
    if (seen.has(file.path)) continue;
    if (models.length + others.length >= GGUF_MAX) break;
    const found = detectGguf(source, file.path, thorough);
    for (const part of found.files ?? []) seen.add(part);
    const model = found.verdict === "damaged" || (found.verdict === "runs" && found.variant !== "lora-adapter");
    (model ? models : others).push({ ...found, files: found.files ?? [file.path] });
  }
  const [first] = models.length > 0 ? models : others;
  if (first !== undefined && models.length <= 1) return first;
  const running = models.filter((model) => model.verdict === "runs").length;
  const sizes = ggufs.map((file) => source.stat(file.path)?.sizeBytes ?? 0);
  return {
    format: "gguf",
    variant: "collection",
    files: ggufs.map((file) => file.path),
    sizeBytes: sizes.reduce((sum, size) => sum + size, 0),
    verdict: running > 0 ? "runs" : "damaged",
    reason:
      running > 0
        ? "a folder of several models: serve it as a whole, or point at one of them."
        : "a folder of several models, all of them damaged.",
    command: running > 0 ? `ml-offload serve --models-dir ${quotePath(folder)}` : null,
    resultBytes: null,
    memoryBytes: null,
  };
}

function detectEmpty(names: readonly string[]): Finding {
  if (names.includes("config.json") || names.some((name) => name.startsWith("tokenizer"))) {
    const reason = "a model's folder without its weights. Fetch the missing files.";
    return {
      format: "folder",
      variant: "no-weights",
      verdict: "damaged",
      missing: ["weights, such as model.safetensors"],
      reason,
    };
  }
  const what = names.length === 0 ? "an empty folder." : "no model that is known here lies in this folder.";
  return { format: "folder", verdict: "unsupported", reason: what };
}
