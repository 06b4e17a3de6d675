// Puts together what asks the machine: the probe of our native files, and where models lie. `serve` and `devices` do it here.

import { join } from "node:path";
import { Machine } from "../hardware/machine.ts";
import { listNvmlPaths } from "../hardware/nvidia-driver.ts";
import { loadProbeAddon, Probe } from "../hardware/probe.ts";
import { systemSources } from "../hardware/snapshot.ts";
import { systemClock } from "../lib/clock.ts";
import type { Environment, Folders } from "../lib/paths.ts";

/** `probePath` null: this build has no probe, which is a reason in the snapshot and no failure. */
export function openMachine(probePath: string | null, env: Environment, folders: Folders, timeoutMs?: number): Machine {
  const load = () => {
    if (probePath === null) throw new Error("probe.node is not among the native files");
    return loadProbeAddon(probePath);
  };
  const limit = timeoutMs === undefined ? {} : { timeoutMs };
  const probe = new Probe({ load, candidates: listNvmlPaths(env), clock: systemClock, ...limit });
  return new Machine(systemSources(join(folders.data, "models"), probe, systemClock));
}
