// The server's settings as they are for one model, whose own file may say some of them otherwise. Pure.

import type { ServeConfig } from "../config.ts";
import type { EngineChanges } from "../protocol/model-settings.ts";

/** llama.cpp's sequences but for the engine's own (config.ts). */
const SEQUENCES_MAX = 255;

/** What the file leaves out is as the server has it, made to fit what the file says. */
export function applyModelSettings(config: ServeConfig, changes: EngineChanges): ServeConfig {
  const merged = { ...config, ...changes };
  const parallel = changes.parallel ?? Math.min(merged.parallel, SEQUENCES_MAX - (changes.retained ?? 0));
  const batchSize = changes.batchSize ?? Math.max(merged.batchSize, merged.ubatchSize);
  return {
    ...merged,
    parallel,
    retained: Math.min(merged.retained, SEQUENCES_MAX - parallel),
    batchSize,
    ubatchSize: Math.min(merged.ubatchSize, batchSize),
  };
}
