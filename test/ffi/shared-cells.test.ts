// A unified cache holds everybody's cells: what a sequence computes must not hang on how many of others stand beside it.

import { describe, expect, test } from "bun:test";
import { NativeContext } from "../../src/ffi/context.ts";
import { NativeModel } from "../../src/ffi/model.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { LLAMA_SPEC } from "../support/model-specs.ts";

const OWN = 300;
const OTHERS = 700;
const STEPS = 8;
const BATCH = 100;

function read(context: NativeContext, sequence: number, from: number, count: number): void {
  for (let start = 0; start < count; start += BATCH) {
    const length = Math.min(BATCH, count - start);
    const outputs = new Int8Array(length);
    outputs[length - 1] = 1;
    context.decode({
      length,
      tokens: Int32Array.from({ length }, (_, i) => 500 + ((sequence * 977 + (from + start + i) * 31) % 3000)),
      positions: Int32Array.from({ length }, (_, i) => from + start + i),
      sequences: new Int32Array(length).fill(sequence),
      outputs,
    });
  }
}

/** The two best logits of each step of sequence 0, with cells of another sequence behind its prompt's. */
function follow(model: NativeModel, threads: number, others: number): number[][] {
  using context = NativeContext.make(model, {
    contextLength: 2048,
    batchSize: BATCH,
    microBatchSize: BATCH,
    outputs: 2,
    sequences: 2,
    threads,
    embeddings: false,
    pooling: -1,
  });
  read(context, 0, 0, OWN);
  if (others > 0) read(context, 1, 0, others);
  return Array.from({ length: STEPS }, (_, step) => {
    read(context, 0, OWN + step, 1);
    const { tokens, logits } = context.topLogits(0, 2);
    return [...tokens, ...logits];
  });
}

describe.skipIf(!HAS_NATIVE)("attention beside other sequences' cells", () => {
  // Cells that a batch sees begin where they do anyway, and end at a multiple of 256: from 512 on threads share them.
  test.each([1, 2])("is the same to the last bit with %i threads", async (threads) => {
    const { library } = await openLlama();
    using job = NativeModel.load(library, cacheModel(LLAMA_SPEC), { gpuLayers: 0 });
    while (job.poll().kind === "running") Bun.sleepSync(1);
    using model = job.take();
    const few = follow(model, threads, 250);
    expect(follow(model, threads, OTHERS)).toEqual(few);
  });
});
