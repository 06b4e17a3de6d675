// Whether a GPU driver's library may be loaded in this process: a child has tried it. A driver is other people's code, and one
// that crashes must not take a server with it.

import { existsSync } from "node:fs";
import type { ProbeTrial } from "../../hardware/probe.ts";
import type { Environment } from "../../lib/paths.ts";
import { CHILD_ENVIRONMENT, selfCommand } from "../../router/children/child.ts";
import { EXIT_CODES } from "../exit-codes.ts";

/** What the kernel has where NVIDIA's driver runs, and WSL for it. Elsewhere its library says so and ends its work. */
const DRIVER_TRACES = ["/proc/driver/nvidia/version", "/dev/dxg"];
/** More than the child gives the driver. */
const TRIAL_MS_MAX = 10_000;

/** Null: there is no driver here that could do anything. */
export function planTrial(addon: string, env: Environment): ProbeTrial | null {
  const isNamed = env.ML_OFFLOAD_NVML !== undefined && env.ML_OFFLOAD_NVML !== "";
  if (!isNamed && !DRIVER_TRACES.some((path) => existsSync(path))) return null;
  return async () => {
    const child = Bun.spawn([...selfCommand(), "probe", addon], {
      argv0: process.execPath,
      stdio: ["ignore", "ignore", "ignore"],
      env: { ...CHILD_ENVIRONMENT, ...env },
      timeout: TRIAL_MS_MAX,
      killSignal: "SIGKILL",
    });
    const code = await child.exited;
    // A driver that hangs is no danger here: it costs a thread.
    const isWell = code === EXIT_CODES.ok || child.signalCode === "SIGKILL";
    return isWell ? null : String(child.signalCode ?? `code ${code}`);
  };
}
