// Puts together what lowers engines under pressure: the watch, its settings, and which of an engine's settings somebody chose.

import type { ConfigKey, ServeConfig } from "../../config.ts";
import type { Clock } from "../../lib/clock.ts";
import type { EventBus } from "../../lib/event-bus.ts";
import type { Logger } from "../../lib/log.ts";
import type { EventTopic } from "../../protocol/events.ts";
import type { MachineSource } from "../../protocol/machine.ts";
import type { EngineChanges } from "../../protocol/model-settings.ts";
import type { AdaptationPolicy, Lowerable } from "../../router/adaptation/adaptation.ts";
import { AdaptationWatch, LOOK_MS } from "../../router/adaptation/adaptation-watch.ts";

export interface AdaptationParts {
  config: Pick<ServeConfig, "lowerExplicit"> & Partial<Omit<AdaptationPolicy, "lowersExplicit">>;
  machine: MachineSource;
  events: EventBus<EventTopic>;
  log: Logger;
  clock: Clock;
}

export function openAdaptation({ config, machine, events, log, clock }: AdaptationParts): AdaptationWatch {
  return new AdaptationWatch({
    readMachine: () => machine.read(LOOK_MS / 2),
    policy: {
      autoOptimization: config.autoOptimization ?? true,
      thermalThrottling: config.thermalThrottling ?? true,
      powerManagement: config.powerManagement ?? true,
      lowersExplicit: config.lowerExplicit,
    },
    clock,
    log,
    publish: (adaptation) => events.publish("hardware", { adaptation }, `adaptation of ${adaptation.pid}`),
  });
}

/** Of what may be lowered, what a flag, a variable, the config file or the model's own file says. */
export function listExplicit(said: ReadonlySet<ConfigKey>, changes: EngineChanges): ReadonlySet<Lowerable> {
  const isSet = (...keys: (ConfigKey & keyof EngineChanges)[]): boolean =>
    keys.some((key) => said.has(key) || changes[key] !== undefined);
  const explicit = new Set<Lowerable>();
  if (isSet("batchSize", "ubatchSize")) explicit.add("batch");
  if (isSet("parallel")) explicit.add("parallel");
  if (isSet("retained", "checkpointBytes")) explicit.add("cache");
  return explicit;
}
