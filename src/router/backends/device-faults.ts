// Why a GPU that is in this machine is not computed on, in words for health: what is wrong with it, or with our back ends.
// Pure. What a person has switched off is no fault.

import type { DeviceKind, MachineSnapshot } from "../../protocol/machine.ts";
import type { Trouble } from "../inference.ts";
import type { SkippedPlugin } from "./plugins.ts";

export interface GpuUse {
  /** File names of the back ends that engines load. */
  plugins: readonly string[];
  skippedPlugins: readonly SkippedPlugin[];
  /** False: --gpu-layers 0, or --backend names the CPU first. */
  wanted: boolean;
}

/** The kinds of devices for which there is a back end of this program. Others, such as integrated graphics, are not missed. */
const BACKENDS: Partial<Record<DeviceKind, string>> = { cuda: "cuda", metal: "metal" };

/** `snapshot` null: nothing is known yet. */
export function describeFaults(snapshot: MachineSnapshot | null, use: GpuUse): Trouble[] {
  if (snapshot === null || !use.wanted) return [];
  const broken = snapshot.faults.map(({ device, reason, fix }) => ({ subject: device, reason, fix }));
  return [...broken, ...findUnused(snapshot, use)];
}

/** Devices that work, for which no back end is loaded. */
function findUnused({ devices, unknown }: MachineSnapshot, { plugins, skippedPlugins }: GpuUse): Trouble[] {
  // Of one that can't be used that has been said; one that does not tell its memory may work all the same.
  const working = devices.filter((_, at) => unknown[`devices.${at}`] === undefined);
  const kinds = [...new Set(working.map(({ kind }) => kind))];
  return kinds.flatMap((kind) => {
    const backend = BACKENDS[kind];
    if (backend === undefined || plugins.some((file) => isBackend(file, backend))) return [];
    const [first] = working.filter((device) => device.kind === kind);
    const skipped = skippedPlugins.find(({ file }) => isBackend(file, backend));
    const subject = first?.name ?? null;
    const what = `${subject} is here, but the CPU computes:`;
    if (skipped === undefined) {
      const fix = `Take a build with it (build.ts binary --gpu ${backend}).`;
      return [{ subject, reason: `${what} this build has no ${backend} back end.`, fix }];
    }
    const reason = skipped.reason.trimEnd().split("\n").at(-1) ?? "";
    return [{ subject, reason: `${what} its back end is not used (${reason}).`, fix: fixOf(reason) }];
  });
}

function isBackend(file: string, backend: string): boolean {
  return file.startsWith(`libggml-${backend}.`);
}

function fixOf(reason: string): string {
  const library = /(lib(?:cu|nv)[\w.-]+\.so[\w.]*)/.exec(reason)?.[1];
  if (library !== undefined) {
    return `Install what has ${library} (NVIDIA's driver or the CUDA toolkit), or name its folder in ML_OFFLOAD_CUDA_LIBS.`;
  }
  if (/driver version is insufficient|version mismatch/i.test(reason)) return "Update NVIDIA's driver, and reboot.";
  return "The server's log at its first start says more; a later start with --backend cuda tries again.";
}
