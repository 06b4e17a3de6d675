// Macs: the probe's raw readings → the parts of a snapshot. Pure. Was never run on a Mac: tested with readings that were
// written from Apple's documentation (test/hardware/macos.test.ts).

import { isRecord } from "../lib/is-record.ts";
import type {
  CpuSnapshot,
  DeviceSnapshot,
  MachineSnapshot,
  MemorySnapshot,
  PowerSnapshot,
} from "../protocol/machine.ts";
import { CREDIBLE, type Reading, takeFigure, takeMemory, unknownDevice } from "./device.ts";
import type { ProbeReading } from "./probe.ts";
import type { Explain } from "./reader.ts";

type Raw = Readonly<Record<string, unknown>>;
type Parts = Omit<MachineSnapshot, "takenAt" | "platform" | "arch" | "disk" | "unknown">;

/** `cores`: what the runtime counts, for where the readings lack it. */
export function describeMac(reading: ProbeReading, cores: number, explain: Explain): Parts {
  const raw = reading.kind === "answer" ? reading.raw : {};
  const why = reading.kind === "answer" ? "the system does not tell it" : reading.reason;
  const names = isRecord(raw.sysctl) ? raw.sysctl : {};
  const memory = readMemory(raw, names, why, explain);
  return {
    cpu: readCpu(names, cores, why, explain),
    memory,
    devices: readGpus(raw, memory, why, explain),
    driver: explain("driver", "on macOS the driver is a part of the system"),
    power: readPower(raw, why, explain),
    neuralEngine: typeof raw.neuralEngine === "boolean" ? raw.neuralEngine : explain("neuralEngine", why),
    faults: [],
  };
}

function figureOf(value: unknown, why: string): Reading<number> {
  return typeof value === "number" ? { value } : { reason: why };
}

const CORES = { min: 1, max: 4096 };

function readCpu(names: Raw, cores: number, why: string, explain: Explain): CpuSnapshot {
  const count = (name: string, path: string) => takeFigure(figureOf(names[name], why), CORES, `cpu.${path}`, explain);
  const model = names["machdep.cpu.brand_string"];
  const levels = names["hw.nperflevels"];
  // Level 0 is the fastest. With one level alone there are no two kinds.
  const two = levels === 2;
  const single = (path: string) => explain(`cpu.${path}`, levels === 1 ? "all cores are of one kind" : why);
  return {
    model: typeof model === "string" && model !== "" ? model : explain("cpu.model", why),
    usableCores: takeFigure(figureOf(names["hw.logicalcpu"], why), CORES, "cpu.usableCores", explain) ?? cores,
    physicalCores: count("hw.physicalcpu", "physicalCores"),
    performanceCores: two ? count("hw.perflevel0.physicalcpu", "performanceCores") : single("performanceCores"),
    efficiencyCores: two ? count("hw.perflevel1.physicalcpu", "efficiencyCores") : single("efficiencyCores"),
    simd: listSimd(names),
    numaNodes: explain("cpu.numaNodes", "macOS has none"),
  };
}

const SIMD: Readonly<Record<string, string>> = {
  "hw.optional.neon": "neon",
  "hw.optional.arm.FEAT_DotProd": "asimddp",
  "hw.optional.arm.FEAT_I8MM": "i8mm",
  "hw.optional.arm.FEAT_BF16": "bf16",
  "hw.optional.arm.FEAT_SME": "sme",
  "hw.optional.avx2_0": "avx2",
  "hw.optional.fma": "fma",
  "hw.optional.avx512f": "avx512f",
};

function listSimd(names: Raw): string[] {
  const known = Object.entries(SIMD).filter(([name]) => names[name] === 1);
  return known.map(([, simd]) => simd).sort();
}

const PRESSURES: Readonly<Record<number, MemorySnapshot["pressure"]>> = { 1: "normal", 2: "warning", 4: "critical" };

function readMemory(raw: Raw, names: Raw, why: string, explain: Explain): MemorySnapshot {
  const bytes = (value: unknown, path: string, min = 0) =>
    takeFigure(figureOf(value, why), { min, max: CREDIBLE.memoryBytes.max }, `memory.${path}`, explain);
  const totalBytes = bytes(names["hw.memsize"], "totalBytes", 1);
  const available = readAvailable(raw.vm);
  const swap = isRecord(raw.swap) ? raw.swap : {};
  const pressure = PRESSURES[Number(names["kern.memorystatus_vm_pressure_level"])];
  const [first] = Array.isArray(raw.gpus) ? raw.gpus : [];
  return {
    totalBytes,
    availableBytes: bytes(available === null ? null : Math.min(available, totalBytes ?? available), "availableBytes"),
    swapTotalBytes: bytes(swap.totalBytes, "swapTotalBytes"),
    swapFreeBytes: bytes(swap.freeBytes, "swapFreeBytes"),
    limitedBy: null,
    unified: isRecord(first) && first.unified === true,
    pressure: pressure ?? explain("memory.pressure", why),
  };
}

/** Free pages, those of files, and those whose owner lets the system have them: what a load gets without swapping. */
function readAvailable(vm: unknown): number | null {
  if (!isRecord(vm)) return null;
  const counts = [vm.free, vm.external, vm.purgeable, vm.pageBytes];
  if (!counts.every((count) => typeof count === "number" && count >= 0)) return null;
  const [free = 0, external = 0, purgeable = 0, pageBytes = 0] = counts as number[];
  return (free + external + purgeable) * pageBytes;
}

/** Figures of other makers' GPUs that macOS has no word for. */
const UNTOLD = [
  "processes",
  "temperatureCelsius",
  "powerWatts",
  "powerLimitWatts",
  "throttleReasons",
  "pcie",
  "computeCapability",
  "clocksMhz",
  "utilization.memory",
];

function readGpus(raw: Raw, { unified, totalBytes }: MemorySnapshot, why: string, explain: Explain): DeviceSnapshot[] {
  const gpus = Array.isArray(raw.gpus) ? raw.gpus.filter(isRecord) : [];
  if (gpus.length === 0) explain("devices", why === "the system does not tell it" ? "Metal finds no device" : why);
  return gpus.map((gpu, at) => {
    const path = `devices.${at}`;
    const name = typeof gpu.name === "string" && gpu.name !== "" ? gpu.name : `GPU ${at}`;
    const figure = (value: unknown, range: { min: number; max: number }, to: string) =>
      takeFigure(figureOf(value, why), range, `${path}.${to}`, explain);
    const isShared = gpu.unified === true && unified;
    const total: Reading<number> =
      isShared && totalBytes !== null ? { value: totalBytes } : { reason: "Metal does not tell its memory" };
    for (const to of UNTOLD) explain(`${path}.${to}`, "macOS does not tell it");
    const percent = figure(gpu.utilizationPercent, CREDIBLE.percent, "utilization.compute");
    return {
      ...unknownDevice(`metal:${at}`, "metal", name),
      ...takeMemory(total, figureOf(gpu.usedBytes, why), path, explain),
      utilization: { compute: percent === null ? null : percent / 100, memory: null },
      recommendedWorkingSetBytes: figure(
        gpu.recommendedWorkingSetBytes,
        CREDIBLE.memoryBytes,
        "recommendedWorkingSetBytes",
      ),
      cores: figure(gpu.cores, CREDIBLE.cores, "cores"),
    };
  });
}

const THERMAL = ["nominal", "fair", "serious", "critical"] as const;
const SOURCES: Readonly<Record<string, PowerSnapshot["source"]>> = {
  "AC Power": "mains",
  "Battery Power": "battery",
  "UPS Power": "battery",
};

function readPower(raw: Raw, why: string, explain: Explain): PowerSnapshot {
  return {
    source: SOURCES[String(raw.powerSource)] ?? explain("power.source", why),
    thermalState: THERMAL[Number(raw.thermalState ?? -1)] ?? explain("power.thermalState", why),
  };
}
