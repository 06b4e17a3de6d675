// Settings and shapes for tests of what a load takes: both sides of each comparison are asked in the same words.

import { layOut } from "../../src/engine/jobs/measure.ts";
import { planContexts } from "../../src/engine/llama/context-plan.ts";
import { sumNeed } from "../../src/engine/llama/memory-sum.ts";
import { closeModel, openModel } from "../../src/engine/llama/open-model.ts";
import { NativeContext } from "../../src/ffi/context.ts";
import { diskFiles } from "../../src/formats/file-source.ts";
import { readGgufHeader } from "../../src/formats/gguf/read-header.ts";
import type { ModelShape } from "../../src/models/memory/model-shape.ts";
import { readShape } from "../../src/models/memory/shape-from-gguf.ts";
import type { LoadSettings, MeasuredNeed, MemoryNeed } from "../../src/protocol/memory-need.ts";
import type { EngineSettings } from "../../src/protocol/messages.ts";
import { makeEngineSettings } from "./engine-settings.ts";
import { openLlama } from "./llama-library.ts";

export const LOAD: LoadSettings = {
  contextLength: 4096,
  parallel: 4,
  retainedMax: 4,
  batchSize: 2048,
  microBatchSize: 512,
  threads: 2,
  kvType: "f16",
  gpuLayers: 0,
  deviceShares: [],
  hostExpertLayers: 0,
};

export function describeEngine(
  modelPath: string,
  plugin: string,
  changes: Partial<EngineSettings> = {},
): EngineSettings {
  return makeEngineSettings(modelPath, plugin, { ...LOAD, ...changes });
}

const HOOKS = { onProgress: () => {}, wait: () => Bun.sleepSync(1) };

/** llama.cpp's own account; `overheadBytes` holds its rows of output alone. */
export async function layOutModel(path: string, changes: Partial<EngineSettings> = {}): Promise<MeasuredNeed> {
  const { library, plugin } = await openLlama();
  return layOut(library, describeEngine(path, plugin, changes), HOOKS, () => 0);
}

/** Of the context alone, for each of the settings: the vocabulary is read once for all of them. */
export async function layOutContexts(path: string, all: readonly Partial<EngineSettings>[]): Promise<MemoryNeed[]> {
  const { library, plugin } = await openLlama();
  const opened = openModel(library, describeEngine(path, plugin), { hooks: HOOKS, layOut: true });
  try {
    return all.map((changes) => {
      const plan = planContexts(describeEngine(path, plugin, changes), opened.facts, 1);
      using context = NativeContext.make(opened.model, plan.main);
      library.readLog();
      return sumNeed([{ memory: context.memory(), countsWeights: true }], 0);
    });
  } finally {
    closeModel(opened);
  }
}

export function readShapeOf(path: string): ModelShape {
  const shape = readShape([diskFiles.use(path, (file) => readGgufHeader(file, { tensors: true }))]);
  if (shape === null) throw new Error(`${path} has no shape`);
  return shape;
}
