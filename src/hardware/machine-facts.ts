// The size of this machine as far as model files ask for it: the memory that a process could ever have, and its cores. Unknown
// is null, never a guess.

import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import type { ReadText } from "./reader.ts";

export interface MachineSize {
  memory: { totalBytes: number | null; unified: boolean };
  cpu: { usableCores: number };
  /** Null: nobody has looked. */
  devices: null;
}

export function readMachineSize(read: ReadText = readText, platform: string = process.platform): MachineSize {
  // Apple's processors share their memory with the GPU.
  const unified = platform === "darwin" && process.arch === "arm64";
  const totalBytes = platform === "linux" ? readLinuxTotal(read) : totalmem();
  return { memory: { totalBytes, unified }, cpu: { usableCores: availableParallelism() }, devices: null };
}

function readLinuxTotal(read: ReadText): number | null {
  const system = /^MemTotal:\s+(\d+) kB$/m.exec(read("/proc/meminfo") ?? "")?.[1];
  if (system === undefined) return null;
  const limit = read("/sys/fs/cgroup/memory.max")?.trim() ?? "";
  const bytes = Number(system) * 1024;
  return /^\d+$/.test(limit) ? Math.min(bytes, Number(limit)) : bytes;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (_absent) {
    // Another system, or no container.
    return null;
  }
}
