// What tells one processor from another, for results that hold for one machine only.

import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** Model name and feature flags, hashed. A virtual machine that moves to another host changes it. */
export function readCpuIdentity(): string {
  const model = cpus()[0]?.model ?? "unknown";
  return new Bun.CryptoHasher("sha256").update(`${process.arch} ${model} ${readFlags()}`).digest("hex").slice(0, 16);
}

function readFlags(): string {
  if (process.platform !== "linux") return "";
  return /^(?:flags|Features)\s*:.*$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[0] ?? "";
}
