// What a machine has at one moment, as far as it can be read. A leaf: types only. A figure that can't be read is null, and
// `unknown` says why under the figure's path, such as `devices.0.powerWatts`.

export type DeviceKind = "cuda" | "metal" | "rocm" | "vulkan" | "sycl" | "other";

export interface MachineSnapshot {
  /** Milliseconds since the epoch. */
  takenAt: number;
  /** As `process.platform` and `process.arch` call them. */
  platform: string;
  arch: string;
  cpu: CpuSnapshot;
  memory: MemorySnapshot;
  /** Of the file system that holds the models folder. */
  disk: { path: string; totalBytes: number | null; freeBytes: number | null };
  devices: DeviceSnapshot[];
  /** The driver's version, such as `580.65.06`; null: there is none, or it is not told. */
  driver: string | null;
  power: PowerSnapshot;
  /** Apple's; null elsewhere, and where it is not told. */
  neuralEngine: boolean | null;
  /** What is in the machine and can't be used. */
  faults: MachineFault[];
  unknown: Record<string, string>;
}

/** Why a device that is there is of no use, and what a person can do about it. Both are sentences. */
export interface MachineFault {
  /** Its name or id; null: it is about all of them. */
  device: string | null;
  reason: string;
  fix: string;
}

/** A device as llama.cpp's back ends list it: what an engine can compute on. */
export interface BackendDevice {
  /** Such as `CUDA0` or `CPU`. */
  name: string;
  description: string;
  kind: "cpu" | "gpu" | "integrated-gpu" | "accelerator";
  memoryBytes: number;
}

/** Whoever wants to know what the machine has asks one of these. */
export interface MachineSource {
  /** One that was begun at most so many milliseconds ago, or a new one. Bounded in time; never rejects. */
  read(ageMsMax: number): Promise<MachineSnapshot>;
  /** The newest there is; null: none was taken yet. */
  latest(): MachineSnapshot | null;
}

export interface CpuSnapshot {
  model: string | null;
  /** Logical processors that this process may use: affinity and cgroup quota counted in. */
  usableCores: number;
  physicalCores: number | null;
  performanceCores: number | null;
  efficiencyCores: number | null;
  /** Lower-case names, such as `avx2`, `amx_tile`, `neon`. */
  simd: string[];
  numaNodes: number | null;
}

export interface MemorySnapshot {
  /** What this process could ever have: the machine's memory, or the tightest cgroup limit above it. */
  totalBytes: number | null;
  /** What a new process could take now without swapping, within all cgroup limits. */
  availableBytes: number | null;
  swapTotalBytes: number | null;
  swapFreeBytes: number | null;
  /** Which limit `totalBytes` is: the machine's own, or that of this cgroup folder. */
  limitedBy: string | null;
  /** One pool that processor and GPU share, as on Apple silicon. */
  unified: boolean;
  pressure: "normal" | "warning" | "critical" | null;
}

export interface DeviceSnapshot {
  /** Stable over restarts where the driver gives a UUID: `cuda:GPU-…`, else `cuda:0`. */
  id: string;
  kind: DeviceKind;
  name: string;
  totalBytes: number | null;
  usedBytes: number | null;
  freeBytes: number | null;
  /** Memory by process, those in other containers by pid alone. */
  processes: { pid: number; usedBytes: number | null }[] | null;
  /** Shares of 1. */
  utilization: { compute: number | null; memory: number | null };
  temperatureCelsius: number | null;
  powerWatts: number | null;
  powerLimitWatts: number | null;
  clocksMhz: { core: number | null; memory: number | null };
  /** Why it runs slower than it could, in words such as `power cap` or `thermal`; empty: it does not. */
  throttleReasons: string[] | null;
  pcie: { generation: number | null; width: number | null } | null;
  /** Such as `9.0`. */
  computeCapability: string | null;
  /** A slice of a device; its parent's name. Null: it is a whole one. */
  migParent: string | null;
  /** Of Apple's GPUs: what Metal advises as the most. */
  recommendedWorkingSetBytes: number | null;
  cores: number | null;
}

export interface PowerSnapshot {
  source: "mains" | "battery" | null;
  thermalState: "nominal" | "fair" | "serious" | "critical" | null;
}
