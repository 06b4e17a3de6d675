// A SafeTensors folder → one GGUF file. Plans everything first (architecture, tokenizer, metadata), so that what can't be
// converted is said before a byte is written; then streams the tensors. Runs no code of the model's.

import { statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { encodeHeader, type GgufEntry, type GgufTensorInfo } from "../formats/gguf/write-header.ts";
import { describeParams, PARAMS_FILE } from "../formats/meta/own-layout.ts";
import { AppError } from "../protocol/errors.ts";
import { completeConfig, findArchitecture } from "./architectures/known.ts";
import { BLOCK, type TargetType, toSourceType } from "./encode-values.ts";
import { planGeneral } from "./general-metadata.ts";
import { refuseImatrix } from "./imatrix.ts";
import { Fields, readJsonFile } from "./json-file.ts";
import { labelTensors } from "./model-name.ts";
import { type PlannedTensor, weightsOf } from "./model-plan.ts";
import { factsOf, isPlainType, type OutType, PLAIN_TENSOR_TYPES, type PlainType } from "./out-types.ts";
import { openWeights } from "./sources/open-weights.ts";
import { completeSizes } from "./sources/own-layout.ts";
import { streamTensor } from "./stream-tensor.ts";
import { planTokenizer } from "./tokenizer/plan-tokenizer.ts";
import { countElements, type WeightSource } from "./weights.ts";
import { type ModelFile, type WriteOptions, writeModel } from "./write-model.ts";
import { type Quantizing, type WrittenFile, writeQuantized } from "./write-quantized.ts";

/** Of quantised blocks; readers check it. */
export const QUANTIZATION_VERSION = 2;

export interface ConvertRequest extends WriteOptions, Quantizing {
  /** A folder with config.json, a tokenizer and model*.safetensors. */
  source: string;
  /** The file to write, once it is settled which type its weights have. */
  target: (outType: OutType) => string;
  /** `auto`: BF16 where the weights are that, else F16. */
  outType: OutType | "auto";
}

export interface ConvertReport {
  target: string;
  outType: OutType;
  architecture: string;
  tensorCount: number;
  parameterCount: number;
  bytes: number;
  /** In words: what the user should know about the result. */
  notes: string[];
}

/** Throws AppError: `format_unsupported`, `model_damaged`, `storage_unavailable`, `invalid_request`. */
export async function convertModel(request: ConvertRequest): Promise<ConvertReport> {
  const source = resolve(request.source);
  const stated = readConfig(source);
  const architecture = findArchitecture(stated);
  const transformers = completeConfig(stated, architecture);
  using weights = openWeights(source, transformers);
  const config = completeSizes(transformers, weights);
  const outType = request.outType === "auto" ? (findWeightType(weights) ?? "f16") : request.outType;
  if (isPlainType(outType)) refuseImatrix(request.imatrix, outType);
  const { type, fileType } = choosePlain(outType, weights);
  const plan = architecture.plan({ folder: source, config, weights: weights.tensors, fileType });
  if (!isPlainType(outType)) refuseBlocks(plan.tensors, outType);
  const infos = plan.tensors.map((tensor) => describeTensor(tensor, type));
  const parameterCount = infos.reduce((sum, { dims }) => sum + countElements(dims), 0);
  const tokenizer = planTokenizer(source, config, plan.architecture);
  const general = planGeneral({
    folder: source,
    config,
    id: identify(source),
    parameterCount,
    sizeLabel: labelTensors(infos),
  });
  const metadata = new Map<string, GgufEntry>([
    ["general.architecture", { type: "string", value: plan.architecture }],
    ...general.entries,
    ...plan.metadata,
    ["general.quantization_version", { type: "u32", value: QUANTIZATION_VERSION }],
    ...tokenizer.entries,
  ]);
  const file: ModelFile = {
    header: encodeHeader(metadata, infos),
    tensors: plan.tensors.map((tensor, index) => ({
      name: tensor.name,
      chunks: () => streamTensor(weights, tensor, (infos[index]?.type ?? "F32") as TargetType),
    })),
  };
  const target = resolve(request.target(outType));
  const written = isPlainType(outType)
    ? await writePlain(target, file, request)
    : await writeQuantized(target, outType, { file, infos }, request);
  const notes = [...plan.notes, ...tokenizer.notes, ...general.notes, ...noteWiderTypes(infos, type), ...written.notes];
  const { bytes } = written;
  return { target, outType, architecture: plan.architecture, tensorCount: infos.length, parameterCount, bytes, notes };
}

async function writePlain(target: string, file: ModelFile, request: ConvertRequest): Promise<WrittenFile> {
  await writeModel(target, file, request);
  return { bytes: file.header.fileBytes, notes: [] };
}

/** Numbers of four bits stay what they are; rounding them again only loses. */
function refuseBlocks(tensors: readonly PlannedTensor[], outType: OutType): void {
  if (!tensors.some(({ source }) => source.kind === "mxfp4")) return;
  throw new AppError({
    code: "format_unsupported",
    message: `the experts have four bits a number already (MXFP4), and are not made ${outType}`,
    hint: "Leave --outtype out, or use q8_0: the experts stay as they are, and the rest takes that type.",
  });
}

/** What is written by us, be it all or what llama.cpp then quantises: there the weights as they are, rounded once. */
function choosePlain(outType: OutType, weights: WeightSource): { type: TargetType; fileType: number } {
  const plain = isPlainType(outType) ? outType : (findWeightType(weights) ?? "f32");
  return { type: PLAIN_TENSOR_TYPES[plain], fileType: factsOf(plain).fileType };
}

function readConfig(folder: string): Fields {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    const message = `${folder} is not a folder`;
    throw new AppError({
      code: "invalid_request",
      message,
      hint: "Name the folder of a model with config.json in it.",
    });
  }
  const config = readJsonFile(folder, "config.json");
  if (config !== null && config.value("architectures") !== null) return config;
  // Beside the weights' own makers', MLX's older config.json.
  const own = readJsonFile(folder, PARAMS_FILE) ?? config;
  const described = describeParams(own?.values);
  if (described !== null && "config" in described) return new Fields(own?.source ?? "", described.config);
  if (described !== null) throw refuseParams(described.refused);
  if (config !== null) return config;
  throw new AppError({
    code: "format_unsupported",
    message: `${folder} has no config.json`,
    hint: "ml-offload convert takes a folder with config.json, a tokenizer and SafeTensors weights.",
  });
}

function refuseParams(key: string): AppError {
  const message = `${PARAMS_FILE} says "${key}", which is not converted from this layout`;
  return new AppError({
    code: "format_unsupported",
    message,
    hint: "Use transformers' form of the model, with config.json.",
  });
}

/** config.json's `torch_dtype` is not to be trusted: the weights themselves say. */
function findWeightType(weights: WeightSource): PlainType | null {
  for (const { shape, dtype, halfType } of weights.tensors.values()) {
    const type = halfType ?? dtype;
    if (shape.length >= 2 && (type === "BF16" || type === "F16")) return type === "BF16" ? "bf16" : "f16";
  }
  return null;
}

/** Which experts a token goes to hangs on small differences; ggml reads positions and token types in single precision only. */
const PLAIN_TENSORS = /(^position_embd|^token_types|\.ffn_gate_inp(_shexp)?)\.weight$/;

/** Norms and all that has one dimension stay in single precision: ggml's operations want them so. */
function describeTensor(tensor: PlannedTensor, type: TargetType): GgufTensorInfo {
  const { name, dims } = tensor;
  if (tensor.source.kind === "mxfp4") return { name, dims, type: "MXFP4" };
  for (const weight of weightsOf(tensor)) toSourceType(weight.dtype, weight.name);
  const isPlain =
    dims.length <= 1 || name.endsWith("_norm.weight") || !name.endsWith(".weight") || PLAIN_TENSORS.test(name);
  if (isPlain) return { name, dims, type: "F32" };
  // As llama.cpp's converter does with rows that do not divide into blocks.
  const fits = type !== "Q8_0" || (dims[0] ?? 0) % BLOCK === 0;
  return { name, dims, type: fits ? type : "F16" };
}

function noteWiderTypes(infos: readonly GgufTensorInfo[], type: TargetType): string[] {
  const wider = infos.filter((info) => type === "Q8_0" && info.type === "F16").length;
  return wider === 0 ? [] : [`${wider} tensors have rows that do not divide into blocks of ${BLOCK} and stay in F16`];
}

/** The folder's name; in a Hugging Face cache, where that is a revision, the repository's. */
export function identify(folder: string): string {
  const parent = dirname(folder);
  const repository = /^models--(.+?)--(.+)$/.exec(basename(dirname(parent)));
  if (basename(parent) !== "snapshots" || repository === null) return basename(folder);
  return `${repository[1]}/${repository[2]}`;
}
