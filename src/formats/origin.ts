// Where the weights usually are that a model of another runtime was made from: its card names them, or its path in a cache
// does, else its name is searched for. Turns that into the command to type. Reads one small file and asks nobody.

import { basename, dirname, join } from "node:path";
import { codeOf } from "../lib/system-error.ts";
import type { Finding, FormatName } from "./detection.ts";
import type { FileSource } from "./file-source.ts";
import { readBytes } from "./read-at.ts";

/** Graphs and weights of other runtimes: whole, and of no use here. */
const FOREIGN: ReadonlySet<FormatName> = new Set([
  "onnx",
  "coreml",
  "tflite",
  "tensorrt",
  "executorch",
  "tensorflow",
  "keras",
  "npz",
  "ggml",
]);
/** Weights that were rounded once: the originals are better than what could be made of them. */
const ROUNDED = /^(mlx|gptq|awq|fp8|nvfp4|mxfp4|compressed-tensors|bitsandbytes)$/;
/** What of them is no language model, or no model at all. */
const NO_MODEL = /^(array|arrays|whisper|ggla-adapter|ggsn-state)$/;

/** Front matter stands at the beginning; cards with long lists of results have some dozen kilobytes of it. */
const CARD_BYTES_MAX = 64 * 1024;
/** Folders within a repository that hold a form of its model. */
const INNER_FOLDER = /^(onnx|coreml|tflite|openvino|executorch|tensorrt|tf|keras|data|.*\.ml(package|modelc))$/i;
const REPOSITORY = /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9_][\w.-]{0,95}$/;
/** Of a GGUF in 16 bits: what a conversion of the original makes. */
const HALF_BYTES = 2;

/** The finding with a command, where it needs one and has none. `folder`: where the model lies. */
export function addOrigin(source: FileSource, path: string, folder: string, found: Finding): Finding {
  const isRounded = found.format === "safetensors" && ROUNDED.test(found.variant ?? "");
  const isForeign = FOREIGN.has(found.format) && !NO_MODEL.test(found.variant ?? "");
  if (found.verdict !== "unsupported" || (found.command ?? null) !== null || !(isForeign || isRounded)) return found;
  const inner = INNER_FOLDER.test(basename(folder));
  const places = inner ? [folder, dirname(folder)] : [folder];
  const origin = places.map((place) => readCard(source, place)).find((repo) => repo !== null) ?? null;
  const bytes = found.parameterCount == null ? null : found.parameterCount * HALF_BYTES;
  if (origin !== null) {
    return {
      ...found,
      reason: `${found.reason} Its card names ${origin} as what it was made from.`,
      command: `ml-offload pull ${origin} --convert`,
      resultBytes: bytes,
      memoryBytes: bytes,
    };
  }
  const words = nameInWords(path);
  return words === null ? found : { ...found, command: `ml-offload search ${words}` };
}

/** `base_model: owner/repo`, or the first of a list, in the front matter of README.md. */
function readCard(source: FileSource, folder: string): string | null {
  const path = join(folder, "README.md");
  if (source.stat(path)?.kind !== "file") return null;
  const matter = /^---\r?\n([\s\S]*?)\r?\n---/.exec(readHead(source, path))?.[1] ?? "";
  const named = /^base_model:[ \t]*(?:\r?\n[ \t]*-[ \t]*)?["']?([^\s"']+)/m.exec(matter)?.[1];
  return named !== undefined && REPOSITORY.test(named) ? named : null;
}

/** A card that may not be read says nothing. */
function readHead(source: FileSource, path: string): string {
  try {
    return new TextDecoder().decode(source.use(path, (file) => readBytes(file, 0, CARD_BYTES_MAX)));
  } catch (thrown) {
    if (codeOf(thrown) === "EACCES") return "";
    throw thrown;
  }
}

/** Names that say nothing of a model, and words that say only how it was packed. */
const PLAIN_NAME =
  /^(model|models|weights|pytorch_model|saved_model|snapshot|main|data|engine|rank\d+|network|decoder\w*|encoder\w*)$/i;
const PACKING =
  /^(onnx|coreml|tflite|mlx|mlpackage|gptq|awq|fp8|nvfp4|mxfp4|bnb|ggml|ggmf|ggjt|trt|tensorrt|engine|quant\w*|q\d\w*|u?int[48]|\d+bit|fp?16|f32|fp32|bin|litert|executorch|pte)$/i;

/** The nearest name of the path that says something, without its packing; null: none does. */
function nameInWords(path: string): string | null {
  const repository = /(?:^|\/)models--[\w.-]+?--([\w.-]+)/.exec(path)?.[1];
  const names = [repository, ...path.split("/").reverse().slice(0, 3)].filter((name) => name !== undefined);
  for (const name of names) {
    const stem = name.replace(/\.(onnx|tflite|pte|engine|plan|mlmodel|mlpackage|mlmodelc|h5|keras|npz|bin)$/i, "");
    if (PLAIN_NAME.test(stem) || INNER_FOLDER.test(stem)) continue;
    const words = stem.split(/[^A-Za-z0-9.]+/).filter((word) => /[A-Za-z0-9]/.test(word) && !PACKING.test(word));
    const text = words.join(" ").slice(0, 80).trim();
    if (/[A-Za-z]{3}/.test(text)) return text;
  }
  return null;
}
