// NVIDIA's driver as a whole: where its library is looked for, whether it works, and what is wrong when it does not. Pure.

import { isRecord } from "../lib/is-record.ts";
import type { MachineFault } from "../protocol/machine.ts";
import { type NvidiaDevices, readNvidiaDevices } from "./nvml.ts";
import {
  DRIVER_NOT_LOADED,
  describeError,
  errorCodeOf,
  LIBRARY_NOT_FOUND,
  NOT_PERMITTED,
  reasonOf,
  textOf,
  VERSION_MISMATCH,
} from "./nvml-codes.ts";
import type { Explain } from "./reader.ts";

const LIBRARY = "libnvidia-ml.so.1";

/** In order. NixOS and WSL keep it where no loader looks by itself. The variable, where it is set, replaces all of them. */
export function listNvmlPaths(env: Readonly<Record<string, string | undefined>>): string[] {
  const given = env.ML_OFFLOAD_NVML;
  if (given !== undefined && given !== "") return [given];
  return [LIBRARY, `/run/opengl-driver/lib/${LIBRARY}`, `/usr/lib/wsl/lib/${LIBRARY}`];
}

export interface NvidiaState extends NvidiaDevices {
  driver: string | null;
}

/** `pciGpus`: how many of NVIDIA's GPUs the bus has, driver or not. `first`: the index of the first device in the snapshot. */
export function readNvidia(
  raw: Readonly<Record<string, unknown>>,
  pciGpus: number,
  first: number,
  explain: Explain,
): NvidiaState {
  const failure = findFailure(raw, pciGpus);
  if (failure !== null) {
    explain("driver", failure.reason);
    return { devices: [], driver: null, faults: failure.fault === null ? [] : [failure.fault] };
  }
  const version = textOf(raw.driver);
  const driver = "value" in version ? version.value : explain("driver", version.reason);
  const { devices, faults } = readNvidiaDevices(raw, first, explain);
  const state = { devices, driver, faults };
  if (devices.length > 0) return state;
  if (errorCodeOf(raw.count) !== null) {
    const reason = `NVIDIA's driver does not list its devices: ${reasonOf(raw.count)}.`;
    return { ...state, faults: [{ device: null, reason, fix: FIX_RELOAD }] };
  }
  if (pciGpus === 0) return state;
  const reason = `${countGpus(pciGpus)} in this machine, but NVIDIA's driver shows none of them to this process.`;
  return { ...state, faults: [{ device: null, reason, fix: FIX_CONTAINER }] };
}

const FIX_INSTALL =
  "Install NVIDIA's driver (on NixOS: hardware.graphics and the nvidia video driver); start a container with --gpus all.";
const FIX_CONTAINER =
  "Start the container with --gpus all (NVIDIA Container Toolkit), and look at the rights of /dev/nvidia*.";
const FIX_RELOAD = "Reboot, or unload and load the kernel module (rmmod nvidia, modprobe nvidia).";

interface Failure {
  reason: string;
  /** Null: there is no GPU, so nothing is missing. */
  fault: MachineFault | null;
}

function findFailure(raw: Readonly<Record<string, unknown>>, pciGpus: number): Failure | null {
  if (!("library" in raw)) return { reason: "the probe gives no answer", fault: null };
  if (raw.library === null) return missLibrary(raw.tried, pciGpus);
  const code = errorCodeOf(raw.init);
  if (code === null) return raw.init === 0 ? null : { reason: reasonOf(raw.init), fault: null };
  const reason = describeError(code);
  // Images carry the library to machines without a GPU.
  const isAbsent = (code === DRIVER_NOT_LOADED || code === LIBRARY_NOT_FOUND) && pciGpus === 0;
  const text = `NVIDIA's driver does not start: ${reason}.`;
  return { reason: text, fault: isAbsent ? null : { device: null, reason: text, fix: fixOf(code) } };
}

function fixOf(code: number): string {
  switch (code) {
    case NOT_PERMITTED:
      return FIX_CONTAINER;
    case DRIVER_NOT_LOADED:
      return "Load the kernel module (modprobe nvidia); after an update of the kernel the driver has to be built again.";
    case LIBRARY_NOT_FOUND:
      return FIX_INSTALL;
    case VERSION_MISMATCH:
      return "The driver was updated while it ran: reboot. In a container: its driver libraries must be those of the host.";
    default:
      return FIX_RELOAD;
  }
}

function missLibrary(tried: unknown, pciGpus: number): Failure {
  const reasons = (Array.isArray(tried) ? tried : []).filter(isRecord).map(({ reason }) => String(reason));
  // One that is there and can't be opened says more than those that are not there.
  const odd = reasons.find((reason) => !/No such file or directory/.test(reason));
  const why = odd === undefined ? `${LIBRARY} was not found` : `its library can't be opened (${odd.slice(0, 300)})`;
  if (pciGpus === 0) return { reason: `there is no NVIDIA driver: ${why}`, fault: null };
  const reason = `${countGpus(pciGpus)} in this machine, but NVIDIA's driver is not installed: ${why}.`;
  return { reason, fault: { device: null, reason, fix: FIX_INSTALL } };
}

function countGpus(count: number): string {
  return count === 1 ? "An NVIDIA GPU is" : `${count} NVIDIA GPUs are`;
}
