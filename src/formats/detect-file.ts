// One file → what it is. The first bytes choose the format, whose own code then looks closer; the name only serves to find
// the other files of a model and to tell an unfinished download.

import { basename, dirname, join } from "node:path";
import { codeOf } from "../lib/system-error.ts";
import { detectCompressed, detectTar, detectZip, single } from "./archive/detect-archive.ts";
import { detectMlmodel } from "./coreml/detect-coreml.ts";
import type { Finding } from "./detection.ts";
import { detectEngine, detectProgram } from "./executable/detect-executable.ts";
import { type FileSource, fieldOf, readJson } from "./file-source.ts";
import { detectGgml } from "./ggml/detect-ggml.ts";
import { detectGguf } from "./gguf/detect-gguf.ts";
import { detectHtml, detectPointer, isPartialName } from "./not-a-model.ts";
import { detectNpy } from "./npz/detect-npz.ts";
import { detectOnnx } from "./onnx/detect-onnx.ts";
import { detectPytorch } from "./pytorch/detect-pytorch.ts";
import { readBytes } from "./read-at.ts";
import { detectSafetensors } from "./safetensors/detect-safetensors.ts";
import { gatherShards, isShardName } from "./safetensors/gather-shards.ts";
import { SNIFF_BYTES, type Sniffed, sniff } from "./sniff.ts";
import { detectFlatbuffer, detectHdf5 } from "./tensorflow/detect-tensorflow.ts";

/** A page of an error or a small configuration; weights as JSON do not exist. */
const JSON_BYTES_MAX = 1024 * 1024;

export function sniffFile(source: FileSource, path: string): Sniffed {
  return source.use(path, (file) => sniff(readBytes(file, 0, SNIFF_BYTES), file.sizeBytes));
}

export function detectFile(source: FileSource, path: string, thorough: boolean): Finding {
  const found = detectKind(source, path, sniffFile(source, path), thorough);
  const unfinished = isPartialName(path) || source.stat(`${path}.aria2`)?.kind === "file";
  if (!unfinished || (found.verdict !== "damaged" && found.format !== "unknown")) return found;
  const variant = found.format === "unknown" ? null : found.format;
  const reason = "a download that has not finished. Let it go on, or fetch the file again.";
  return { ...found, format: "incomplete", variant, verdict: "damaged", reason };
}

function detectKind(source: FileSource, path: string, kind: Sniffed, thorough: boolean): Finding {
  const folder = dirname(path);
  switch (kind) {
    case "gguf":
      return detectGguf(source, path, thorough);
    case "ggml":
      return detectGgml(source, path);
    case "safetensors":
      return detectSafetensorsFile(source, path, thorough);
    case "zip":
      return detectZip(source, path, thorough, folder);
    case "pickle":
      return detectPytorch(source, folder, single(path), thorough);
    case "tar":
      return detectTar(source, path);
    case "npy":
      return detectNpy(source, path);
    case "hdf5":
      return detectHdf5(source, path);
    case "tflite":
    case "executorch":
      return detectFlatbuffer(source, path, kind);
    case "tensorrt":
      return detectEngine();
    case "elf":
    case "windows-program":
    case "script":
      return detectProgram(source, path);
    case "lfs-pointer":
      return detectPointer(source, [path]);
    case "html":
      return detectHtml(source, path);
    case "json":
      return detectJson(source, path);
    case "protobuf":
      return detectOnnx(source, path) ?? detectMlmodel(source, path) ?? unknown();
    case "empty":
      return {
        format: "incomplete",
        variant: "empty",
        verdict: "damaged",
        missing: ["everything"],
        reason: "an empty file. Fetch it again.",
      };
    case "zeros":
      return describeZeros();
    case "unknown":
      return unknown();
    default:
      return detectCompressed(path, kind);
  }
}

function describeZeros(): Finding {
  const reason = "a file of zeros: a download that reserved its space and never began. Fetch it again.";
  return { format: "incomplete", variant: "zeros", verdict: "damaged", missing: ["everything"], reason };
}

function unknown(): Finding {
  return {
    format: "unknown",
    verdict: "unsupported",
    reason: "its bytes are those of no model format that is known here.",
  };
}

/** A shard leads to its whole model; another file stands for itself. */
function detectSafetensorsFile(source: FileSource, path: string, thorough: boolean): Finding {
  const folder = dirname(path);
  const name = basename(path);
  const names = listBeside(source, folder);
  const shards = isShardName(name) ? gatherShards(source, folder, names, [name], ["model.safetensors"]) : single(path);
  const own = shards.files.includes(path) ? shards : single(path);
  return detectSafetensors(source, { folder, names, shards: own, thorough });
}

/** A file may be readable in a folder that may not be listed. */
function listBeside(source: FileSource, folder: string): readonly string[] {
  try {
    return source.list(folder);
  } catch (thrown) {
    if (codeOf(thrown) === "EACCES") return [];
    throw thrown;
  }
}

function detectJson(source: FileSource, path: string): Finding {
  const read = readJson(source, path, JSON_BYTES_MAX);
  const error = "value" in read ? fieldOf(read.value, "error") : undefined;
  if (typeof error === "string") {
    const reason =
      "a server's error message, saved in the place of a model. Fetch the file again; a gated model needs a token.";
    return { format: "html", variant: "json-error", verdict: "damaged", missing: [basename(path)], reason };
  }
  const reason = `JSON text, no weights. Point at its folder: ${join(dirname(path), "")}.`;
  return { format: "unknown", variant: "json", verdict: "unsupported", reason };
}
