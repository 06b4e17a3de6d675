// A PEFT LoRA adapter → a GGUF adapter, for `--lora`. Its base model is needed for the names and the order of rows; no weight
// of it is read. Plans everything first, then streams the tensors.

import { existsSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { encodeHeader, type GgufEntry, type GgufTensorInfo } from "../../formats/gguf/write-header.ts";
import { AppError } from "../../protocol/errors.ts";
import { type ConvertReport, type ConvertRequest, identify, QUANTIZATION_VERSION } from "../convert-model.ts";
import { BLOCK, type TargetType, toSourceType } from "../encode-values.ts";
import { planGeneral } from "../general-metadata.ts";
import { labelSize } from "../model-name.ts";
import { type PlannedTensor, weightsOf } from "../model-plan.ts";
import { factsOf, isPlainType, type OutType, PLAIN_TENSOR_TYPES, PLAIN_TYPES, type PlainType } from "../out-types.ts";
import type { PartNames } from "../sources/parts.ts";
import { PytorchWeights } from "../sources/pytorch.ts";
import { SafetensorsWeights } from "../sources/safetensors.ts";
import { streamTensor } from "../stream-tensor.ts";
import { countElements, type Weight, type WeightSource } from "../weights.ts";
import { type ModelFile, writeModel } from "../write-model.ts";
import { openBase } from "./adapter-base.ts";
import { ADAPTER_CONFIG, readAdapterConfig } from "./adapter-config.ts";
import { planAdapter } from "./plan-adapter.ts";

const SAFETENSORS: PartNames = {
  index: "adapter_model.safetensors.index.json",
  patterns: [/^adapter_model.*\.safetensors$/],
  shown: "adapter_model.safetensors and no adapter_model.bin",
};
const PYTORCH: PartNames = {
  index: "adapter_model.bin.index.json",
  patterns: [/^adapter_model.*\.bin$/],
  shown: "adapter_model.bin",
};

export interface AdapterRequest extends ConvertRequest {
  /** The base model's folder, or a GGUF of it; null: what the adapter says, where that is here. */
  base: string | null;
}

/** Whether a folder is one of an adapter. */
export function isAdapterFolder(folder: string): boolean {
  return existsSync(join(folder, ADAPTER_CONFIG));
}

/** Throws AppError: `format_unsupported`, `model_damaged`, `storage_unavailable`, `invalid_request`. */
export async function convertAdapter(request: AdapterRequest): Promise<ConvertReport> {
  const source = resolve(request.source);
  const config = readAdapterConfig(source);
  const base = openBase(request.base === null ? findBase(source, config.baseModel) : resolve(request.base));
  const files = readdirSync(source).some((name) => /^adapter_model.*\.safetensors/.test(name)) ? SAFETENSORS : PYTORCH;
  using weights: WeightSource =
    files === SAFETENSORS ? SafetensorsWeights.open(source, files) : PytorchWeights.open(source, files);
  const plan = planAdapter(weights.tensors, config, base);
  const outType = request.outType === "auto" ? findOutType(weights.tensors) : requirePlain(request.outType);
  const infos = plan.tensors.map((tensor) => describeTensor(tensor, PLAIN_TENSOR_TYPES[outType]));
  const parameterCount = infos.reduce((sum, { dims }) => sum + countElements(dims), 0);
  const sizeLabel = labelSize(parameterCount);
  const id = identify(source);
  const general = planGeneral({ folder: source, config: config.fields, id, parameterCount, sizeLabel });
  const metadata = new Map<string, GgufEntry>([
    ["general.architecture", { type: "string", value: base.architecture }],
    ...general.entries,
    ...nameBase(general.entries, config.baseModel),
    ["general.type", { type: "string", value: "adapter" }],
    ["adapter.type", { type: "string", value: "lora" }],
    ["adapter.lora.alpha", { type: "f32", value: config.alpha }],
    ["general.file_type", { type: "u32", value: factsOf(outType).fileType }],
    ["general.quantization_version", { type: "u32", value: QUANTIZATION_VERSION }],
  ]);
  const file: ModelFile = {
    header: encodeHeader(metadata, infos),
    tensors: plan.tensors.map((tensor, index) => ({
      name: tensor.name,
      chunks: () => streamTensor(weights, tensor, (infos[index]?.type ?? "F32") as TargetType),
    })),
  };
  const target = resolve(request.target(outType));
  await writeModel(target, file, request);
  const notes = [...plan.notes, ...general.notes];
  const { fileBytes: bytes } = file.header;
  return { target, outType, architecture: base.architecture, tensorCount: infos.length, parameterCount, bytes, notes };
}

/** What the adapter calls its base, where that is a place on this machine. */
function findBase(folder: string, stated: string | null): string {
  for (const path of stated === null ? [] : [resolve(folder, stated), resolve(stated)]) {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) return path;
  }
  const name = stated === null ? "a model that it does not name" : stated.slice(0, 120);
  throw new AppError({
    code: "invalid_request",
    message: `the adapter belongs to ${name}, which is not here under this name`,
    hint: "Name the folder of that model, or a GGUF of it, by --base.",
  });
}

/** Where the card does not say it: so that the adapter is listed with its model. */
function nameBase(entries: readonly [string, GgufEntry][], stated: string | null): [string, GgufEntry][] {
  const name = stated?.split("/").at(-1) ?? "";
  if (name === "" || entries.some(([key]) => key === "general.base_model.count")) return [];
  return [
    ["general.base_model.count", { type: "u32", value: 1 }],
    ["general.base_model.0.name", { type: "string", value: name }],
  ];
}

function requirePlain(outType: OutType): PlainType {
  if (isPlainType(outType)) return outType;
  const message = `an adapter is written as ${PLAIN_TYPES.join(", ")}, not as ${outType}`;
  throw new AppError({
    code: "invalid_request",
    message,
    hint: "Adapters are small; auto keeps the type that it has.",
  });
}

/** Adapters are small: they keep the type that they have. */
function findOutType(tensors: ReadonlyMap<string, Weight>): PlainType {
  const [first] = tensors.values();
  return first?.dtype === "BF16" ? "bf16" : first?.dtype === "F16" ? "f16" : "f32";
}

function describeTensor(tensor: PlannedTensor, type: TargetType): GgufTensorInfo {
  const { name, dims } = tensor;
  for (const weight of weightsOf(tensor)) toSourceType(weight.dtype, weight.name);
  const fits = type !== "Q8_0" || (dims[0] ?? 0) % BLOCK === 0;
  return { name, dims, type: fits ? type : "F16" };
}
