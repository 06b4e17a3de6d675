// What engines really took beside what was planned for them, learned per model: the next plan of the model counts what the
// last ones were short of. Pure but for the store, which is somebody else's.

import type { LoadSettings, MemoryNeed } from "../../protocol/memory-need.ts";
import { sumNeed } from "./room.ts";

/** Of one model with one set of settings. */
export interface Deviation {
  plannedBytes: number;
  /** Of its last load. */
  measuredBytes: number;
  loads: number;
  /** Milliseconds since the epoch. */
  atMs: number;
}

export interface DeviationStore {
  entries(): ReadonlyMap<string, Deviation>;
  set(key: string, deviation: Deviation): void;
}

/** `stamp`: of the model's file, so that another one under the same name is another model. */
export function noteLoad(
  store: DeviationStore,
  {
    stamp,
    settings,
    planned,
    measured,
    atMs,
  }: {
    stamp: string;
    settings: LoadSettings;
    planned: MemoryNeed;
    measured: MemoryNeed;
    atMs: number;
  },
): Deviation {
  const key = `${stamp} ${keyOf(settings)}`;
  const deviation = {
    plannedBytes: sumNeed(planned),
    measuredBytes: sumNeed(measured),
    loads: (store.entries().get(key)?.loads ?? 0) + 1,
    atMs,
  };
  store.set(key, deviation);
  return deviation;
}

export interface Learned {
  /** Sets of settings that it was loaded with. */
  settings: number;
  loads: number;
  /** By how much the worst plan was short; 0: none was. */
  excessBytes: number;
  /** Of the last load. */
  lastPlannedBytes: number;
  lastMeasuredBytes: number;
}

/** Null: it was never loaded. */
export function recallModel(store: DeviationStore, stamp: string): Learned | null {
  const known = [...store.entries()].flatMap(([key, deviation]) => (key.startsWith(`${stamp} `) ? [deviation] : []));
  const last = known.toSorted((a, b) => b.atMs - a.atMs)[0];
  if (last === undefined) return null;
  return {
    settings: known.length,
    loads: known.reduce((sum, { loads }) => sum + loads, 0),
    excessBytes: Math.max(0, ...known.map(({ plannedBytes, measuredBytes }) => measuredBytes - plannedBytes)),
    lastPlannedBytes: last.plannedBytes,
    lastMeasuredBytes: last.measuredBytes,
  };
}

function keyOf(settings: LoadSettings): string {
  const { contextLength, parallel, retainedMax, batchSize, microBatchSize, kvType, gpuLayers, deviceShares } = settings;
  return JSON.stringify([
    contextLength,
    parallel,
    retainedMax,
    batchSize,
    microBatchSize,
    kvType,
    gpuLayers,
    deviceShares,
    settings.hostExpertLayers,
  ]);
}
