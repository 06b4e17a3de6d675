// Finds the processes that a server converts in, by the system's own list.

import { readdirSync, readFileSync } from "node:fs";
import { waitFor } from "./binary.ts";

/** Children of that process that convert. */
export function listConverters(parentPid: number): number[] {
  return listChildren(parentPid).filter((pid) => read(`/proc/${pid}/cmdline`).split("\0").includes("convert"));
}

export function listChildren(parentPid: number): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    const stat = read(`/proc/${pid}/stat`);
    // The name in brackets may hold anything; behind it stand the state and the parent.
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const isAlive = stat !== "" && state !== "Z" && state !== "X";
    return isAlive && Number(parent) === parentPid;
  });
}

/** Stopped where it is, so that a test has all the time it needs. */
export async function holdConverter(parentPid: number): Promise<number> {
  let found: number | undefined;
  await waitFor("a conversion to begin", () => {
    found = listConverters(parentPid)[0];
    if (found !== undefined) process.kill(found, "SIGSTOP");
    return found !== undefined;
  });
  return found ?? 0;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (_ended) {
    // Between the list and the look it has ended.
    return "";
  }
}
