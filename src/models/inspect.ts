// What lies at a path, for people and clients: the detector's answer, and on request all metadata and tensors of the files.
// Turns what can go wrong with files into errors of the table. Loads nothing.

import { detectFormat, NothingThereError } from "../formats/detect.ts";
import type { Detection } from "../formats/detection.ts";
import { diskFiles, type FileSource } from "../formats/file-source.ts";
import { GgufError } from "../formats/gguf/gguf-error.ts";
import { readGgufHeader } from "../formats/gguf/read-header.ts";
import type { GgufValue } from "../formats/gguf/read-metadata.ts";
import { readNpz } from "../formats/npz/read-npz.ts";
import { isCheckpointError, readPytorchCheckpoint } from "../formats/pytorch/read-checkpoint.ts";
import type { ReadAt } from "../formats/read-at.ts";
import { readSafetensorsHeader, SafetensorsError } from "../formats/safetensors/read-header.ts";
import { AppError } from "../protocol/errors.ts";

export interface ListedTensor {
  name: string;
  /** As the file's format calls it, such as `Q8_0` or `BF16`. */
  type: string;
  /** In the order of the file's format: GGUF's begins with the fastest-varying dimension. */
  shape: readonly number[];
  /** The file that holds it. */
  file: string;
}

export interface Contents {
  metadata: { key: string; value: string | number | boolean }[];
  tensors: ListedTensor[];
}

export interface Inspection extends Detection, Contents {
  /** Of all files, whether they are listed or not; 0 where the format's tensors are not listed. */
  tensorCount: number;
}

/** Throws `model_not_found`, and `forbidden` where the system refuses to read. `thorough` looks through a large tokenizer. */
export function inspectPath(path: string, options: { thorough?: boolean; source?: FileSource } = {}): Detection {
  try {
    return detectFormat(path, options);
  } catch (thrown) {
    throw explainFailure(thrown, path);
  }
}

export interface InspectOptions {
  filter: string | null;
  tensors: boolean;
  thorough?: boolean;
  /** Where the files are; by default on disk. */
  source?: FileSource;
}

/**
 * With metadata and tensors whose names hold `filter`, upper and lower case alike; null: all metadata, and tensors when they
 * are asked for. Throws as `inspectPath` does.
 */
export function inspectWhole(
  path: string,
  { filter, tensors, thorough = false, source = diskFiles }: InspectOptions,
): Inspection {
  const detection = inspectPath(path, { thorough, source });
  const contents = readContents(detection, source);
  const wanted = filter?.toLowerCase() ?? "";
  const matches = (text: string): boolean => text.toLowerCase().includes(wanted);
  return {
    ...detection,
    metadata: contents.metadata.filter(({ key }) => matches(key)),
    tensorCount: contents.tensors.length,
    tensors: tensors || filter !== null ? contents.tensors.filter(({ name }) => matches(name)) : [],
  };
}

/** Of the formats whose contents can be listed; empty for the others and for files that are damaged. */
function readContents({ format, files, verdict }: Detection, source: FileSource): Contents {
  const read = READERS[format];
  const contents: Contents = { metadata: [], tensors: [] };
  if (read === undefined || verdict === "damaged") return contents;
  for (const file of files) {
    const part = readPart(read, file, source);
    // Parts of a split model repeat what the first one says.
    const known = new Set(contents.metadata.map(({ key }) => key));
    contents.metadata.push(...part.metadata.filter(({ key }) => !known.has(key)));
    for (const tensor of part.tensors) contents.tensors.push(tensor);
  }
  return contents;
}

type Reader = (file: ReadAt, path: string) => Contents;

/** What can't be read, such as a version that is not supported, has no contents to list: its verdict says why. */
function readPart(read: Reader, path: string, source: FileSource): Contents {
  try {
    return source.use(path, (file) => read(file, path));
  } catch (thrown) {
    const expected = thrown instanceof GgufError || thrown instanceof SafetensorsError || isCheckpointError(thrown);
    if (expected) return { metadata: [], tensors: [] };
    throw thrown;
  }
}

const READERS: Readonly<Partial<Record<Detection["format"], Reader>>> = {
  gguf: (file, path) => {
    const { metadata, tensors } = readGgufHeader(file, { tensors: true });
    return {
      metadata: [...metadata].map(([key, value]) => ({ key, value: toPlain(value) })),
      tensors: (tensors ?? []).map(({ name, type, dims }) => ({ name, type, shape: dims, file: path })),
    };
  },
  safetensors: (file, path) => {
    const { metadata, tensors } = readSafetensorsHeader(file);
    return {
      metadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
      tensors: [...tensors.values()].map(({ name, dtype, shape }) => ({ name, type: dtype, shape, file: path })),
    };
  },
  pytorch: (file, path) => {
    const tensors = [...(readPytorchCheckpoint(file)?.tensors.values() ?? [])];
    return {
      metadata: [],
      tensors: tensors.map(({ name, dtype, shape }) => ({ name, type: dtype, shape, file: path })),
    };
  },
  npz: (file, path) => ({
    metadata: [],
    tensors: readNpz(file).map(({ name, dtype, shape }) => ({ name, type: dtype, shape, file: path })),
  }),
};

/** Items that are shown of a long list. */
const ITEMS_MAX = 16;

function toPlain(value: GgufValue): string | number | boolean {
  // JSON knows no infinities.
  if (typeof value === "bigint" || (typeof value === "number" && !Number.isFinite(value))) return String(value);
  if (typeof value !== "object") return value;
  if (value.kind === "long-string") return `(a text of ${value.bytes} bytes)`;
  if (value.items === null) return `(${value.length} × ${value.type})`;
  const shown = value.items.slice(0, ITEMS_MAX).map(String).join(", ");
  return value.length > ITEMS_MAX ? `[${shown}, …] (${value.length} × ${value.type})` : `[${shown}]`;
}

function explainFailure(thrown: unknown, path: string): unknown {
  if (thrown instanceof NothingThereError) {
    return new AppError({ code: "model_not_found", message: thrown.message, hint: "Check the path." });
  }
  if (!(thrown instanceof Error) || !("code" in thrown) || !DENIED.includes(String(thrown.code))) return thrown;
  const message = `${path} may not be read: ${thrown.message}`;
  return new AppError({ code: "forbidden", message, hint: "Check the permissions of the files and their folders." });
}

const DENIED: readonly string[] = ["EACCES", "EPERM"];
