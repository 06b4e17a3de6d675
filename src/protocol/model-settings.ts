// What one model's own file may say about how it is run: settings of its engine, by the names of `serve`'s settings, and
// what requests get that don't say it themselves. A leaf.

import type { BackendName } from "./backends.ts";
import type { SamplingParams } from "./generation.ts";
import type { KvType } from "./memory-need.ts";
import type { Pooling } from "./model-info.ts";

/** Absent: as the server's settings say. */
export interface EngineChanges {
  ctx?: number;
  parallel?: number;
  threads?: number;
  gpuLayers?: number;
  deviceShares?: readonly number[];
  hostExpertLayers?: number;
  kvType?: KvType;
  batchSize?: number;
  ubatchSize?: number;
  pooling?: Pooling | "auto";
  contextShift?: boolean;
  retained?: number;
  itlMsMax?: number;
  checkpointBytes?: number;
  kvStore?: boolean;
  speculate?: "auto" | "lookup" | "draft" | "mtp" | "off";
  /** Absolute. */
  draftModel?: string;
  draftMax?: number;
  /** `FILE[=SCALE]`, absolute. */
  lora?: readonly string[];
  loadTimeoutSeconds?: number;
  /** In order: the first one that works is used. */
  backend?: readonly BackendName[];
  /** Jinja, in the place of the model's own. */
  chatTemplate?: string;
}

export interface ModelSettings {
  engine: EngineChanges;
  /** Of `engine`, what a plan chose and nobody asked for; absent: nothing. */
  planned?: readonly (keyof EngineChanges)[];
  /** 0 = never; absent: as the server's setting says. */
  sleepAfterSeconds?: number;
  /** Engines of models with a lower one make room first; absent: 0. */
  priority?: number;
  /** Its engine is started with the server. */
  preload?: boolean;
  /** Of requests that leave a field out. */
  sampling: SamplingParams;
  /** The same. */
  maxTokens?: number;
}

/** What the model's own file, or who loaded it, says of its engine. */
export function listAskedChanges({ engine, planned = [] }: ModelSettings): EngineChanges {
  const asked = Object.entries(engine).filter(([key]) => !planned.includes(key as keyof EngineChanges));
  return Object.fromEntries(asked);
}

export const NO_SETTINGS: ModelSettings = { engine: {}, sampling: {} };
