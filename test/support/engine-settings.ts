// Settings of a small engine, as tests start them: nothing is kept, guessed or adapted. One thread, since tests share their cores.

import type { EngineSettings } from "../../src/protocol/messages.ts";

export function makeEngineSettings(
  modelPath: string,
  plugin: string,
  changes: Partial<EngineSettings> = {},
): EngineSettings {
  return {
    modelPath,
    plugins: [plugin],
    contextLength: 256,
    parallel: 4,
    batchSize: 64,
    microBatchSize: 64,
    threads: 1,
    gpuLayers: 0,
    itlMsMax: 0,
    speculates: false,
    draft: null,
    retainedMax: 0,
    kvStore: null,
    adapters: [],
    ...changes,
  };
}
