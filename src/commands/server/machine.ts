// Puts together what asks the machine: the probe of our native files, where models lie, and the back ends that were chosen.

import { basename, join } from "node:path";
import type { ServeConfig } from "../../config.ts";
import { Machine } from "../../hardware/machine.ts";
import { listNvmlPaths } from "../../hardware/nvidia-driver.ts";
import { loadProbeAddon, Probe } from "../../hardware/probe.ts";
import { systemSources } from "../../hardware/snapshot.ts";
import { systemClock } from "../../lib/clock.ts";
import type { EventBus } from "../../lib/event-bus.ts";
import type { Environment, Folders } from "../../lib/paths.ts";
import { listBackends } from "../../protocol/backends.ts";
import type { EventTopic } from "../../protocol/events.ts";
import type { MachineSource } from "../../protocol/machine.ts";
import type { AdaptationWatch } from "../../router/adaptation/adaptation-watch.ts";
import { type BackendDeviceSource, BackendDevices } from "../../router/backends/backend-devices.ts";
import { describeFaults, type GpuUse } from "../../router/backends/device-faults.ts";
import type { PluginChoice } from "../../router/backends/plugins.ts";
import { runJob } from "../../router/children/jobs.ts";
import type { TroubleSource } from "../../router/health.ts";
import { openAdaptation } from "./adapting.ts";
import { announceHardware } from "./announcing.ts";
import type { ServedNative } from "./native.ts";
import { planTrial } from "./probe-trial.ts";
import type { StartOptions } from "./server.ts";

/** `probePath` null: this build has no probe, which is a reason in the snapshot and no failure. */
export function openMachine(probePath: string | null, env: Environment, folders: Folders, timeoutMs?: number): Machine {
  const load = () => {
    if (probePath === null) throw new Error("probe.node is not among the native files");
    return loadProbeAddon(probePath);
  };
  const limit = timeoutMs === undefined ? {} : { timeoutMs };
  const trial = probePath === null ? null : planTrial(probePath, env);
  const probe = new Probe({ load, candidates: listNvmlPaths(env), clock: systemClock, trial, ...limit });
  return new Machine(systemSources(join(folders.data, "models"), probe, systemClock));
}

export interface ServedHardware {
  /** Engines are lowered by `adaptation`. */
  sources: { machine: MachineSource; backendDevices: BackendDeviceSource; adaptation: AdaptationWatch };
  /** For health: why devices that are here are not computed on, as of the last look. */
  faults: TroubleSource;
  /** Looks no more. */
  stop(): void;
}

/** What a server asks, tells and watches of its machine. It has been looked at once when this resolves. */
export async function openHardware(
  { config, env, folders, log }: StartOptions,
  { files, choice }: ServedNative,
  events: EventBus<EventTopic>,
): Promise<ServedHardware> {
  const machine = openMachine(files.probe, env, folders);
  await machine.read(0);
  const question = { job: "devices", plugins: choice.plugins } as const;
  const backendDevices = new BackendDevices(() => runJob(files.library, question, log, systemClock), systemClock);
  const use = describeGpuUse(config, choice);
  const watch = announceHardware(machine, events, config.host);
  const adaptation = openAdaptation({ config, machine, events, log, clock: systemClock });
  return {
    sources: { machine, backendDevices, adaptation },
    faults: () => describeFaults(machine.latest(), use),
    stop() {
      watch.stop();
      adaptation.stop();
    },
  };
}

/** Who has put no layers on a GPU, or wants the CPU first, misses none. */
function describeGpuUse(config: ServeConfig, { plugins, skipped }: PluginChoice): GpuUse {
  const wanted = config.gpuLayers !== 0 && listBackends(config.backend)[0] !== "cpu";
  return { plugins: plugins.map((path) => basename(path)), skippedPlugins: skipped, wanted };
}
