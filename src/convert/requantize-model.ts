// A GGUF file → the same model in another type, by llama.cpp's quantiser. Says what can't be done before a byte is written.

import { existsSync, realpathSync } from "node:fs";
import { basename, resolve } from "node:path";
import { detectFormat } from "../formats/detect.ts";
import { type GgufHeader, readGgufHeader } from "../formats/gguf/read-header.ts";
import type { GgufTensor } from "../formats/gguf/read-tensors.ts";
import { withFile } from "../formats/read-at.ts";
import { AppError } from "../protocol/errors.ts";
import type { ConvertReport } from "./convert-model.ts";
import { checkImatrix, refuseImatrix } from "./imatrix.ts";
import { isPlainType, type OutType } from "./out-types.ts";
import { placeFile } from "./place-file.ts";
import type { WriteOptions } from "./write-model.ts";
import { describeWritten, estimateBytes, type Quantizing, runQuantizer } from "./write-quantized.ts";

export interface RequantizeRequest extends WriteOptions, Quantizing {
  /** A GGUF file; of a split one any part. */
  source: string;
  target: (outType: OutType) => string;
  outType: OutType | "auto";
  /** Also where the source is quantised already, which adds one loss to the other. */
  allowRequantize: boolean;
}

/** Types of numbers that were not quantised, or that are no weights. */
const PLAIN = /^(F32|F16|BF16|F64|I8|I16|I32|I64)$/;

/** Throws AppError: `format_unsupported`, `model_damaged`, `storage_unavailable`, `invalid_request`. */
export async function requantizeModel(request: RequantizeRequest): Promise<ConvertReport> {
  const { outType } = request;
  if (outType === "auto") {
    throw new AppError({
      code: "invalid_request",
      message: "a GGUF file is converted to a type that is named",
      hint: "Add --outtype, such as --outtype q4_k_m.",
    });
  }
  const parts = listParts(resolve(request.source));
  const headers = parts.map((path) => withFile(path, (file) => readGgufHeader(file, { tensors: true })));
  const tensors = headers.flatMap((header) => header.tensors ?? []);
  if (!request.allowRequantize) refuseQuantized(parts[0] ?? "", tensors);
  if (isPlainType(outType)) refuseImatrix(request.imatrix, outType);
  const notes = checkImatrix(request.imatrix ?? null, tensors, outType);
  const target = resolve(request.target(outType));
  refuseOverSource(target, parts);
  const bytes = headers.reduce((sum, header) => sum + header.dataBytes, 0);
  await placeFile(target, { force: request.force, neededBytes: estimateBytes(tensors, outType) }, async (temporary) => {
    const { allowRequantize } = request;
    await runQuantizer(request, { source: parts[0] ?? "", target: temporary, outType, bytes, allowRequantize });
  });
  const written = describeWritten(target, outType, notes);
  return {
    target,
    outType,
    architecture: readText(headers[0], "general.architecture"),
    tensorCount: tensors.length,
    parameterCount: headers.reduce((sum, header) => sum + header.elementCount, 0),
    ...written,
  };
}

/** All parts, the first one first. Throws where the file is not a model that llama.cpp knows. */
function listParts(path: string): readonly string[] {
  const found = detectFormat(path);
  if (found.format === "gguf" && found.verdict === "runs" && found.variant !== "lora-adapter") return found.files;
  if (found.format !== "gguf") {
    throw new AppError({
      code: "format_unsupported",
      message: `${path} is no GGUF file (${found.format}): ${found.guidance.reason}`,
      hint: "ml-offload convert takes a GGUF file, or a folder with config.json, a tokenizer and the weights.",
    });
  }
  throw new AppError({
    code: found.verdict === "damaged" ? "model_damaged" : "format_unsupported",
    message: `${path} can't be converted: ${found.guidance.reason}`,
    hint: "ml-offload show tells more about the file.",
  });
}

function refuseQuantized(path: string, tensors: readonly GgufTensor[]): void {
  const types = [...new Set(tensors.map(({ type }) => type).filter((type) => !PLAIN.test(type)))];
  if (types.length === 0) return;
  throw new AppError({
    code: "invalid_request",
    message: `${basename(path)} is quantised already (${types.slice(0, 4).join(", ")}): it would lose more than its new type alone does`,
    hint: "Convert the original weights instead, or add --allow-requantize.",
  });
}

function refuseOverSource(target: string, parts: readonly string[]): void {
  if (!existsSync(target) || !parts.some((part) => realpathSync(part) === realpathSync(target))) return;
  throw new AppError({
    code: "invalid_request",
    message: `DST is SRC itself: ${target}`,
    hint: "Name another DST.",
  });
}

function readText(header: GgufHeader | undefined, key: string): string {
  return String(header?.metadata.get(key) ?? "");
}
