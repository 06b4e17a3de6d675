// The context in which embeddings are computed: it leaves out logits, which changes no bit of a vector, and takes long inputs
// in several micro batches where only their last row counts.

import { describe, expect, test } from "bun:test";
import { cacheModel } from "../support/gguf-builder.ts";
import { writeLargeShape } from "../support/large-shapes.ts";
import { LARGE_SHAPES } from "../support/large-specs.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { layOutModel } from "../support/memory-settings.ts";
import { GEMMA_SPEC, HEAD_SPEC, LFM2_SPEC, LLAMA_SPEC, MAMBA_SPEC, QWEN3_SPEC } from "../support/model-specs.ts";

const MIB = 1024 ** 2;
const LENGTHS = [1, 5, 40, 100, 256];
const SPECS = { LLAMA_SPEC, QWEN3_SPEC, GEMMA_SPEC, HEAD_SPEC, LFM2_SPEC, MAMBA_SPEC };
const CASES = Object.entries(SPECS);

function tokensOf(length: number): Int32Array {
  return Int32Array.from({ length }, (_, at) => 3 + ((at * 7 + length) % 200));
}

async function embed(
  spec: (typeof CASES)[number][1],
  pooling: "last" | "none",
  microBatchSize: number,
  together = false,
): Promise<Float32Array[]> {
  using backend = await loadModelFile(cacheModel(spec), { contextLength: 512, microBatchSize, pooling });
  const inputs = LENGTHS.map(tokensOf);
  const { inputs: inputsMax } = backend.embeddingBatch;
  if (together && inputsMax >= inputs.length) return backend.embed(inputs);
  return inputs.flatMap((input) => backend.embed([input]));
}

function likeness(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
}

describe.skipIf(!HAS_NATIVE)("a context for embeddings", () => {
  // Without pooling llama.cpp computes logits too, and gives the last row's vector, which is what `last` pools.
  test.each(CASES)("%s: without logits each vector is the same to the bit", async (_name, spec) => {
    const bare = await embed(spec, "last", 512);
    expect(bare).toEqual(await embed(spec, "none", 512));
    expect(new Set(bare.map((vector) => vector.join(" "))).size).toBe(LENGTHS.length);
  });

  test.each(CASES)("%s: longer inputs than a micro batch, one by one and together", async (_name, spec) => {
    const whole = await embed(spec, "last", 512);
    for (const together of [false, true]) {
      const split = await embed(spec, "last", 32, together);
      for (const [at, vector] of split.entries()) {
        expect(likeness(vector, whole[at] ?? vector)).toBeGreaterThan(0.9999);
      }
      // Each is itself, not merely like all others.
      const likest = split.map((vector) => {
        const scores = whole.map((other) => likeness(vector, other));
        return scores.indexOf(Math.max(...scores));
      });
      expect(likest).toEqual([...LENGTHS.keys()]);
    }
  });

  test("does not grow with the vocabulary", async () => {
    const large = LARGE_SHAPES.find(({ name }) => name === "qwen3-4b");
    if (large === undefined) throw new Error("there is no such shape");
    const { embedding } = await layOutModel(writeLargeShape(large));
    // 512 rows of 151,936 logits alone would be 297 MiB, and 2,048 rows of output 1,187 MiB.
    expect(embedding?.host.computeBytes).toBeLessThan(96 * MIB);
    expect(embedding?.host.overheadBytes).toBeLessThan(MIB);
    // Keys and values of 2,048 tokens.
    expect(embedding?.host.kvBytes).toBe(36 * 2048 * 8 * 128 * 2 * 2);
  });
});
