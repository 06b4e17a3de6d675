// What llama.cpp says of a load without weights, against the same of a real one: weights, cells and buffers are equal to
// the byte, for every kind of memory.

import { describe, expect, test } from "bun:test";
import { layOut } from "../../src/engine/jobs/measure.ts";
import { describeRepacking } from "../../src/models/memory/repacking.ts";
import type { MemoryNeed } from "../../src/protocol/memory-need.ts";
import type { EngineSettings } from "../../src/protocol/messages.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { writeLargeShape } from "../support/large-shapes.ts";
import { SMALL_EXPERTS } from "../support/large-specs.ts";
import { HAS_NATIVE, loadModelFile, openLlama } from "../support/llama-library.ts";
import { describeEngine } from "../support/memory-settings.ts";
import {
  BERT_CLS_SPEC,
  GEMMA_SPEC,
  HEAD_SPEC,
  LFM2_SPEC,
  LLAMA_SPEC,
  MAMBA_SPEC,
  type ModelSpec,
  TINY_SPEC,
} from "../support/model-specs.ts";
import { readSimd } from "../support/simd.ts";

const BASE = { parallel: 2, retainedMax: 3, contextLength: 512, batchSize: 128, microBatchSize: 64 };
/** The order of a processor's kernels is that of 4-bit weights in whole rows of blocks. */
const PACKED: ModelSpec = { ...LLAMA_SPEC, tokenizer: "llama-spm", weights: "Q4_0", embeddings: "Q4_0" };

const CASES: [string, ModelSpec | typeof SMALL_EXPERTS, Partial<EngineSettings>][] = [
  ["plain", LLAMA_SPEC, {}],
  ["more sequences than rows of a micro batch", TINY_SPEC, { parallel: 16, retainedMax: 20, microBatchSize: 32 }],
  ["keys and values as q8_0", LLAMA_SPEC, { kvType: "q8_0" }],
  ["keys and values as f32", LLAMA_SPEC, { kvType: "f32" }],
  ["repacked weights", PACKED, {}],
  ["experts", SMALL_EXPERTS, {}],
  ["experts of some layers kept on the host", SMALL_EXPERTS, { hostExpertLayers: 2 }],
  ["sliding windows", GEMMA_SPEC, {}],
  ["recurrent", MAMBA_SPEC, {}],
  ["hybrid", LFM2_SPEC, {}],
  ["prediction layers", HEAD_SPEC, { head: { tokensMax: 4, required: true } }],
  ["an encoder", BERT_CLS_SPEC, { batchSize: 512, microBatchSize: 512 }],
];

function withoutOverhead({ host, devices }: MemoryNeed): object {
  const { overheadBytes: _, ...rest } = host;
  return { ...rest, devices };
}

describe.skipIf(!HAS_NATIVE)("a layout says what a load takes", () => {
  test.each(CASES)("%s", async (_name, spec, changes) => {
    const { library, plugin } = await openLlama();
    const modelPath = "shape" in spec ? cacheModel(spec) : writeLargeShape(spec);
    const settings = { ...BASE, ...changes };
    using backend = await loadModelFile(modelPath, settings);
    const { need, repackedBytes, embedding } = layOut(
      library,
      { ...describeEngine(modelPath, plugin), ...settings },
      { onProgress: () => {}, wait: () => Bun.sleepSync(1) },
      () => 0,
    );
    const loaded = backend.info.memoryNeed;
    if (loaded === null) return expect(process.platform).not.toBe("linux");
    // Scratch memory is known of a layout only, and counted with the buffers.
    const work = need.host.computeBytes - loaded.host.computeBytes;
    expect(work).toBeGreaterThanOrEqual(0);
    expect(work).toBeLessThan(8 * 1024 ** 2);
    expect(withoutOverhead({ ...need, host: { ...need.host, computeBytes: loaded.host.computeBytes } })).toEqual(
      withoutOverhead(loaded),
    );
    expect(need.host.weightsBytes + need.host.mappedBytes).toBeGreaterThan(0);
    const copies = describeRepacking(readSimd(), plugin).some(({ type }) => type === "Q4_0");
    if (spec === PACKED) expect(repackedBytes > 0).toBe(copies);
    expect(embedding === null).toBe(!backend.info.canGenerate);
  });

  test("of a draft model too, whose weights are counted as well", async () => {
    const { library, plugin } = await openLlama();
    const settings = describeEngine(cacheModel(TINY_SPEC), plugin);
    const hooks = { onProgress: () => {}, wait: () => Bun.sleepSync(1) };
    const alone = layOut(library, { ...settings, ...BASE }, hooks, () => 0).need.host;
    const draft = { modelPath: cacheModel(TINY_SPEC), tokensMax: 4 };
    const both = layOut(library, { ...settings, ...BASE, draft }, hooks, () => 0).need.host;
    expect(both.mappedBytes).toBe(2 * alone.mappedBytes);
    expect(both.kvBytes).toBe(2 * alone.kvBytes);
    expect(both.computeBytes).toBeGreaterThan(alone.computeBytes);
  });

  test("is refused as the load would be", async () => {
    const { library, plugin } = await openLlama();
    const settings = { ...describeEngine(cacheModel(LFM2_SPEC), plugin), kvType: "q4_0" as const };
    const hooks = { onProgress: () => {}, wait: () => Bun.sleepSync(1) };
    expect(() => layOut(library, settings, hooks, () => 0)).toThrow(/blocks of 32/);
    expect(library.liveHandles()).toMatchObject({ model: 0, context: 0 });
  });
});
