// Models that were compiled or packed into something to execute: llamafiles (a program with a GGUF behind it), TensorRT
// engines, and programs that hold no model. Nothing is executed.

import { join } from "node:path";
import { quotePath } from "../../lib/shell-quote.ts";
import { type Finding, showText } from "../detection.ts";
import { type FileSource, fieldOf, readJson, textOf } from "../file-source.ts";
import { quantizationName } from "../gguf/file-types.ts";
import { GgufError } from "../gguf/gguf-error.ts";
import { type GgufHeader, readGgufHeader } from "../gguf/read-header.ts";
import { sliceFile } from "../read-at.ts";
import { locateZipEntry, readZipDirectory, type ZipEntry, ZipError } from "../zip/read-zip.ts";

/** A program; a llamafile is one with a zip archive behind it. */
export function detectProgram(source: FileSource, path: string): Finding {
  const found = source.use(path, (file) => {
    try {
      const entries = readZipDirectory(file);
      return entries.find((entry) => entry.name.toLowerCase().endsWith(".gguf")) ?? null;
    } catch (thrown) {
      // Most programs have no archive behind them.
      if (thrown instanceof ZipError) return null;
      throw thrown;
    }
  });
  if (found === null)
    return { format: "unknown", variant: "program", verdict: "unsupported", reason: "a program, no model." };
  return detectPacked(source, path, found, "llamafile");
}

/** A GGUF in an archive, be a program before it or not: its header is read where it lies. */
export function detectPacked(
  source: FileSource,
  path: string,
  entry: ZipEntry,
  format: "llamafile" | "archive",
): Finding {
  const command = `unzip -j ${quotePath(path)} ${quotePath(entry.name)}`;
  const base = { format, variant: "gguf-inside", command, resultBytes: entry.bytes };
  const what = format === "llamafile" ? "a llamafile: a program with a GGUF inside" : "an archive with a GGUF inside";
  const take = `${what} (${showText(entry.name)}). Take that out, then run it`;
  if (entry.method !== 0) return { ...base, verdict: "unsupported", reason: `${take}.` };
  const header = source.use(path, (file) => {
    try {
      return readGgufHeader(sliceFile(file, locateZipEntry(file, entry), entry.packedBytes));
    } catch (thrown) {
      if (thrown instanceof GgufError || thrown instanceof ZipError) return thrown;
      throw thrown;
    }
  });
  if (header instanceof Error) {
    return {
      format,
      variant: "gguf-inside",
      verdict: "damaged",
      reason: `${what} that is damaged: ${header.message}.`,
    };
  }
  return { ...base, ...describeHeader(header), verdict: "unsupported", reason: `${take}.` };
}

function describeHeader(header: GgufHeader): Partial<Finding> {
  const architecture = header.metadata.get("general.architecture");
  const name = typeof architecture === "string" ? architecture : null;
  const context = name === null ? undefined : header.metadata.get(`${name}.context_length`);
  const fileType = header.metadata.get("general.file_type");
  return {
    architecture: name,
    parameterCount: header.elementCount || null,
    quantization: typeof fileType === "number" ? quantizationName(fileType) : null,
    contextLength: typeof context === "number" ? context : null,
    hasChatTemplate: header.metadata.has("tokenizer.chat_template"),
    memoryBytes: header.dataBytes,
  };
}

const ENGINE_REASON =
  "an engine that TensorRT compiled for one GPU model and one version of itself: no weights can be taken out of it. Fetch the original weights, as SafeTensors or GGUF.";

export function detectEngine(): Finding {
  return { format: "tensorrt", variant: "engine", verdict: "unsupported", reason: ENGINE_REASON };
}

/** A TensorRT-LLM folder's config.json has a few kilobytes. */
const CONFIG_BYTES_MAX = 1024 * 1024;

/** A folder of TensorRT-LLM: an engine per GPU, and what it was built with. */
export function detectEngineFolder(source: FileSource, folder: string, engines: readonly string[]): Finding {
  const path = join(folder, "config.json");
  const read = source.stat(path)?.kind === "file" ? readJson(source, path, CONFIG_BYTES_MAX) : null;
  const config = read !== null && "value" in read ? fieldOf(read.value, "pretrained_config") : undefined;
  const ranks = fieldOf(fieldOf(config, "mapping"), "world_size");
  const missing =
    typeof ranks === "number" && ranks > engines.length && ranks <= 1_024 ? [`${ranks - engines.length} engines`] : [];
  const facts = {
    format: "tensorrt" as const,
    variant: config === undefined ? "engine" : "tensorrt-llm",
    architecture: textOf(fieldOf(config, "architecture")),
    files: engines.map((name) => join(folder, name)),
    sizeBytes: engines.reduce((sum, name) => sum + (source.stat(join(folder, name))?.sizeBytes ?? 0), 0),
  };
  if (missing.length > 0)
    return { ...facts, verdict: "damaged", missing, reason: "engines of some of its GPUs are missing." };
  return { ...facts, verdict: "unsupported", reason: ENGINE_REASON };
}
