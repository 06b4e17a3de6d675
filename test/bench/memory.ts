// Memory of a server and all processes that it started: anonymous resident bytes, which a mapped model file is no part of.

import { readdirSync, readFileSync } from "node:fs";

/** The sum of RssAnon over the process and its descendants, in MB of 10^6 bytes. Linux only: null elsewhere. */
export function readRssAnonMb(pid: number): number | null {
  if (process.platform !== "linux") return null;
  const kibibytes = [pid, ...listDescendants(pid)].map((each) => readField(each, "RssAnon"));
  return (kibibytes.reduce((sum, value) => sum + value, 0) * 1024) / 1e6;
}

/** All processes that descend from it. None where there is no /proc. */
export function listDescendants(pid: number): number[] {
  if (process.platform !== "linux") return [];
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const parents = new Map(all.map((name) => [Number(name), readField(Number(name), "PPid")]));
  const found = [pid];
  for (const parent of found) {
    for (const [child, itsParent] of parents) if (itsParent === parent) found.push(child);
  }
  return found.slice(1);
}

/** A process that has ended counts 0. */
function readField(pid: number, field: string): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && (thrown.code === "ENOENT" || thrown.code === "ESRCH")) return 0;
    throw thrown;
  }
}
