// What every reader of devices starts from: a device of which nothing is known, and which figures can be true. Pure.

import type { DeviceKind, DeviceSnapshot } from "../protocol/machine.ts";
import type { Explain } from "./reader.ts";

export function unknownDevice(id: string, kind: DeviceKind, name: string): DeviceSnapshot {
  return {
    id,
    kind,
    name,
    totalBytes: null,
    usedBytes: null,
    freeBytes: null,
    processes: null,
    utilization: { compute: null, memory: null },
    temperatureCelsius: null,
    powerWatts: null,
    powerLimitWatts: null,
    clocksMhz: { core: null, memory: null },
    throttleReasons: null,
    pcie: null,
    computeCapability: null,
    migParent: null,
    recommendedWorkingSetBytes: null,
    cores: null,
  };
}

/** A figure outside of these is a driver's mistake, and a plan that is built on it would be one too. */
export const CREDIBLE = {
  memoryBytes: { min: 1, max: 2 ** 50 },
  celsius: { min: -50, max: 200 },
  watts: { min: 0, max: 10_000 },
  megahertz: { min: 0, max: 20_000 },
  percent: { min: 0, max: 100 },
  pcieGeneration: { min: 1, max: 16 },
  pcieWidth: { min: 1, max: 64 },
  cores: { min: 1, max: 10_000_000 },
} as const;

/** A value, or why there is none. */
export type Reading<T> = { value: T } | { reason: string };

/** The figure if it can be true, else null with the reason under `path`. */
export function takeFigure(
  reading: Reading<number>,
  { min, max }: { min: number; max: number },
  path: string,
  explain: Explain,
): number | null {
  if ("reason" in reading) return explain(path, reading.reason);
  const { value } = reading;
  if (Number.isFinite(value) && value >= min && value <= max) return value;
  return explain(path, `the driver says ${value}, which can't be`);
}

/** A device's memory, as far as total, used and free can be true together. */
export function takeMemory(
  total: Reading<number>,
  used: Reading<number>,
  path: string,
  explain: Explain,
): Pick<DeviceSnapshot, "totalBytes" | "usedBytes" | "freeBytes"> {
  const totalBytes = takeFigure(total, CREDIBLE.memoryBytes, `${path}.totalBytes`, explain);
  const most = { min: 0, max: totalBytes ?? CREDIBLE.memoryBytes.max };
  const usedBytes = takeFigure(used, most, `${path}.usedBytes`, explain);
  if (totalBytes !== null && usedBytes !== null) return { totalBytes, usedBytes, freeBytes: totalBytes - usedBytes };
  explain(`${path}.freeBytes`, "it follows from the total and the used memory");
  return { totalBytes, usedBytes, freeBytes: null };
}
