// How much memory a new process could take without swapping: what the system says, and what the container allows. Unknown
// is null, never a guess.

import { readFileSync } from "node:fs";

/** A file's text; null: it is not there. */
export type ReadText = (path: string) => string | null;

/** Bytes; null where the system does not tell. */
export function readAvailableMemory(read: ReadText = readText): number | null {
  const system = /^MemAvailable:\s+(\d+) kB$/m.exec(read("/proc/meminfo") ?? "")?.[1];
  if (system === undefined) return null;
  const container = readContainer(read);
  const systemBytes = Number(system) * 1024;
  return container === null ? systemBytes : Math.min(systemBytes, container);
}

/** What is left of the container's limit (cgroup v2); its page cache would make room. */
function readContainer(read: ReadText): number | null {
  const max = read("/sys/fs/cgroup/memory.max")?.trim() ?? "";
  const current = read("/sys/fs/cgroup/memory.current")?.trim() ?? "";
  if (!/^\d+$/.test(max) || !/^\d+$/.test(current)) return null;
  const cache = /^file (\d+)$/m.exec(read("/sys/fs/cgroup/memory.stat") ?? "")?.[1] ?? "0";
  return Math.max(0, Number(max) - Number(current) + Number(cache));
}

export function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (_absent) {
    // Another system, or no container.
    return null;
  }
}
