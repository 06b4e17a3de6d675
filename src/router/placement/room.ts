// What models may take of each pool of memory, what those that are loaded leave of it, and whether a need fits. Pure.
// On a machine with unified memory a device's bytes count twice: of the device's own limit, and of the whole.

import type { MemoryNeed, MemoryParts } from "../../protocol/memory-need.ts";
import type { PlanMachine, PlanPool, Resident, Shortfall } from "./plan.ts";

/** Of a budget that is not known there is always enough. */
export interface Room {
  pools: readonly { name: string; leftBytes: number }[];
  unified: boolean;
}

export function sumParts(parts: MemoryParts): number {
  return parts.weightsBytes + parts.mappedBytes + parts.kvBytes + parts.computeBytes + parts.overheadBytes;
}

export function sumNeed({ host, devices }: MemoryNeed): number {
  return devices.reduce((sum, parts) => sum + sumParts(parts), sumParts(host));
}

/** Of the host first, then of each device. */
export function needByPool(need: MemoryNeed, unified: boolean): number[] {
  return [unified ? sumNeed(need) : sumParts(need.host), ...need.devices.map(sumParts)];
}

export function leaveRoom(machine: PlanMachine, residents: readonly Resident[]): Room {
  const taken = residents.map(({ need }) => needByPool(need, machine.unified));
  const leave = ({ name, budgetBytes }: PlanPool, at: number): Room["pools"][number] => {
    const usedBytes = taken.reduce((sum, needs) => sum + (needs[at] ?? 0), 0);
    return { name, leftBytes: budgetBytes === null ? Number.POSITIVE_INFINITY : budgetBytes - usedBytes };
  };
  return { pools: [machine.host, ...machine.devices].map(leave), unified: machine.unified };
}

/** Where it does not fit; empty: it does. */
export function findShortfalls(need: MemoryNeed, { pools, unified }: Room): Shortfall[] {
  const needs = needByPool(need, unified);
  return pools.flatMap(({ name, leftBytes }, at) => {
    const neededBytes = needs[at] ?? 0;
    // A device that nothing goes to lacks nothing, however full it is.
    return neededBytes === 0 || neededBytes <= leftBytes ? [] : [{ pool: name, neededBytes, leftBytes }];
  });
}

/** What would have to be added to each pool; zeros: it fits. */
export function missingBytes(need: MemoryNeed, { pools, unified }: Room): number[] {
  const needs = needByPool(need, unified);
  return pools.map(({ leftBytes }, at) => {
    const neededBytes = needs[at] ?? 0;
    return neededBytes === 0 ? 0 : Math.max(0, Math.ceil(neededBytes - leftBytes));
  });
}
