// Puts a snapshot of the machine together from the system's files, the probe's readings and the disk. Bounded in time, and
// never fails: what can't be read is null, with the reason.

import { statfs } from "node:fs/promises";
import { availableParallelism } from "node:os";
import type { Clock } from "../lib/clock.ts";
import type { CpuSnapshot, MachineFault, MachineSnapshot } from "../protocol/machine.ts";
import { readCpu } from "./cpu.ts";
import { describeMac } from "./macos.ts";
import { readMemory } from "./memory.ts";
import { readNvidia } from "./nvidia-driver.ts";
import { readPower } from "./power.ts";
import type { ProbeReading } from "./probe.ts";
import { createExplain, type Explain, type SystemReader, systemReader } from "./reader.ts";
import { countPciGpus, readSysfsGpus } from "./sysfs-gpus.ts";

export interface SnapshotSources {
  system: SystemReader;
  probe: { read(): Promise<ProbeReading> };
  /** The folder that models go to. */
  diskPath: string;
  /** Of the file system that holds a folder, which need not be there yet; null: not told. */
  readDisk(path: string): Promise<DiskSize | null>;
  clock: Clock;
  platform: string;
  arch: string;
  /** What the runtime counts. */
  cores: number;
}

export interface DiskSize {
  totalBytes: number;
  freeBytes: number;
}

export function systemSources(diskPath: string, probe: SnapshotSources["probe"], clock: Clock): SnapshotSources {
  const cores = availableParallelism();
  const { platform, arch } = process;
  return { system: systemReader, probe, diskPath, readDisk, clock, platform, arch, cores };
}

/** What does not change while a server runs: hundreds of files on a large machine. */
export interface CpuReading {
  cpu: CpuSnapshot;
  unknown: Record<string, string>;
}

/** `known`: the processors of an earlier snapshot. */
export async function takeSnapshot(
  sources: SnapshotSources,
  known: CpuReading | null = null,
): Promise<MachineSnapshot> {
  const { clock, platform, arch, diskPath } = sources;
  const takenAt = clock.wallMs();
  const [reading, disk] = await Promise.all([sources.probe.read(), readDiskInTime(sources)]);
  const unknown: Record<string, string> = {};
  const explain = createExplain(unknown);
  const parts =
    platform === "darwin" ? describeMac(reading, sources.cores, explain) : readLinux(sources, reading, known, explain);
  if (disk === null) {
    for (const name of ["totalBytes", "freeBytes"]) explain(`disk.${name}`, "the file system does not tell it");
  }
  if (parts.devices.length === 0 && unknown.devices === undefined) {
    explain("devices", unknown.driver ?? "no driver tells of a GPU");
  }
  return {
    takenAt,
    platform,
    arch,
    ...parts,
    disk: { path: diskPath, totalBytes: disk?.totalBytes ?? null, freeBytes: disk?.freeBytes ?? null },
    unknown,
  };
}

type Parts = Omit<MachineSnapshot, "takenAt" | "platform" | "arch" | "disk" | "unknown">;

function readLinux(
  { system, cores }: SnapshotSources,
  reading: ProbeReading,
  known: CpuReading | null,
  explain: Explain,
): Parts {
  for (const [path, reason] of Object.entries(known?.unknown ?? {})) explain(path, reason);
  const others = readSysfsGpus(system, 0, explain);
  const nvidia = readNvidiaPart(system, reading, others.length, explain);
  return {
    cpu: known?.cpu ?? readCpu(system.text, cores, explain),
    memory: readMemory(system.text, explain),
    devices: [...others, ...nvidia.devices],
    driver: nvidia.driver,
    power: readPower(system, explain),
    neuralEngine: explain("neuralEngine", "only Apple's processors have one that is told of"),
    faults: nvidia.faults,
  };
}

function readNvidiaPart(system: SystemReader, reading: ProbeReading, first: number, explain: Explain) {
  const pciGpus = countPciGpus("nvidia", system);
  if (reading.kind === "answer") return readNvidia(reading.raw, pciGpus, first, explain);
  const { reason } = reading;
  explain("driver", reason);
  const faults: MachineFault[] = [];
  if (reading.kind === "silent") {
    const fix = "The kernel's log (dmesg, lines with NVRM and Xid) says why; a reboot helps if nothing else does.";
    faults.push({ device: null, reason: "NVIDIA's driver does not answer.", fix });
  } else if (reading.kind === "crashed") {
    const fix = "Install NVIDIA's driver anew, then start this program again; nvidia-smi should run without an error.";
    faults.push({ device: null, reason: `NVIDIA's driver can't be asked: ${reason}.`, fix });
  } else if (pciGpus > 0) {
    const fix =
      "Take a build of this program that is whole, or set ML_OFFLOAD_NATIVE_DIR to a folder with all of its libraries.";
    faults.push({ device: null, reason: `There is an NVIDIA GPU, but ${reason}.`, fix });
  }
  return { devices: [], driver: null, faults };
}

/** A network file system may hang. */
const DISK_MS_MAX = 1_000;

async function readDiskInTime({ readDisk, diskPath, clock }: SnapshotSources): Promise<DiskSize | null> {
  const late = Promise.withResolvers<null>();
  const cancel = clock.after(DISK_MS_MAX, () => late.resolve(null), true);
  try {
    return await Promise.race([readDisk(diskPath), late.promise]);
  } finally {
    cancel();
  }
}

/** A folder that is not there yet lies on the file system of the one above it. */
async function readDisk(path: string): Promise<DiskSize | null> {
  try {
    const { blocks, bavail, bsize } = await statfs(path);
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch (thrown) {
    const above = path.replace(/\/[^/]*\/?$/, "") || "/";
    const isAbsent = (thrown as NodeJS.ErrnoException).code === "ENOENT";
    return isAbsent && above !== path ? await readDisk(above) : null;
  }
}
