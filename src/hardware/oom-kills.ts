// How often the kernel has ended a process because memory ran out: of this process's control group, and of the machine. Reads
// only, and what can't be read is null.

import { listGroups } from "./cgroup.ts";
import { parseCount, type ReadText, systemReader } from "./reader.ts";

export interface OomKills {
  /** In this process's control group; null: it has none, or does not tell. */
  group: number | null;
  /** On the machine, groups included; null: not Linux. */
  machine: number | null;
  /** What the group may use, and the most that it ever used. */
  limitBytes: number | null;
  peakBytes: number | null;
}

/** Files of a group: where the kills are counted, the limit, the peak. */
const FILES = {
  1: { kills: "memory.oom_control", limit: "memory.limit_in_bytes", peak: "memory.max_usage_in_bytes" },
  2: { kills: "memory.events", limit: "memory.max", peak: "memory.peak" },
};

/** Version 1 calls no limit the largest number of pages. */
const NO_LIMIT_BYTES = 2 ** 60;

export function readOomKills(read: ReadText = systemReader.text): OomKills {
  const machine = countKills(read("/proc/vmstat"));
  for (const { version, path } of listGroups("memory", read)) {
    const files = FILES[version];
    const group = countKills(read(`${path}/${files.kills}`));
    // A group that accounts no memory has no such file, and the one above it may.
    if (group === null) continue;
    const limit = parseCount(read(`${path}/${files.limit}`));
    const limitBytes = limit === null || limit >= NO_LIMIT_BYTES ? null : limit;
    return { group, machine, limitBytes, peakBytes: parseCount(read(`${path}/${files.peak}`)) };
  }
  return { group: null, machine, limitBytes: null, peakBytes: null };
}

/** What was said between a start and an end: null when no process was ended for its memory meanwhile. */
export function explainOomKill(before: OomKills, after: OomKills): string | null {
  if (hasRisen(before.group, after.group)) {
    const { limitBytes, peakBytes } = after;
    const limit = limitBytes === null ? [] : [`limit ${limitBytes} bytes`];
    const peak = peakBytes === null ? [] : [`most ever used ${peakBytes} bytes`];
    const figures = [...limit, ...peak].join(", ");
    return `the memory of its control group ran out${figures === "" ? "" : ` (${figures})`}`;
  }
  // A group that tells would have told, unless the limit is that of a group around it.
  return hasRisen(before.machine, after.machine) ? "the machine's memory, or that of a group around it, ran out" : null;
}

function hasRisen(before: number | null, after: number | null): boolean {
  return before !== null && after !== null && after > before;
}

function countKills(text: string | null): number | null {
  const count = /^oom_kill (\d+)$/m.exec(text ?? "")?.[1];
  return count === undefined ? null : Number(count);
}
