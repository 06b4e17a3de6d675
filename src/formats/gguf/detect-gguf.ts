// What a GGUF file is and whether it runs: from its header, never from its name; the name only leads to the other parts of
// a split model. Says what is missing by the keys that llama.cpp asks for.

import { basename, dirname, join } from "node:path";
import { quotePath } from "../../lib/shell-quote.ts";
import { type Finding, showText } from "../detection.ts";
import type { FileSource } from "../file-source.ts";
import { isZeroAtEnd } from "../zero-tail.ts";
import { describeCompanion, GGUF_ARCHITECTURES } from "./architectures.ts";
import { quantizationName } from "./file-types.ts";
import { GgufError } from "./gguf-error.ts";
import { type GgufHeader, readGgufHeader } from "./read-header.ts";

/** The largest published split models have under 100 parts. */
const PARTS_MAX = 1_024;

/** `thorough`: every text of a vocabulary is stepped over, as whoever loads the model will do. */
export function detectGguf(source: FileSource, path: string, thorough: boolean): Finding {
  const parts = listParts(path);
  const missing = parts.filter((part) => source.stat(part)?.kind !== "file").map((part) => basename(part));
  const files = parts.filter((part) => source.stat(part)?.kind === "file");
  const sizeBytes = files.reduce((sum, file) => sum + (source.stat(file)?.sizeBytes ?? 0), 0);
  const headers: GgufHeader[] = [];
  for (const file of files) {
    const header = readHeader(source, file, thorough);
    if (header instanceof GgufError) return { ...explain(header, file), files, sizeBytes };
    headers.push(header);
  }
  const facts = describe(headers, { files, sizeBytes, split: parts.length > 1 });
  if (missing.length > 0) {
    const reason = `${missing.length} of ${parts.length} parts are missing. Fetch them into the same folder.`;
    return { ...facts, verdict: "damaged", missing, reason, memoryBytes: null };
  }
  const cut = headers.findIndex((header) => header.tensorCount > 0 && lackingBytes(header) > 0);
  if (cut !== -1) return { ...facts, ...describeCut(headers[cut] as GgufHeader, files[cut] as string) };
  // An adapter that was never trained is half zeros by rights.
  const model = readKind(headers, facts.architecture ?? null) === null;
  const empty = model ? files.find((file) => source.use(file, isZeroAtEnd)) : undefined;
  if (empty !== undefined) return { ...facts, ...describeZeros(empty) };
  return { ...facts, ...judge(headers, files[0] ?? path) };
}

/** All parts of a split model by the naming that llama.cpp's loader follows; else the path itself. */
function listParts(path: string): string[] {
  const match = /^(.*)-(\d{5})-of-(\d{5})(\.gguf)$/i.exec(basename(path));
  const count = Number(match?.[3] ?? 0);
  if (match === null || count < 2 || count > PARTS_MAX || Number(match[2]) > count) return [path];
  const number = (value: number): string => String(value).padStart(5, "0");
  return Array.from({ length: count }, (_, index) =>
    join(dirname(path), `${match[1]}-${number(index + 1)}-of-${number(count)}${match[4]}`),
  );
}

function readHeader(source: FileSource, path: string, thorough: boolean): GgufHeader | GgufError {
  const leaps = !thorough && source.isNear === true;
  try {
    return source.use(path, (file) => readGgufHeader(file, { cutData: true, leaps }));
  } catch (thrown) {
    if (!(thrown instanceof GgufError)) throw thrown;
    // A leap may have ended in a wrong place; and what is wrong with a file is told by reading all of its header.
    return !leaps ? thrown : readHeader(source, path, true);
  }
}

function lackingBytes(header: GgufHeader): number {
  return header.dataOffset + header.dataBytes - header.fileBytes;
}

function describeCut(header: GgufHeader, path: string): Partial<Finding> & { verdict: "damaged"; reason: string } {
  const whole = header.dataOffset + header.dataBytes;
  const reason = `${basename(path)} has ${header.fileBytes} of ${whole} bytes: the download did not finish. Fetch it again.`;
  return {
    verdict: "damaged",
    missing: [`${lackingBytes(header)} bytes at the end of ${basename(path)}`],
    reason,
    memoryBytes: null,
  };
}

function describeZeros(path: string): Partial<Finding> & { verdict: "damaged"; reason: string } {
  const reason = `the last megabyte of ${basename(path)} is zeros: a download that reserved its space and did not finish.`;
  return { verdict: "damaged", missing: [`the end of ${basename(path)}`], reason, memoryBytes: null };
}

function explain(error: GgufError, path: string): Finding {
  const base = { format: "gguf" as const, command: null };
  if (error.reason === "unsupported") {
    const variant = /version 1\b/.test(error.message) ? "v1" : /big-endian/.test(error.message) ? "big-endian" : null;
    return { ...base, variant, verdict: "unsupported", reason: `${error.message}.` };
  }
  const missing = error.missingBytes === null ? [] : [`at least ${error.missingBytes} bytes of ${basename(path)}`];
  return { ...base, verdict: "damaged", missing, reason: `${error.message}. Fetch the file again.` };
}

function describe(
  headers: readonly GgufHeader[],
  whole: { files: readonly string[]; sizeBytes: number; split: boolean },
): Omit<Finding, "verdict" | "reason"> {
  const first = headers[0];
  if (first === undefined) return { format: "gguf", ...whole };
  const architecture = readText(first, "general.architecture");
  const fileType = readNumber(first, "general.file_type");
  const kind = readKind(headers, architecture);
  return {
    format: "gguf",
    files: whole.files,
    sizeBytes: whole.sizeBytes,
    variant: kind ?? (whole.split ? "split" : `v${first.version}`),
    architecture,
    parameterCount: headers.reduce((sum, header) => sum + header.elementCount, 0) || null,
    quantization: fileType === null ? null : quantizationName(fileType),
    contextLength: architecture === null ? null : readNumber(first, `${architecture}.context_length`),
    tokenizer: readTokenizer(first),
    hasChatTemplate: first.metadata.has("tokenizer.chat_template"),
    memoryBytes: headers.reduce((sum, header) => sum + header.dataBytes, 0),
  };
}

type Kind = "lora-adapter" | "imatrix" | "mmproj" | "companion" | "vocab-only" | "control-vector";

/** Null: a model. */
function readKind(headers: readonly GgufHeader[], architecture: string | null): Kind | null {
  const first = headers[0];
  const type = first === undefined ? null : readText(first, "general.type");
  if (type === "adapter") return "lora-adapter";
  if (type === "imatrix") return "imatrix";
  if (type === "mmproj" || architecture === "clip") return "mmproj";
  if (architecture === "controlvector") return "control-vector";
  if (architecture !== null && describeCompanion(architecture) !== null) return "companion";
  if (headers.every((header) => header.tensorCount === 0)) return "vocab-only";
  return null;
}

function readTokenizer(header: GgufHeader): string | null {
  const model = readText(header, "tokenizer.ggml.model");
  const pre = readText(header, "tokenizer.ggml.pre");
  return model === null || pre === null ? model : `${model} (${pre})`;
}

type Judgement = Pick<Finding, "verdict" | "reason"> & Partial<Finding>;

const COMPANION_REASONS: Readonly<Record<Exclude<Kind, "lora-adapter" | "companion">, string>> = {
  imatrix: "an importance matrix: an input for quantising a model, no model.",
  mmproj: "the projector of a model that sees or hears. The text model beside it runs without it.",
  "control-vector": "a control vector, which is added to a model; this program does not apply them.",
  "vocab-only": "a vocabulary without weights: a file to test tokenizers with.",
};

function judge(headers: readonly GgufHeader[], path: string): Judgement {
  const first = headers[0] as GgufHeader;
  const architecture = readText(first, "general.architecture");
  const kind = readKind(headers, architecture);
  const none = { memoryBytes: null, command: null };
  if (kind === "lora-adapter") {
    const command = `ml-offload serve --model BASE.gguf --lora ${quotePath(path)}`;
    return { verdict: "runs", reason: "a LoRA adapter: it runs on top of its base model.", command };
  }
  if (kind === "companion") {
    const what = describeCompanion(architecture ?? "") ?? "a part of a model";
    return { ...none, verdict: "unsupported", reason: `${what}, no text model by itself.` };
  }
  if (kind !== null) return { ...none, verdict: "unsupported", reason: COMPANION_REASONS[kind] };
  if (architecture === null) {
    const reason = "its metadata names no architecture, so nothing can run it.";
    return { ...none, verdict: "damaged", missing: ["general.architecture"], reason };
  }
  if (!GGUF_ARCHITECTURES.has(architecture)) {
    const reason = `llama.cpp, which runs models here, does not know the architecture "${showText(architecture)}".`;
    return { ...none, verdict: "unsupported", reason };
  }
  const parts = readNumber(first, "split.count") ?? 1;
  if (parts > 1 && parts !== headers.length) {
    const reason = `it is one of ${parts} parts, and its name does not lead to the others: give each its own name back.`;
    return { ...none, verdict: "damaged", missing: [`${parts - headers.length} parts`], reason };
  }
  const missing = findMissingKeys(first, architecture);
  if (missing.length > 0) {
    const reason =
      "llama.cpp asks for metadata that is not there. Convert the model again, or fetch another file of it.";
    return { ...none, verdict: "damaged", missing, reason };
  }
  return { verdict: "runs", reason: "llama.cpp runs it as it is.", command: `ml-offload run ${quotePath(path)}` };
}

/** What llama.cpp's loader ends with an error without. */
function findMissingKeys(header: GgufHeader, architecture: string): string[] {
  const wanted = ["context_length", "embedding_length", "block_count"].map((key) => `${architecture}.${key}`);
  const tokenizer = readText(header, "tokenizer.ggml.model");
  if (tokenizer === null) wanted.push("tokenizer.ggml.model");
  const vocabularies = tokenizer === "none" || tokenizer === "no_vocab" ? [] : ["tokenizer.ggml.tokens"];
  if (tokenizer === "gpt2") vocabularies.push("tokenizer.ggml.merges");
  return [...wanted, ...vocabularies].filter((key) => !header.metadata.has(key));
}

function readText(header: GgufHeader, key: string): string | null {
  const value = header.metadata.get(key);
  return typeof value === "string" && value.length > 0 ? value : null;
}

function readNumber(header: GgufHeader, key: string): number | null {
  const value = header.metadata.get(key);
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
