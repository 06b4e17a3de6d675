// Any path → what lies there, whether it runs, and what to do where it does not: from bytes and the signature of folders,
// never from an extension alone. Reads headers only; whatever a file says, it ends with an answer.

import { basename, dirname } from "node:path";
import { detectFile } from "./detect-file.ts";
import { detectFolder } from "./detect-folder.ts";
import { type Detection, type Finding, toDetection } from "./detection.ts";
import { diskFiles, type FileSource } from "./file-source.ts";
import { addOrigin } from "./origin.ts";

export interface DetectOptions {
  /** Where the files are; by default on disk. */
  source?: FileSource;
  /** Reads a large tokenizer.json as a whole: some tenths of a second, and tells which keys it lacks. */
  thorough?: boolean;
}

/** Nothing is at the path. */
export class NothingThereError extends Error {
  constructor(path: string) {
    super(`${path} does not exist`);
    this.name = "NothingThereError";
  }
}

/** Throws `NothingThereError`, and what the file system throws where something can't be read. */
export function detectFormat(path: string, { source = diskFiles, thorough = false }: DetectOptions = {}): Detection {
  const facts = source.stat(path);
  if (facts === null) throw new NothingThereError(path);
  if (facts.kind === "other") {
    const reason = "a device, a pipe, a socket, or something that may not be looked at: it is not read.";
    return toDetection(path, { files: [], sizeBytes: 0 }, { format: "unknown", verdict: "unsupported", reason });
  }
  if (facts.kind === "folder") {
    const { found, own } = detectFolder(source, path, thorough);
    return toDetection(path, own, addOrigin(source, path, path, found));
  }
  const own = { files: [path], sizeBytes: facts.sizeBytes };
  const found = detectByListOrFile(source, path, thorough);
  return toDetection(path, own, addOrigin(source, path, dirname(path), found));
}

/** A model's own list of its files stands for the folder that it describes. */
function detectByListOrFile(source: FileSource, path: string, thorough: boolean): Finding {
  const listing = /^(config|model_index|adapter_config|Manifest)\.json$|\.index\.json$/.test(basename(path));
  if (!listing) return detectFile(source, path, thorough);
  const { found } = detectFolder(source, dirname(path), thorough);
  return found.format === "folder" || found.format === "unknown" ? detectFile(source, path, thorough) : found;
}
