// Models in llama.cpp's small types: a planned model is written as plain numbers under a hidden name, and llama.cpp's
// quantiser, which the caller provides, makes the file of it. Owns the file in between; computes no type itself.

import { rmSync } from "node:fs";
import { readGgufHeader } from "../formats/gguf/read-header.ts";
import type { GgufTensor } from "../formats/gguf/read-tensors.ts";
import { withFile } from "../formats/read-at.ts";
import { assert } from "../lib/assert.ts";
import { checkImatrix, type TensorShape } from "./imatrix.ts";
import { factsOf, type OutType } from "./out-types.ts";
import { placeFile, temporaryName } from "./place-file.ts";
import { type ModelFile, type WriteOptions, writeTensors } from "./write-model.ts";

export interface QuantizeJob {
  /** The first part of a GGUF file. */
  source: string;
  /** Written from its beginning; whoever asks removes it where the job fails. */
  target: string;
  /** llama.cpp's number of the type. */
  fileType: number;
  imatrix: string | null;
  allowRequantize: boolean;
  signal: AbortSignal;
  /** From 0 to 1; above 0 the source is open, and its name is not needed any more. */
  onProgress: (share: number) => void;
}

export interface Quantizing {
  /** llama.cpp's quantiser, in a process of its own. Absent: none of its types can be made. */
  quantize?: ((job: QuantizeJob) => Promise<void>) | undefined;
  /** A file of llama-imatrix. */
  imatrix?: string | null | undefined;
}

export interface WrittenFile {
  bytes: number;
  /** In words: what the user should know about the result. */
  notes: string[];
}

export async function writeQuantized(
  target: string,
  outType: OutType,
  { file, infos }: { file: ModelFile; infos: readonly TensorShape[] },
  request: WriteOptions & Quantizing,
): Promise<WrittenFile> {
  const notes = checkImatrix(request.imatrix ?? null, infos, outType);
  const { fileBytes } = file.header;
  const plain = temporaryName(target, "plain");
  const neededBytes = fileBytes + estimateBytes(infos, outType);
  await placeFile(target, { force: request.force, neededBytes }, async (temporary) => {
    try {
      await writeTensors(plain, file, request);
      // Once it is open it needs no name: then a kill leaves one file less, and the system frees the disk.
      const onOpen = () => rmSync(plain, { force: true });
      await runQuantizer(request, { source: plain, target: temporary, outType, bytes: fileBytes, onOpen });
    } finally {
      rmSync(plain, { force: true });
    }
  });
  return describeWritten(target, outType, notes);
}

export interface QuantizerRun {
  source: string;
  target: string;
  outType: OutType;
  /** Of the source: what progress is counted in. */
  bytes: number;
  allowRequantize?: boolean;
  onOpen?: () => void;
}

export async function runQuantizer(request: WriteOptions & Quantizing, run: QuantizerRun): Promise<void> {
  const { quantize } = request;
  assert(quantize !== undefined, "whoever asks for a quantised file provides the quantiser");
  request.signal.throwIfAborted();
  let isOpen = false;
  await quantize({
    source: run.source,
    target: run.target,
    fileType: factsOf(run.outType).fileType,
    imatrix: request.imatrix ?? null,
    allowRequantize: run.allowRequantize === true,
    signal: request.signal,
    onProgress(share) {
      if (share > 0 && !isOpen) run.onOpen?.();
      isOpen ||= share > 0;
      request.onProgress(Math.round(share * run.bytes), run.bytes, "quantize");
    },
  });
  request.onProgress(run.bytes, run.bytes, "quantize");
}

/** What the written file says of itself. */
export function describeWritten(target: string, outType: OutType, notes: readonly string[]): WrittenFile {
  const { fileBytes, tensors } = withFile(target, (file) => readGgufHeader(file, { tensors: true }));
  return { bytes: fileBytes, notes: [...notes, ...noteFallbacks(tensors ?? [], outType)] };
}

/** On the safe side: mixes give some tensors more bits, embeddings above all, and so do rows that divide into no blocks. */
export function estimateBytes(tensors: readonly TensorShape[], outType: OutType): number {
  const { bitsPerWeight, block } = factsOf(outType);
  const bits = tensors.reduce((sum, { name, dims }) => {
    const [row = 1] = dims;
    const elements = dims.reduce((product, size) => product * size, 1);
    if (dims.length < 2) return sum + elements * 32;
    if (row % 32 !== 0) return sum + elements * Math.max(16, bitsPerWeight);
    const isWide = row % block !== 0 || /^(token_embd|output)\./.test(name);
    return sum + elements * Math.max(isWide ? 8.5 : 0, bitsPerWeight * 1.1 + 0.5);
  }, 0);
  return Math.ceil(bits / 8);
}

function noteFallbacks(tensors: readonly GgufTensor[], outType: OutType): string[] {
  const { block } = factsOf(outType);
  const odd = tensors.filter(({ dims, type }) => dims.length > 1 && (dims[0] ?? 0) % block !== 0 && type !== "F32");
  if (odd.length === 0) return [];
  const types = [...new Set(odd.map(({ type }) => type))].sort().join(", ");
  return [`${odd.length} tensors have rows that do not divide into blocks of ${block}; they became ${types} instead`];
}
