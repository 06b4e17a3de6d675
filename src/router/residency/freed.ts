// What an engine's end gives back: what its process had of its own, looked at just before. By how much more could be had
// afterwards is told beside it, and is no measure of it: whatever else the machine does meanwhile is in that too. Pure.

import type { FreeMemory, ProcessMemory } from "./memory-effects.ts";

export interface FreedMemory {
  /** Main memory that nobody else could have before its end; null: not known. */
  hostBytes: number | null;
  /** Of mapped files, such as weights: the system could have had these before, and keeps them for as long as nobody needs the room. */
  mappedBytes: number | null;
  /** What could be had of main memory a moment before its end, and a moment after. */
  available: { beforeBytes: number | null; afterBytes: number | null };
  /** `by`: what the driver said that the process had, or by how much more was free, others' changes among it. */
  devices: { id: string; freedBytes: number | null; by: "process" | "difference" }[];
  /** Why something is null. */
  unknown: string[];
}

const NO_PROCESS = "the system does not tell what the process had, or it was gone before that could be looked at";

/** `own`: of the process just before its end. */
export function describeFreed(own: ProcessMemory | null, before: FreeMemory, after: FreeMemory): FreedMemory {
  const devices = before.devices.map((device) => {
    if (device.ownBytes !== null) return { id: device.id, freedBytes: device.ownBytes, by: "process" as const };
    const then = after.devices.find(({ id }) => id === device.id)?.freeBytes ?? null;
    const freedBytes = device.freeBytes === null || then === null ? null : then - device.freeBytes;
    return { id: device.id, freedBytes, by: "difference" as const };
  });
  const silent = devices.filter(({ freedBytes }) => freedBytes === null);
  return {
    hostBytes: own?.anonBytes ?? null,
    mappedBytes: own?.mappedBytes ?? null,
    available: { beforeBytes: before.hostBytes, afterBytes: after.hostBytes },
    devices,
    unknown: [...(own === null ? [NO_PROCESS] : []), ...silent.map(({ id }) => `${id} does not tell its memory`)],
  };
}

/** Of engines that ended one after the other, or at the same time. Null: there were none. */
export function sumFreed(parts: readonly FreedMemory[]): FreedMemory | null {
  const [first, ...others] = parts;
  if (first === undefined) return null;
  return others.reduce(addFreed, first);
}

function addFreed(one: FreedMemory, next: FreedMemory): FreedMemory {
  const devices = one.devices.map((device) => {
    const more = next.devices.find(({ id }) => id === device.id);
    return more === undefined ? device : { ...device, freedBytes: add(device.freedBytes, more.freedBytes) };
  });
  return {
    hostBytes: add(one.hostBytes, next.hostBytes),
    mappedBytes: add(one.mappedBytes, next.mappedBytes),
    available: { beforeBytes: one.available.beforeBytes, afterBytes: next.available.afterBytes },
    devices: [...devices, ...next.devices.filter(({ id }) => devices.every((device) => device.id !== id))],
    unknown: [...new Set([...one.unknown, ...next.unknown])],
  };
}

/** Not known in part is not known. */
function add(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : one + other;
}
