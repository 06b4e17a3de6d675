// The processors that this process may use, and what tells one machine from another, for results that hold for one only.

import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import type { CpuSnapshot } from "../protocol/machine.ts";
import { readCpuQuota } from "./cgroup.ts";
import { type Explain, parseCount, parseCpuList, type ReadText } from "./reader.ts";

/** Model name and feature flags, hashed. A virtual machine that moves to another host changes it. */
export function readCpuIdentity(): string {
  const model = cpus()[0]?.model ?? "unknown";
  return new Bun.CryptoHasher("sha256").update(`${process.arch} ${model} ${readFlags()}`).digest("hex").slice(0, 16);
}

function readFlags(): string {
  if (process.platform !== "linux") return "";
  return /^(?:flags|Features)\s*:.*$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[0] ?? "";
}

/** Those that change how fast models run; `asimd` is what others call NEON. */
const SIMD = /^(sse4_[12]|ssse3|avx\w*|fma|f16c|bmi2|amx_\w+|asimd\w*|sve\w*|sme|sme[2_]\w*|i8mm|bf16)$/;

/** `fallbackCores`: what the runtime counts, for where the system does not say. */
export function readCpu(read: ReadText, fallbackCores: number, explain: Explain): CpuSnapshot {
  const info = read("/proc/cpuinfo") ?? "";
  const allowed = parseCpuList(/^Cpus_allowed_list:\s*(\S+)$/m.exec(read("/proc/self/status") ?? "")?.[1] ?? null);
  const quota = readCpuQuota(read);
  const processors = allowed?.length ?? fallbackCores;
  const kinds = countKinds(read, allowed ?? []);
  const unknownKinds = (path: string) => explain(path, "the system does not tell two kinds of cores apart");
  return {
    model: readModel(info) ?? explain("cpu.model", "/proc/cpuinfo does not name it"),
    // Threads wait for each other at barriers: one more than the quota has time for stops all of them.
    usableCores: Math.max(1, quota === null ? processors : Math.min(processors, Math.floor(quota))),
    physicalCores:
      (allowed === null ? null : countCores(read, allowed)) ??
      explain("cpu.physicalCores", "the system does not tell which processors share a core"),
    performanceCores: kinds?.performance ?? unknownKinds("cpu.performanceCores"),
    efficiencyCores: kinds?.efficiency ?? unknownKinds("cpu.efficiencyCores"),
    simd: listSimd(info),
    numaNodes:
      parseCpuList(read("/sys/devices/system/node/online"))?.length ??
      explain("cpu.numaNodes", "the system does not tell"),
  };
}

function readModel(info: string): string | null {
  const model = /^(?:model name|Model|uarch|cpu model)\s*:\s*(\S.*)$/m.exec(info)?.[1]?.trim();
  return model === undefined || model === "" ? null : model.slice(0, 200);
}

export function listSimd(info: string): string[] {
  const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(info)?.[1] ?? "";
  const names = flags
    .toLowerCase()
    .split(/\s+/)
    .filter((flag) => SIMD.test(flag));
  return [...new Set(names.map((name) => (name === "asimd" ? "neon" : name)))].sort();
}

/** Of these processors, the distinct cores; null: not told of one of them. */
function countCores(read: ReadText, processors: readonly number[]): number | null {
  const siblings = processors.map((processor) => {
    const folder = `/sys/devices/system/cpu/cpu${processor}/topology`;
    return (read(`${folder}/core_cpus_list`) ?? read(`${folder}/thread_siblings_list`))?.trim() ?? null;
  });
  return siblings.length === 0 || siblings.includes(null) ? null : new Set(siblings).size;
}

/** Cores, not processors. x86 lists its two kinds; on ARM cores have a capacity, of which the highest is performance. */
function countKinds(read: ReadText, allowed: readonly number[]): { performance: number; efficiency: number } | null {
  const [fast, slow] = ["cpu_core", "cpu_atom"].map((kind) => parseCpuList(read(`/sys/devices/${kind}/cpus`)));
  if (fast && slow) return countBoth(read, allowed, (processor) => fast.includes(processor));
  const capacities = new Map<number, number>();
  for (const processor of allowed) {
    const capacity = parseCount(read(`/sys/devices/system/cpu/cpu${processor}/cpu_capacity`));
    if (capacity !== null) capacities.set(processor, capacity);
  }
  if (capacities.size === 0 || new Set(capacities.values()).size < 2) return null;
  const highest = Math.max(...capacities.values());
  return countBoth(read, allowed, (processor) => capacities.get(processor) === highest);
}

function countBoth(read: ReadText, allowed: readonly number[], isFast: (processor: number) => boolean) {
  const fast = allowed.filter(isFast);
  const slow = allowed.filter((processor) => !isFast(processor));
  return {
    performance: countCores(read, fast) ?? fast.length,
    efficiency: countCores(read, slow) ?? slow.length,
  };
}
