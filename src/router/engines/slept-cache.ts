// What `/api/cache` says of a model without an engine: what was on disk when its last one was stopped, since only an engine
// knows whose files those are. Later other models may have needed the room. Pure.

import type { CacheOverview, ModelState } from "../inference.ts";

export interface SleptCache {
  /** Of this model alone. */
  overview: CacheOverview;
  /** When it was taken, by the monotonic clock. */
  takenMs: number;
}

/** Whether the next request wakes it, or it was unloaded. */
export type SleptState = Extract<ModelState, "asleep" | "unloaded">;

/** Of the memory nothing is left. */
export function describeSlept({ overview, takenMs }: SleptCache, state: SleptState, nowMs: number): CacheOverview {
  const durable = overview.entries.filter(({ durableTokens }) => durableTokens > 0);
  return {
    entries: durable.map((entry) => {
      return { ...entry, state: "disk", tokens: entry.durableTokens, idleMs: entry.idleMs + (nowMs - takenMs) };
    }),
    models: overview.models.map((model) => {
      return { ...model, state, retained: { sequences: 0, tokens: 0 } };
    }),
  };
}
