// Logits of a model file as llama.cpp computes them, and how far they are from others.

import { NativeContext } from "../../src/ffi/context.ts";
import { NativeModel } from "../../src/ffi/model.ts";
import { openLlama } from "./llama-library.ts";

export const PROMPT: readonly number[] = Array.from({ length: 48 }, (_, i) => (i * 37 + 11) % 256);

/** ‖Δ‖₂/‖ref‖₂ of an f32 conversion in llama.cpp: what single precision leaves is under 1e-6. */
export const DIFFERENCE_MAX = 1e-5;

/** Of the prompt's last token, with keys and values in F32 and attention as separate operations: nothing is rounded to less. */
export async function askLlama(path: string, vocabulary: number): Promise<Float64Array> {
  const { library } = await openLlama();
  using job = NativeModel.load(library, path, { gpuLayers: 0 });
  let state = job.poll();
  for (; state.kind === "running"; state = job.poll()) Bun.sleepSync(1);
  if (state.kind !== "done") throw new Error(`llama.cpp does not load ${path}: ${JSON.stringify(state)}`);
  using model = job.take();
  using context = NativeContext.make(model, {
    contextLength: 256,
    batchSize: 64,
    microBatchSize: 64,
    outputs: 1,
    sequences: 1,
    threads: 1,
    embeddings: false,
    pooling: -1,
    flashAttention: false,
    kvType: "f32",
  });
  const length = PROMPT.length;
  context.decode({
    length,
    tokens: Int32Array.from(PROMPT),
    positions: Int32Array.from(PROMPT, (_, i) => i),
    sequences: new Int32Array(length),
    outputs: Int8Array.from(PROMPT, (_, i) => Number(i === length - 1)),
  });
  const { tokens, logits } = context.topLogits(length - 1, vocabulary);
  const all = new Float64Array(vocabulary).fill(Number.NaN);
  for (const [i, token] of tokens.entries()) all[token] = logits[i] ?? Number.NaN;
  return all;
}

/** ‖found - expected‖₂ / ‖expected‖₂ */
export function relativeDifference(found: Float64Array, expected: Float64Array): number {
  const norm = (values: Float64Array) => Math.sqrt(values.reduce((total, value) => total + value * value, 0));
  return norm(found.map((value, i) => value - (expected[i] ?? Number.NaN))) / norm(expected);
}
