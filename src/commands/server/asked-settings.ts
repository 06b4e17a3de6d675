// What was said explicitly about a model's engine, by flags, variables, the configuration or the model's own file: a plan keeps
// it. What has its default value because nobody said anything is the planner's to choose. Pure.

import type { ConfigKey, ResolvedConfig, ServeConfig } from "../../config.ts";
import type { EngineChanges } from "../../protocol/model-settings.ts";
import type { AskedSettings } from "../../router/placement/plan.ts";

/** Settings that somebody gave a value, be it the default one. */
export function listSaid({ origins }: Pick<ResolvedConfig, "origins">): ReadonlySet<ConfigKey> {
  const keys = Object.keys(origins) as ConfigKey[];
  return new Set(keys.filter((key) => origins[key] !== "default"));
}

/** Those that plans are about, by the planner's names. */
const PLANNED = {
  ctx: "contextLength",
  parallel: "parallel",
  retained: "retainedMax",
  batchSize: "batchSize",
  ubatchSize: "microBatchSize",
  threads: "threads",
  kvType: "kvType",
  gpuLayers: "gpuLayers",
  deviceShares: "deviceShares",
  hostExpertLayers: "hostExpertLayers",
  checkpointBytes: "checkpointBytes",
} as const;
/** 0 says "automatic" here, and is no wish. */
const AUTOMATIC_IF_ZERO: readonly string[] = ["ctx", "parallel", "threads", "checkpointBytes"];

export function describeAsked(
  config: ServeConfig,
  said: ReadonlySet<ConfigKey>,
  changes: EngineChanges,
): AskedSettings {
  const asked: Record<string, unknown> = {};
  for (const [key, name] of Object.entries(PLANNED) as [keyof typeof PLANNED, string][]) {
    const changed = changes[key];
    const value = changed ?? (said.has(key) ? config[key] : undefined);
    const isAutomatic =
      (value === 0 && AUTOMATIC_IF_ZERO.includes(key)) || (Array.isArray(value) && value.length === 0);
    if (value !== undefined && !isAutomatic) asked[name] = Array.isArray(value) ? [...value] : value;
  }
  const draft = changes.draftModel !== undefined || (said.has("draftModel") && config.draftModel !== null);
  return draft ? { ...asked, draft: true } : asked;
}
