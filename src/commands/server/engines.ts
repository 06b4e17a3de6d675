// The router of a server, with what it needs from outside: how an engine is started, and what it takes of the machine.

import { basename } from "node:path";
import pin from "../../../vendor/llama.cpp.json" with { type: "json" };
import { PROJECT_VERSION } from "../../api/version.ts";
import { systemClock } from "../../lib/clock.ts";
import type { ModelRegistry } from "../../models/registry.ts";
import { listBackends } from "../../protocol/backends.ts";
import { listAskedChanges } from "../../protocol/model-settings.ts";
import { describeUse } from "../../router/backends/plugin-choices.ts";
import type { ConvertOnLoad } from "../../router/conversions/convert-on-load.ts";
import { EngineProcess } from "../../router/engines/engine-process.ts";
import { startOnSteadyFiles } from "../../router/engines/steady-files.ts";
import type { TroubleSource } from "../../router/health.ts";
import { listAlternatives } from "../../router/placement/load-alternatives.ts";
import type { Planner } from "../../router/placement/planner.ts";
import { startSteppingDown } from "../../router/placement/step-down.ts";
import { abortable } from "../../router/residency/place.ts";
import { Router, type RouterEffects } from "../../router/router.ts";
import { listExplicit } from "./adapting.ts";
import { choosePooling, describeStart, type EngineSources } from "./engine-settings.ts";
import type { ServedHardware } from "./machine.ts";
import type { ServedNative } from "./native.ts";
import { listResidents, openPlanner } from "./planning.ts";
import { openMemory } from "./residency.ts";
import type { StartOptions } from "./server.ts";

export interface EngineParts extends StartOptions {
  native: ServedNative;
  registry: ModelRegistry;
  /** Those of `--lora`, and the model that they are for. */
  loras: EngineSources["adapted"];
  loader: ConvertOnLoad;
  hardware: ServedHardware;
  /** What else health tells of. */
  troubles: readonly TroubleSource[];
}

interface RouterParts extends EngineParts {
  engines: EngineSources;
  planner: Planner;
}

/** The router plans what it loads, and the planner counts what is loaded. */
export function openEngines(parts: EngineParts): { router: Router; planner: Planner } {
  const { config, folders, native, registry, loras, hardware } = parts;
  const engines = { config, files: native.files, plugins: native.choice.plugins, folders, adapted: loras };
  const planner: Planner = openPlanner({
    start: parts,
    engines,
    registry,
    machine: hardware.sources.machine,
    residents: () => listResidents(router.listModels()),
    isMoving: () => router.isMoving,
    asAsked: (entry) => router.asAsked(entry),
  });
  const router: Router = buildRouter({ ...parts, engines, planner });
  return { router, planner };
}

function buildRouter(parts: RouterParts): Router {
  const { config, log, native, registry, engines, hardware } = parts;
  const { plugins, skipped, fallback } = native.choice;
  return new Router({
    registry,
    log,
    clock: systemClock,
    sleepAfterMs: config.sleepAfterSeconds * 1000,
    memory: openMemory(parts),
    adapters: { ...engines.adapted, adapters: engines.adapted.adapters.map(({ adapter }) => adapter) },
    facts: {
      version: PROJECT_VERSION,
      llamaCpp: { version: pin.version, commit: pin.commit },
      plugins: plugins.map((path) => basename(path)),
      skippedPlugins: skipped,
      ...(fallback === undefined ? {} : { fallback }),
      contextLength: config.ctx,
      ...choosePooling(config),
    },
    troubles: [hardware.faults, ...parts.troubles],
    effects: { startEngine: describeEngineStart(parts) },
  });
}

function describeEngineStart(parts: RouterParts): RouterEffects["startEngine"] {
  const { config, said = new Set(), log, native, registry, engines, loader, hardware, planner } = parts;
  const { files, choices } = native;
  return async (entry, signal) => {
    const wanted = listBackends(entry.settings.engine.backend ?? config.backend);
    const chosen = await abortable(choices.of(wanted), signal);
    // A draft model is for the one that the configuration names, whatever was made the default since.
    const start = describeStart({ ...engines, plugins: chosen.plugins }, entry, registry.firstEntry()?.id === entry.id);
    const modelPath = entry.conversion === null ? entry.path : await loader.prepare(entry, signal);
    const options = { libraryPath: files.library, modelId: entry.id, signal, log, clock: systemClock };
    const explicit = listExplicit(said, listAskedChanges(entry.settings));
    const isContextPlanned = entry.settings.planned?.includes("ctx") ?? false;
    const backend = describeUse(wanted, chosen);
    const startOnce = async (): Promise<EngineProcess> => {
      // What it was converted to just now, the entry does not know yet.
      const conversion = entry.conversion === null ? null : { file: modelPath };
      const planned = await planner.planLoad({ ...entry, conversion });
      const settings = { ...(planned?.apply(start.settings) ?? start.settings), modelPath };
      const engine = await startSteppingDown({
        modelId: entry.id,
        settings,
        onOom: config.onOom,
        alternatives: listAlternatives(settings, {
          context: start.settings.contextLength > 0 && !isContextPlanned,
          batch: explicit.has("batch"),
        }),
        start: (changed, steppedDown) =>
          EngineProcess.start({ ...options, ...start, backend, settings: changed, steppedDown }),
        log,
      });
      if (engine.info.memoryNeed !== null) planned?.note(engine.info.memoryNeed);
      return engine;
    };
    const paths = entry.conversion === null ? entry.files : [modelPath];
    const engine = await startOnSteadyFiles({ modelId: entry.id, paths, start: startOnce, log });
    if (entry.conversion !== null) loader.hold(modelPath, engine.exited);
    hardware.sources.adaptation.watch(entry.id, engine, explicit);
    return engine;
  };
}
