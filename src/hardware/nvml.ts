// NVIDIA's devices: the probe's raw readings → snapshots, with a reason for each gap and a fault for each device that can't
// be used. Pure. The readings' shape is that of native/probe; what a driver says is believed only where it can be true.

import { isRecord } from "../lib/is-record.ts";
import type { DeviceSnapshot, MachineFault } from "../protocol/machine.ts";
import { CREDIBLE, type Reading, takeFigure, takeMemory, unknownDevice } from "./device.ts";
import { errorCodeOf, LOST, listThrottleReasons, numberOf, reasonOf, textOf } from "./nvml-codes.ts";
import type { Explain } from "./reader.ts";

type Raw = Readonly<Record<string, unknown>>;

export interface NvidiaDevices {
  devices: DeviceSnapshot[];
  faults: MachineFault[];
}

/** More than any machine has. */
const COUNT_MAX = 64;
/** Bits of what a driver may say about throttling. */
const THROTTLE_BITS = { min: 0, max: 2 ** 53 };

/** `first`: the index that the first one gets in the snapshot. */
export function readNvidiaDevices(raw: Raw, first: number, explain: Explain): NvidiaDevices {
  const found: NvidiaDevices = { devices: [], faults: [] };
  const count = takeFigure(numberOf(raw.count), { min: 0, max: COUNT_MAX }, "devices", explain);
  if (count === null) return found;
  for (const device of listOf(raw.devices)) {
    const slices = listOf(device.slices);
    const wholes = slices.length === 0 ? [device] : slices;
    for (const whole of wholes) {
      const path = `devices.${first + found.devices.length}`;
      found.devices.push(readOne(whole, device, path, explain, found.faults));
    }
  }
  return found;
}

function listOf(raw: unknown): Raw[] {
  return Array.isArray(raw) ? raw.filter(isRecord).slice(0, COUNT_MAX) : [];
}

/** `parent` is the device itself where it is a whole one: only whole ones have sensors. */
function readOne(raw: Raw, parent: Raw, path: string, explain: Explain, faults: MachineFault[]): DeviceSnapshot {
  const isSlice = raw !== parent;
  const index = typeof raw.index === "number" ? raw.index : 0;
  const named = textOf(raw.name);
  const name = "value" in named ? named.value : `NVIDIA GPU ${index}`;
  const uuid = textOf(raw.uuid);
  const device = unknownDevice(`cuda:${"value" in uuid ? uuid.value : index}`, "cuda", name);
  const lost = [raw.handle, raw.total].map(errorCodeOf).find((code) => code !== null && LOST.includes(code));
  if (lost !== undefined || errorCodeOf(raw.handle) !== null) {
    return giveUp(device, reasonOf(errorCodeOf(raw.handle) === null ? raw.total : raw.handle), path, explain, faults);
  }
  const isSliced = !isSlice && Array.isArray(raw.slices);
  const unsliced = { reason: "it is to be used in slices (MIG), of which it has none" };
  const memory = isSliced ? ([unsliced, unsliced] as const) : ([numberOf(raw.total), numberOf(raw.used)] as const);
  const figures = takeMemory(...memory, path, explain);
  return {
    ...device,
    ...figures,
    ...readSensors(parent, path, explain),
    processes: readProcesses(raw, figures.totalBytes, path, explain),
    utilization: {
      compute: takeShare(numberOf(raw.computePercent), `${path}.utilization.compute`, explain),
      memory: takeShare(numberOf(raw.memoryPercent), `${path}.utilization.memory`, explain),
    },
    computeCapability: takeCapability(raw, parent, path, explain),
    migParent: isSlice ? nameOf(parent) : null,
    recommendedWorkingSetBytes: null,
    cores: takeFigure(numberOf(raw.cores), CREDIBLE.cores, `${path}.cores`, explain),
  };
}

function nameOf(raw: Raw): string {
  const named = textOf(raw.name);
  return "value" in named ? named.value : `NVIDIA GPU ${String(raw.index)}`;
}

function giveUp(
  device: DeviceSnapshot,
  reason: string,
  path: string,
  explain: Explain,
  faults: MachineFault[],
): DeviceSnapshot {
  explain(path, reason);
  faults.push({
    device: device.name,
    reason: `${device.name} can't be used: ${reason}.`,
    fix: "The kernel's log (dmesg, lines with NVRM and Xid) says why; nvidia-smi --gpu-reset or a reboot brings it back.",
  });
  return device;
}

function readSensors(raw: Raw, path: string, explain: Explain) {
  const figure = (name: string, unit: number, range: { min: number; max: number }, to: string) =>
    takeFigure(numberOf(raw[name], unit), range, `${path}.${to}`, explain);
  const bits = takeFigure(numberOf(raw.throttle), THROTTLE_BITS, `${path}.throttleReasons`, explain);
  const generation = figure("pcieGeneration", 1, CREDIBLE.pcieGeneration, "pcie.generation");
  const width = figure("pcieWidth", 1, CREDIBLE.pcieWidth, "pcie.width");
  return {
    temperatureCelsius: figure("celsius", 1, CREDIBLE.celsius, "temperatureCelsius"),
    powerWatts: figure("milliwatts", 1000, CREDIBLE.watts, "powerWatts"),
    powerLimitWatts: figure("milliwattsLimit", 1000, CREDIBLE.watts, "powerLimitWatts"),
    clocksMhz: {
      core: figure("coreMegahertz", 1, CREDIBLE.megahertz, "clocksMhz.core"),
      memory: figure("memoryMegahertz", 1, CREDIBLE.megahertz, "clocksMhz.memory"),
    },
    throttleReasons: bits === null ? null : listThrottleReasons(bits),
    pcie:
      generation === null && width === null ? explain(`${path}.pcie`, reasonOf(raw.pcieWidth)) : { generation, width },
  };
}

function takeShare(reading: Reading<number>, path: string, explain: Explain): number | null {
  const percent = takeFigure(reading, CREDIBLE.percent, path, explain);
  return percent === null ? null : percent / 100;
}

/** A slice does not tell its own: it is that of the whole. */
function takeCapability(raw: Raw, parent: Raw, path: string, explain: Explain): string | null {
  const own = [raw.capability, parent.capability].find(
    (text) => typeof text === "string" && /^\d{1,3}\.\d$/.test(text),
  );
  return typeof own === "string" ? own : explain(`${path}.computeCapability`, reasonOf(raw.capability));
}

type Processes = NonNullable<DeviceSnapshot["processes"]>;

/** One that computes and shows is in both lists, with the same memory. */
function readProcesses(
  raw: Raw,
  totalBytes: number | null,
  path: string,
  explain: Explain,
): DeviceSnapshot["processes"] {
  const lists = [raw.computeProcesses, raw.graphicsProcesses];
  const known = lists.filter((list) => Array.isArray(list));
  if (known.length === 0) return explain(`${path}.processes`, reasonOf(lists[0]));
  const byPid = new Map<number, number | null>();
  for (const entry of known.flat()) {
    const [pid, bytes] = Array.isArray(entry) ? entry : [];
    if (typeof pid !== "number" || !Number.isInteger(pid) || pid < 0) continue;
    const isTrue = typeof bytes === "number" && bytes >= 0 && bytes <= (totalBytes ?? CREDIBLE.memoryBytes.max);
    const usedBytes = isTrue ? bytes : null;
    byPid.set(pid, usedBytes === null ? (byPid.get(pid) ?? null) : Math.max(usedBytes, byPid.get(pid) ?? 0));
  }
  const processes: Processes = [...byPid].map(([pid, usedBytes]) => ({ pid, usedBytes }));
  if (processes.some(({ usedBytes }) => usedBytes === null)) {
    explain(
      `${path}.processes.usedBytes`,
      "the driver does not tell it of every process, as in containers and on Windows",
    );
  }
  return processes.sort((a, b) => a.pid - b.pid);
}
