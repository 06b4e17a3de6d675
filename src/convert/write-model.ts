// Writes a planned model: tensor by tensor and chunk by chunk. What becomes of the file is place-file.ts' business.

import { closeSync, openSync, writeSync } from "node:fs";
import { ALIGNMENT, type EncodedHeader } from "../formats/gguf/write-header.ts";
import type { ConversionPhase } from "../protocol/conversion.ts";
import { placeFile } from "./place-file.ts";

/** Bytes of one tensor, in order. */
export type TensorBytes = Generator<Uint8Array>;

export interface ModelFile {
  header: EncodedHeader;
  tensors: readonly { name: string; chunks: () => TensorBytes }[];
}

export interface WriteOptions {
  /** Replaces a file that is there. */
  force: boolean;
  signal: AbortSignal;
  /** `quantize`: llama.cpp is at work on what was written before, and counts from 0 again. */
  onProgress: (doneBytes: number, totalBytes: number, phase: ConversionPhase) => void;
}

export async function writeModel(target: string, file: ModelFile, options: WriteOptions): Promise<void> {
  const { fileBytes } = file.header;
  await placeFile(target, { force: options.force, neededBytes: fileBytes }, async (temporary) => {
    await writeTensors(temporary, file, options);
  });
}

/** All of a planned model, under a name of the caller's. */
export async function writeTensors(
  path: string,
  { header, tensors }: ModelFile,
  options: Pick<WriteOptions, "signal" | "onProgress">,
): Promise<void> {
  const descriptor = openSync(path, "w");
  try {
    let done = 0;
    const put = (bytes: Uint8Array): void => {
      for (let at = 0; at < bytes.byteLength; ) at += writeSync(descriptor, bytes, at, bytes.byteLength - at);
      done += bytes.byteLength;
    };
    put(header.bytes);
    for (const [index, { name, chunks }] of tensors.entries()) {
      const expected = header.tensorBytes[index] ?? 0;
      const start = done;
      for (const chunk of chunks()) {
        put(chunk);
        options.onProgress(done, header.fileBytes, "write");
        // Signals and timers run between two chunks.
        await new Promise((resolve) => setImmediate(resolve));
        options.signal.throwIfAborted();
      }
      if (done - start !== expected) {
        throw new Error(`${name} has ${done - start} bytes where the header says ${expected}`);
      }
      put(new Uint8Array((ALIGNMENT - (done % ALIGNMENT)) % ALIGNMENT));
    }
    options.onProgress(done, header.fileBytes, "write");
  } finally {
    closeSync(descriptor);
  }
}
