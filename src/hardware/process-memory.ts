// What memory another process has. Unknown is null, never a guess.

import { readFileSync } from "node:fs";
import type { ReadText } from "./reader.ts";

export interface ProcessBytes {
  /** Its own, shared memory among it. */
  anonBytes: number;
  /** Of mapped files, as far as they are in memory. */
  mappedBytes: number;
}

/** Null: it is gone, or the system does not tell. */
export function readProcessMemory(pid: number, read: ReadText = readText): ProcessBytes | null {
  const status = read(`/proc/${pid}/status`) ?? "";
  const bytesOf = (name: string): number | null => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
    return kilobytes === undefined ? null : Number(kilobytes) * 1024;
  };
  const [anon, mapped, shared] = ["RssAnon", "RssFile", "RssShmem"].map(bytesOf);
  if (typeof anon !== "number" || typeof mapped !== "number") return null;
  return { anonBytes: anon + (shared ?? 0), mappedBytes: mapped };
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (_gone) {
    // Or a system without such files.
    return null;
  }
}
