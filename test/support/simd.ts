// The instruction sets of this host, as Linux names them.

import { readFileSync } from "node:fs";

export function readSimd(): string[] {
  if (process.platform !== "linux") return [];
  return /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.trim().split(" ") ?? [];
}
