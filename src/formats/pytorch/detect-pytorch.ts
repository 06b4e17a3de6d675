// What a PyTorch checkpoint is: by its archive's names or its first pickled number. Its pickle is read as data and never
// executed; names outside of the allowed list are told.

import { basename, join } from "node:path";
import { type Finding, showText } from "../detection.ts";
import type { FileSource } from "../file-source.ts";
import { ADAPTER_CONFIG, judgeAdapter } from "../hugging-face/judge-adapter.ts";
import { readModelConfig } from "../hugging-face/read-config.ts";
import { readTokenizer } from "../hugging-face/read-tokenizer.ts";
import { labelMethod } from "../safetensors/detect-safetensors.ts";
import type { Shards } from "../safetensors/gather-shards.ts";
import { judgeModel } from "../safetensors/judge-model.ts";
import { judgeWeights, type WeightsKind, type WeightTensor } from "../safetensors/weights-kind.ts";
import type { ZipEntry } from "../zip/read-zip.ts";
import { DTYPE_BYTES } from "./allowed-globals.ts";
import {
  isCheckpointError,
  modelTensors,
  type PytorchCheckpoint,
  readPytorchCheckpoint,
  readZipCheckpoint,
} from "./read-checkpoint.ts";

const ORIGINAL = "Fetch the SafeTensors of the same model, or a GGUF.";

/** One or all files of a model. `folder` is looked into for config.json and the tokenizer. */
export function detectPytorch(source: FileSource, folder: string, shards: Shards, thorough: boolean): Finding {
  const config = readModelConfig(source, folder);
  const known = config === null || "problem" in config ? null : config;
  const tokenizer = readTokenizer(source, folder, thorough);
  const base: Omit<Finding, "verdict" | "reason"> = {
    format: "pytorch",
    variant: shards.kind === "sharded" ? "sharded" : null,
    architecture: known?.architecture ?? known?.modelType ?? null,
    contextLength: known?.contextLength ?? null,
    tokenizer: tokenizer.name,
    hasChatTemplate: known === null ? null : tokenizer.hasChatTemplate,
    files: shards.files,
    sizeBytes: shards.files.reduce((sum, file) => sum + (source.stat(file)?.sizeBytes ?? 0), 0),
  };
  if (shards.problem !== null)
    return { ...base, verdict: "damaged", missing: [shards.problem], reason: `${shards.problem}.` };
  const checkpoints: PytorchCheckpoint[] = [];
  for (const path of shards.files) {
    const read = readOne(source, path);
    if ("verdict" in read) return { ...base, ...read };
    checkpoints.push(read);
  }
  if (shards.missing.length > 0) {
    const reason = `${shards.missing.length} of its files are missing. Fetch them into the same folder.`;
    return { ...base, verdict: "damaged", missing: shards.missing, reason };
  }
  const facts = describe(checkpoints, base.variant ?? null);
  if (!("tensors" in facts)) return { ...base, ...facts };
  const { tensors, weights, ...outcome } = facts;
  const bits = known?.quantization?.bits ?? null;
  const method = weights.method === null ? null : (known?.quantization?.method ?? weights.method);
  const quantization = method === null ? weights.dtype : labelMethod(method, bits);
  const found = { ...base, ...outcome, quantization };
  if (source.stat(join(folder, ADAPTER_CONFIG))?.kind === "file") return judgeAdapter(source, folder, found);
  if (config !== null && "problem" in config) {
    return { ...found, verdict: "damaged", missing: [config.problem], reason: `${config.problem}. Fetch it again.` };
  }
  return judgeModel({ found, folder, config: known, tokenizer, weights, method, tensors });
}

type Outcome = Pick<Finding, "verdict" | "reason"> & Partial<Finding>;

function readOne(source: FileSource, path: string): PytorchCheckpoint | Outcome {
  try {
    const read = source.use(path, readPytorchCheckpoint);
    if (read !== null) return read;
    return {
      variant: "pickle",
      verdict: "unsupported",
      reason: `a pickle that PyTorch did not write; it is not executed. ${ORIGINAL}`,
    };
  } catch (thrown) {
    if (!isCheckpointError(thrown)) throw thrown;
    const reason = `${basename(path)}: ${thrown.message}`;
    const unsupported = "reason" in thrown && thrown.reason === "unsupported";
    if (unsupported) return { verdict: "unsupported", reason: `${reason}. ${ORIGINAL}` };
    return { verdict: "damaged", reason: `${reason}. Fetch the file again.` };
  }
}

interface CheckpointFacts extends Omit<Partial<Finding>, "verdict" | "reason"> {
  tensors: ReadonlyMap<string, WeightTensor>;
  weights: WeightsKind;
}

function describe(checkpoints: readonly PytorchCheckpoint[], variant: string | null): Outcome | CheckpointFacts {
  const sizeOf = ({ dtype, shape }: WeightTensor): number =>
    shape.reduce((product, length) => product * length, DTYPE_BYTES.get(dtype) ?? 1);
  const list = checkpoints.flatMap(modelTensors);
  const weights = judgeWeights(list.map((tensor) => ({ ...tensor, bytes: sizeOf(tensor) })));
  const refused = [...new Set(checkpoints.flatMap((checkpoint) => checkpoint.refused))];
  const facts = {
    variant: variant ?? checkpoints[0]?.layout ?? null,
    parameterCount: checkpoints.reduce((sum, checkpoint) => sum + checkpoint.elementCount, 0) || null,
    quantization: weights.dtype,
  };
  if (refused.length > 0) {
    const names = refused.slice(0, 5).map((name) => showText(name));
    const shown = names.join(", ") + (refused.length > 5 ? ", …" : "");
    const reason = `its pickle asks for ${shown}, which was refused: a pickle is a program, and only tensors are read from one.`;
    return { ...facts, verdict: "unsupported", reason: `${reason} ${ORIGINAL}` };
  }
  return { ...facts, tensors: new Map(list.map((tensor) => [tensor.name, tensor])), weights };
}

/** A program that PyTorch has compiled: code lies beside the weights. */
export function detectTorchScript(source: FileSource, path: string, entries: readonly ZipEntry[]): Finding {
  const base = { format: "pytorch" as const, variant: "torchscript" };
  try {
    const { elementCount } = source.use(path, (file) => readZipCheckpoint(file, entries));
    const parameterCount = elementCount || null;
    return { ...base, parameterCount, verdict: "unsupported", reason: describeScript() };
  } catch (thrown) {
    // Its data.pkl may name the classes of its own code in ways that checkpoints do not: the verdict stays the same.
    if (!isCheckpointError(thrown)) throw thrown;
    return { ...base, verdict: "unsupported", reason: describeScript() };
  }
}

function describeScript(): string {
  return `a TorchScript program: weights and code for PyTorch's own interpreter. ${ORIGINAL}`;
}

/** Whether an archive is a checkpoint, a program, or none of PyTorch's. */
export function isPytorchArchive(entries: readonly ZipEntry[]): "checkpoint" | "torchscript" | null {
  const has = (pattern: RegExp): boolean => entries.some((entry) => pattern.test(entry.name));
  if (!has(/^([^/]+\/)?data\.pkl$/)) return null;
  return has(/^([^/]+\/)?(code\/|constants\.pkl$)/) ? "torchscript" : "checkpoint";
}
