// What is known about a model without loading it: a GGUF header (or the headers of a split model's
// parts) → manifest, or the error that requests for it get. Unknown is null, never a guess.

import { detectFormat } from "../formats/detect.ts";
import { describeCompanion } from "../formats/gguf/architectures.ts";
import { quantizationName } from "../formats/gguf/file-types.ts";
import { GgufError } from "../formats/gguf/gguf-error.ts";
import { type GgufHeader, readGgufHeader } from "../formats/gguf/read-header.ts";
import { guessFormat, MAGIC_BYTES } from "../formats/magic.ts";
import { NotAFileError, type ReadAt, withFile } from "../formats/read-at.ts";
import type { ErrorBody } from "../protocol/errors.ts";
import { type Capabilities, type Pooling, readTrainedLength } from "../protocol/model-info.ts";
import { isEncoder, poolingFromNumber } from "./architecture.ts";
import { judgeCapabilities, NO_CAPABILITIES } from "./capability.ts";
import { type Lineage, NO_LINEAGE, readLineage } from "./lineage.ts";

export interface ModelManifest {
  architecture: string | null;
  /** Such as `Q4_K_M`. */
  quantization: string | null;
  parameterCount: number | null;
  trainedContextLength: number | null;
  embeddingLength: number | null;
  hasChatTemplate: boolean;
  /** The model's own pooling; null where the file names none. */
  pooling: Pooling | null;
  /** What `/v1/embeddings` uses: the own pooling, `mean` for an encoder that names none, else `last`. */
  embeddingPooling: Pooling | null;
  capabilities: Capabilities;
}

export const UNKNOWN_MANIFEST: ModelManifest = {
  architecture: null,
  quantization: null,
  parameterCount: null,
  trainedContextLength: null,
  embeddingLength: null,
  hasChatTemplate: false,
  pooling: null,
  embeddingPooling: null,
  capabilities: NO_CAPABILITIES,
};

export interface ManifestResult {
  manifest: ModelManifest;
  /** Why it can't be served; null when nothing speaks against it. */
  error: ErrorBody | null;
  lineage: Lineage;
  /** Bytes are missing at a file's end: a copy may be on its way. */
  incomplete: boolean;
  /** Of a folder of weights: the GGUF file that was made of it, or null. Absent: it is no such folder. */
  converted?: string | null;
}

/** Of what can't be read. */
export function unreadManifest(error: ErrorBody, incomplete = false): ManifestResult {
  return { manifest: UNKNOWN_MANIFEST, error, lineage: NO_LINEAGE, incomplete };
}

/** Reads the headers of a model's files, first part first. Errors of the files are results, not exceptions. */
export function readManifest(paths: readonly string[]): ManifestResult {
  const headers: GgufHeader[] = [];
  for (const path of paths) {
    const result = readHeader(path);
    if ("error" in result) {
      const first = headers[0];
      const { error, incomplete } = result;
      if (first === undefined) return unreadManifest(error, incomplete);
      return { manifest: buildManifest(first, null), error, lineage: readLineage(first), incomplete };
    }
    headers.push(result);
  }
  return judgeHeaders(headers, paths);
}

/** Pure: headers of all parts → manifest and verdict. */
function judgeHeaders(headers: readonly GgufHeader[], paths: readonly string[]): ManifestResult {
  const first = headers[0];
  if (first === undefined) return unreadManifest(damaged(paths[0] ?? "", "it has no files"));
  const elementCount = headers.reduce((sum, header) => sum + header.elementCount, 0);
  const manifest = buildManifest(first, elementCount);
  const error = findRefusal(first, headers, manifest, paths[0] ?? "");
  return { manifest, error, lineage: readLineage(first), incomplete: false };
}

interface Unreadable {
  error: ErrorBody;
  incomplete: boolean;
}

function readHeader(path: string): GgufHeader | Unreadable {
  const refuse = (error: ErrorBody, incomplete = false): Unreadable => ({ error, incomplete });
  try {
    return withFile(path, (file) => {
      try {
        return readGgufHeader(file);
      } catch (thrown) {
        if (!(thrown instanceof GgufError)) throw thrown;
        return refuse(explainGgufError(thrown, path, file), thrown.reason === "truncated");
      }
    });
  } catch (thrown) {
    if (thrown instanceof NotAFileError) return refuse({ code: "format_unsupported", message: thrown.message });
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return refuse({
      code: "model_damaged",
      message: `${path} can't be read: ${reason}`,
      hint: "Check the file's permissions.",
    });
  }
}

function explainGgufError(error: GgufError, path: string, file: ReadAt): ErrorBody {
  switch (error.reason) {
    case "not-gguf": {
      const head = new Uint8Array(Math.min(MAGIC_BYTES, file.sizeBytes));
      const guess = guessFormat(head.subarray(0, file.read(head, 0)));
      const seems = guess === null ? "is not a GGUF file" : `is not a GGUF file; it seems to be ${guess}`;
      const { format, guidance } = detectFormat(path);
      const hint = [guidance.reason, guidance.command].filter((part) => part !== null).join(" ");
      return { code: "format_unsupported", message: `${path} ${seems}`, ...(format === "unknown" ? {} : { hint }) };
    }
    case "unsupported":
      return { code: "format_unsupported", message: `${path}: ${error.message}` };
    case "truncated":
    case "damaged":
    case "limit":
      return damaged(path, error.message);
  }
}

function damaged(path: string, why: string): ErrorBody {
  return { code: "model_damaged", message: `${path} is damaged: ${why}` };
}

function findRefusal(
  first: GgufHeader,
  headers: readonly GgufHeader[],
  manifest: ModelManifest,
  path: string,
): ErrorBody | null {
  const refuse = (what: string): ErrorBody => ({ code: "format_unsupported", message: `${path} ${what}` });
  const type = first.metadata.get("general.type");
  if (typeof type === "string" && type !== "model") return refuse(`is a GGUF of type "${type}", not a model`);
  if (manifest.architecture === null) return damaged(path, "its metadata names no architecture");
  const companion = describeCompanion(manifest.architecture);
  if (companion !== null) return refuse(`holds ${companion}, not a text model`);
  if (headers.every((header) => header.tensorCount === 0)) return refuse("holds a vocabulary only, no weights");
  const parts = readNumber(first, "split.count");
  if (parts !== null && parts > 1 && parts !== headers.length) {
    return damaged(path, `it says that it has ${parts} parts, but there are ${headers.length}`);
  }
  return null;
}

function buildManifest(header: GgufHeader, elementCount: number | null): ModelManifest {
  const architecture = readText(header, "general.architecture");
  if (architecture === null) return { ...UNKNOWN_MANIFEST, parameterCount: elementCount };
  const fileType = readNumber(header, "general.file_type");
  const poolingNumber = readNumber(header, `${architecture}.pooling_type`);
  const pooling = poolingNumber === null ? null : poolingFromNumber(poolingNumber);
  const encoder = isEncoder(architecture) || header.metadata.get(`${architecture}.attention.causal`) === false;
  const model = describeCompanion(architecture) === null;
  const own = pooling === "none" ? null : pooling;
  // A decoder that pools was made to embed or to rank: the engine gives it the context for that and no other.
  const generates = model && !encoder && own === null;
  return {
    architecture,
    quantization: fileType === null ? null : quantizationName(fileType),
    parameterCount: elementCount,
    trainedContextLength: readTrainedLength(readNumber(header, `${architecture}.context_length`)),
    embeddingLength: readNumber(header, `${architecture}.embedding_length`),
    hasChatTemplate: header.metadata.has("tokenizer.chat_template"),
    pooling,
    embeddingPooling: model ? (own ?? (encoder ? "mean" : "last")) : null,
    capabilities: judgeCapabilities({ header, model, generates, pooling }),
  };
}

function readText(header: GgufHeader, key: string): string | null {
  const value = header.metadata.get(key);
  return typeof value === "string" && value.length > 0 ? value : null;
}

function readNumber(header: GgufHeader, key: string): number | null {
  const value = header.metadata.get(key);
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
