// The formula against llama.cpp's own account, on every shape that tests generate and on those that people run, over the
// settings that change what a load takes: each part within 2 % or 20 MiB, weights and cells to the byte.

import { describe, expect, test } from "bun:test";
import { estimateEmbedding, estimateNeed } from "../../../src/models/memory/estimate-need.ts";
import { describeRepacking } from "../../../src/models/memory/repacking.ts";
import type { LoadSettings, MemoryParts } from "../../../src/protocol/memory-need.ts";
import { cacheModel } from "../../support/gguf-builder.ts";
import { writeLargeShape } from "../../support/large-shapes.ts";
import { LARGE_SHAPES } from "../../support/large-specs.ts";
import { HAS_NATIVE, openLlama } from "../../support/llama-library.ts";
import { LOAD, layOutContexts, layOutModel, readShapeOf } from "../../support/memory-settings.ts";
import * as SPECS from "../../support/model-specs.ts";
import { readSimd } from "../../support/simd.ts";

const MIB = 1024 ** 2;

const SETTINGS: Partial<LoadSettings>[] = [
  {},
  { contextLength: 32_768 },
  { contextLength: 512, batchSize: 64, microBatchSize: 64, parallel: 1, retainedMax: 0 },
  { microBatchSize: 64, parallel: 16, retainedMax: 32 },
  { parallel: 64, retainedMax: 64 },
  { batchSize: 4096, microBatchSize: 2048 },
  { kvType: "q8_0" },
  { kvType: "f32" },
];

const MODELS: [string, () => string][] = [
  ...Object.entries(SPECS)
    .filter(([name]) => name.endsWith("_SPEC") && !name.startsWith("SIZED") && name !== "BENCH_SPEC")
    .map(([name, spec]): [string, () => string] => [name, () => cacheModel(spec as SPECS.ModelSpec)]),
  ...LARGE_SHAPES.map((shape): [string, () => string] => [shape.name, () => writeLargeShape(shape)]),
];

/** Of a formula that was within 17 MB when this was written. */
function close(found: number, expected: number): boolean {
  return Math.abs(found - expected) <= Math.max(20 * MIB, 0.02 * expected);
}

describe.skipIf(!HAS_NATIVE)("the formula agrees with llama.cpp", () => {
  test.each(MODELS)("%s", async (name, write) => {
    const path = write();
    const { plugin } = await openLlama();
    const repacking = describeRepacking(readSimd(), plugin);
    const shape = readShapeOf(path);
    // Heads that are no whole blocks have no quantised cells.
    const settings = SETTINGS.filter(({ kvType }) => kvType !== "q8_0" || !name.startsWith("LFM2"));
    const measured = await layOutContexts(path, settings);
    for (const [index, changes] of settings.entries()) {
      const host = measured[index]?.host;
      if (host === undefined) throw new Error("nothing was measured");
      const estimate = estimateNeed(shape, { ...LOAD, ...changes }, { repacking }).host;
      const wrong = (["weightsBytes", "mappedBytes", "kvBytes", "computeBytes"] as const).filter(
        (part: keyof MemoryParts) => !close(estimate[part], host[part]),
      );
      expect({ changes, wrong, estimate, host }).toMatchObject({ wrong: [] });
      expect([changes, estimate.kvBytes]).toEqual([changes, host.kvBytes]);
      expect([changes, estimate.weightsBytes]).toEqual([changes, host.weightsBytes]);
    }
  });
});

describe.skipIf(!HAS_NATIVE)("what is made beside a model's context", () => {
  const expectClose = (found: MemoryParts, expected: MemoryParts): void => {
    const parts = ["weightsBytes", "mappedBytes", "kvBytes", "computeBytes"] as const;
    const wrong = parts.filter((part) => !close(found[part], expected[part]));
    expect({ wrong, found, expected }).toMatchObject({ wrong: [] });
    expect([found.kvBytes, found.mappedBytes]).toEqual([expected.kvBytes, expected.mappedBytes]);
  };

  const withHeads: [string, SPECS.ModelSpec][] = [
    ["plain", SPECS.HEAD_SPEC],
    ["with windows", SPECS.SLIDING_HEAD_SPEC],
  ];
  test.each(withHeads)("prediction layers, %s", async (_name, spec) => {
    const path = cacheModel(spec);
    const { need } = await layOutModel(path, { head: { tokensMax: 4, required: true } });
    expectClose(estimateNeed(readShapeOf(path), LOAD, { withHead: true }).host, need.host);
  });

  test("a draft model", async () => {
    const path = cacheModel(SPECS.TINY_SPEC);
    const alone = (await layOutModel(path)).need.host;
    const { host } = (await layOutModel(path, { draft: { modelPath: path, tokensMax: 4 } })).need;
    const added: MemoryParts = {
      weightsBytes: host.weightsBytes - alone.weightsBytes,
      mappedBytes: host.mappedBytes - alone.mappedBytes,
      kvBytes: host.kvBytes - alone.kvBytes,
      computeBytes: host.computeBytes - alone.computeBytes,
      overheadBytes: host.overheadBytes - alone.overheadBytes,
    };
    expectClose(estimateNeed(readShapeOf(path), LOAD, { role: "draft" }).host, added);
  });

  test.each(["llama-8b", "gemma3-4b", "qwen3-30b-a3b"])("the context for embeddings of %s", async (name) => {
    const large = LARGE_SHAPES.find((shape) => shape.name === name);
    if (large === undefined) throw new Error("there is no such shape");
    const path = writeLargeShape(large);
    const { embedding } = await layOutModel(path);
    if (embedding === null) throw new Error("it has none");
    const estimate = estimateEmbedding(readShapeOf(path), LOAD).host;
    expectClose(estimate, embedding.host);
    expect(close(estimate.overheadBytes, embedding.host.overheadBytes)).toBe(true);
  });
});
