// What is told of the machine, and to whom: figures to all who may ask, where files lie to programs on this machine alone. Pure.

import type { MachineSnapshot } from "../../protocol/machine.ts";
import type { HardwareReply, VramReply } from "./hardware-schema.ts";

export type MachineReply = Omit<HardwareReply, "backend">;

export function encodeMachine(snapshot: MachineSnapshot, isLocal: boolean): MachineReply {
  if (isLocal) return snapshot;
  const unknown = Object.entries(snapshot.unknown).map(([path, reason]) => [path, hideFolders(reason)]);
  return {
    ...snapshot,
    disk: { ...snapshot.disk, path: null },
    faults: snapshot.faults.map((fault) => ({ ...fault, reason: hideFolders(fault.reason) })),
    unknown: Object.fromEntries(unknown) as Record<string, string>,
  };
}

/** Leaves a file its name. */
function hideFolders(text: string): string {
  return text.replace(/(^|[\s("'])\/(?:[^\s/:]+\/)+/g, "$1");
}

const GIB = 1024 ** 3;

export function encodeVram({ devices, unknown }: MachineSnapshot): VramReply {
  const sums = [
    addUp(devices.map(({ totalBytes }) => totalBytes)),
    addUp(devices.map(({ usedBytes }) => usedBytes)),
    addUp(devices.map(({ freeBytes }) => freeBytes)),
  ];
  const [total_gb, used_gb, free_gb] = sums.map(inGib) as [number | null, number | null, number | null];
  return {
    devices: devices.map(({ name, totalBytes, usedBytes, freeBytes }) => {
      return { name, total_gb: inGib(totalBytes), used_gb: inGib(usedBytes), free_gb: inGib(freeBytes) };
    }),
    total_gb,
    used_gb,
    free_gb,
    reason: sums.includes(null) ? hideFolders(findReason(devices.length, unknown)) : null,
  };
}

/** One that is not known makes the sum unknown: a part of it would pass for the whole. */
function addUp(values: readonly (number | null)[]): number | null {
  if (values.length === 0) return null;
  return values.reduce((sum, value) => (sum === null || value === null ? null : sum + value), 0);
}

function findReason(devices: number, unknown: Readonly<Record<string, string>>): string {
  if (devices === 0) return unknown.devices ?? "there is no GPU";
  const path = Object.keys(unknown).find((name) => /^devices\.\d+(\.(total|used|free)Bytes)?$/.test(name));
  return path === undefined ? "a device does not tell its memory" : (unknown[path] ?? "");
}

/** To a thousandth: a MiB is the least that drivers count in. */
function inGib(bytes: number | null): number | null {
  return bytes === null ? null : Math.round((bytes / GIB) * 1000) / 1000;
}
