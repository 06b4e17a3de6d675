// Quantising in a child of its own: a crash, an abort of ggml or the memory that it takes is never ours, and ending it is
// how it is cancelled. The child ends with this process, however that ends.

import { availableParallelism } from "node:os";
import { systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { AppError } from "../../protocol/errors.ts";
import type { QuantizeSettings } from "../../protocol/messages.ts";
import { runJob } from "../children/jobs.ts";

export interface QuantizeRequest extends Omit<QuantizeSettings, "threads" | "bufferBytes"> {
  signal: AbortSignal;
  /** From 0 to 1. */
  onProgress: (share: number) => void;
}

/** llama.cpp's own default is 8 GiB; a chunk of some hundred rows keeps every core busy. */
const BUFFER_BYTES = 64 * 1024 * 1024;

/** Throws AppError, and the signal's reason once it is aborted: the child has ended then. */
export async function quantizeFile(libraryPath: string, request: QuantizeRequest): Promise<void> {
  const { source, target, fileType, imatrix, allowRequantize, signal, onProgress } = request;
  const threads = availableParallelism();
  const settings = { source, target, fileType, imatrix, allowRequantize, threads, bufferBytes: BUFFER_BYTES };
  const result = await runJob(libraryPath, { job: "quantize", ...settings }, silentLogger, systemClock, {
    timeoutMs: null,
    signal,
    onProgress,
  });
  signal.throwIfAborted();
  if (result.kind === "answer") return;
  if (result.error !== undefined) throw new AppError(result.error);
  throw new AppError({
    code: "internal",
    message: `the quantiser ended before it was done: ${result.reason}`,
    hint: "Is there enough memory? It takes about 200 MB.",
  });
}
