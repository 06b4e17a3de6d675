// What a formula's estimate is corrected by: what earlier loads took, what llama.cpp says, and how far it is doubted. Pure.

import type { MemoryNeed, MemoryParts } from "../../protocol/memory-need.ts";
import type { PlanQuestion, PlanSubject } from "./plan.ts";
import { findShortfalls, leaveRoom, sumParts } from "./room.ts";

/** Far more than the formula was ever off by. */
const DOUBT_SHARE = 0.25;
const DOUBT_BYTES = 256 * 1024 * 1024;

/** It would still fit if the formula were wrong by more than it ever is. */
export function isClear({ machine, residents }: PlanQuestion, need: MemoryNeed): boolean {
  const doubtful = (parts: MemoryParts): MemoryParts => {
    const bytes = sumParts(parts);
    return bytes === 0 ? parts : { ...parts, overheadBytes: parts.overheadBytes + bytes * DOUBT_SHARE + DOUBT_BYTES };
  };
  const worst = { host: doubtful(need.host), devices: need.devices.map(doubtful) };
  return findShortfalls(worst, leaveRoom(machine, residents)).length === 0;
}

/** What earlier plans were short of. */
export function addExcess(subject: PlanSubject, excessBytes: number): PlanSubject {
  if (excessBytes <= 0) return subject;
  return changeNeed(subject, ({ host, devices }) => ({
    host: { ...host, overheadBytes: host.overheadBytes + excessBytes },
    devices,
  }));
}

/** Where the measure says more than the formula, the formula is that much short everywhere: by the same share, as overhead. */
export function addDifference(subject: PlanSubject, estimated: MemoryNeed, measured: MemoryNeed): PlanSubject {
  const shareOf = (a: MemoryParts, b: MemoryParts | undefined): number => {
    const bytes = sumParts(a);
    return bytes === 0 ? 0 : Math.max(0, sumParts(b ?? a) / bytes - 1);
  };
  const hostShare = shareOf(estimated.host, measured.host);
  const deviceShares = estimated.devices.map((parts, at) => shareOf(parts, measured.devices[at]));
  const grow = (parts: MemoryParts, share: number): MemoryParts => ({
    ...parts,
    overheadBytes: parts.overheadBytes + sumParts(parts) * share,
  });
  return changeNeed(subject, ({ host, devices }) => ({
    host: grow(host, hostShare),
    devices: devices.map((parts, at) => grow(parts, deviceShares[at] ?? 0)),
  }));
}

function changeNeed(subject: PlanSubject, change: (need: MemoryNeed) => MemoryNeed): PlanSubject {
  return { ...subject, needOf: (settings) => change(subject.needOf(settings)) };
}
