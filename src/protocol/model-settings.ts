// What one model's own file may say about how it is run: settings of its engine, by the names of `serve`'s settings, and
// what requests get that don't say it themselves. Types only.

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
}

export interface ModelSettings {
  engine: EngineChanges;
  /** 0 = never; absent: as the server's setting says. */
  sleepAfterSeconds?: number;
  /** Of requests that leave a field out. */
  sampling: SamplingParams;
  /** The same. */
  maxTokens?: number;
}

export const NO_SETTINGS: ModelSettings = { engine: {}, sampling: {} };
