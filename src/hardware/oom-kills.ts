// How often the kernel has ended a process because memory ran out: of this process's control group, and of the machine. Reads
// only, and what can't be read is null.

import { type ReadText, readText } from "./memory.ts";

export interface OomKills {
  /** In this process's control group; null: it has none, or does not tell. */
  group: number | null;
  /** On the machine, groups included; null: not Linux. */
  machine: number | null;
  /** What the group may use, and the most that it ever used. */
  limitBytes: number | null;
  peakBytes: number | null;
}

/** Files of one version of control groups: where the kills are counted, the limit, the peak. */
interface GroupFiles {
  root: string;
  kills: string;
  limit: string;
  peak: string;
}

const V1: GroupFiles = {
  root: "/sys/fs/cgroup/memory",
  kills: "memory.oom_control",
  limit: "memory.limit_in_bytes",
  peak: "memory.max_usage_in_bytes",
};
const V2: GroupFiles = { root: "/sys/fs/cgroup", kills: "memory.events", limit: "memory.max", peak: "memory.peak" };

/** Version 1 calls no limit the largest number of pages. */
const NO_LIMIT_BYTES = 2 ** 60;

export function readOomKills(read: ReadText = readText): OomKills {
  const group = findGroup(read);
  const counted = { group: null, machine: countKills(read("/proc/vmstat")), limitBytes: null, peakBytes: null };
  if (group === null) return counted;
  const { folder, files } = group;
  const limit = readBytes(read(`${folder}/${files.limit}`));
  return {
    ...counted,
    group: countKills(read(`${folder}/${files.kills}`)),
    limitBytes: limit === null || limit >= NO_LIMIT_BYTES ? null : limit,
    peakBytes: readBytes(read(`${folder}/${files.peak}`)),
  };
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

/** The process's own group where memory is accounted; in a container its path may begin above what can be seen. */
function findGroup(read: ReadText): { folder: string; files: GroupFiles } | null {
  const lines = (read("/proc/self/cgroup") ?? "").split("\n").map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
  const v1 = lines.find((line) => line?.[1]?.split(",").includes("memory") === true);
  const v2 = lines.find((line) => line?.[1] === "");
  const [path, files] = v1 ? [v1[2], V1] : [v2?.[2], V2];
  if (path === undefined) return null;
  for (let parts = path.split("/").filter((part) => part !== ""); ; parts = parts.slice(0, -1)) {
    const folder = [files.root, ...parts].join("/");
    if (read(`${folder}/${files.kills}`) !== null) return { folder, files };
    if (parts.length === 0) return null;
  }
}

function countKills(text: string | null): number | null {
  const count = /^oom_kill (\d+)$/m.exec(text ?? "")?.[1];
  return count === undefined ? null : Number(count);
}

function readBytes(text: string | null): number | null {
  const bytes = text?.trim() ?? "";
  return /^\d+$/.test(bytes) ? Number(bytes) : null;
}
