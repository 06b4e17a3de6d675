// The router of a server, with what it needs from outside: how an engine is started, and what it takes of the machine.

import { basename } from "node:path";
import pin from "../../vendor/llama.cpp.json" with { type: "json" };
import { PROJECT_VERSION } from "../api/version.ts";
import { systemClock } from "../lib/clock.ts";
import type { AdapterFile } from "../models/adapter.ts";
import type { ModelRegistry } from "../models/registry.ts";
import { listBackends } from "../protocol/backends.ts";
import type { ConvertOnLoad } from "../router/convert-on-load.ts";
import { EngineProcess } from "../router/engine-process.ts";
import { listAlternatives } from "../router/load-alternatives.ts";
import { abortable } from "../router/place.ts";
import { describeUse } from "../router/plugin-choices.ts";
import { Router, type RouterEffects } from "../router/router.ts";
import { startSteppingDown } from "../router/step-down.ts";
import { listExplicit } from "./adapting.ts";
import { choosePooling, describeStart } from "./engine-settings.ts";
import type { ServedHardware } from "./machine.ts";
import type { ServedNative } from "./native.ts";
import { openMemory } from "./residency.ts";
import type { StartOptions } from "./server.ts";

export interface RouterParts extends StartOptions {
  native: ServedNative;
  registry: ModelRegistry;
  /** Those of `--lora`, and the model that they are for. */
  adaptedBy: { modelPath: string; adapters: AdapterFile[] };
  loader: ConvertOnLoad;
  hardware: ServedHardware;
}

export function buildRouter(parts: RouterParts): Router {
  const { config, log, native, registry, adaptedBy, hardware } = parts;
  const { plugins, skipped, fallback } = native.choice;
  return new Router({
    registry,
    log,
    clock: systemClock,
    sleepAfterMs: config.sleepAfterSeconds * 1000,
    memory: openMemory(config),
    adapters: { ...adaptedBy, adapters: adaptedBy.adapters.map(({ adapter }) => adapter) },
    facts: {
      version: PROJECT_VERSION,
      llamaCpp: { version: pin.version, commit: pin.commit },
      plugins: plugins.map((path) => basename(path)),
      skippedPlugins: skipped,
      ...(fallback === undefined ? {} : { fallback }),
      contextLength: config.ctx,
      ...choosePooling(config),
    },
    troubles: [hardware.faults],
    effects: { startEngine: describeEngineStart(parts) },
  });
}

function describeEngineStart(parts: RouterParts): RouterEffects["startEngine"] {
  const { config, origins = {}, folders, log, native, registry, adaptedBy, loader, hardware } = parts;
  const { files, choices } = native;
  return async (entry, signal) => {
    const wanted = listBackends(entry.settings.engine.backend ?? config.backend);
    const chosen = await abortable(choices.of(wanted), signal);
    const sources = { config, files, plugins: chosen.plugins, folders, adapted: adaptedBy };
    // A draft model is for the one that the configuration names, whatever was made the default since.
    const start = describeStart(sources, entry, registry.firstEntry()?.id === entry.id);
    const modelPath = entry.conversion === null ? entry.path : await loader.prepare(entry, signal);
    const options = { libraryPath: files.library, modelId: entry.id, signal, log, clock: systemClock };
    const settings = { ...start.settings, modelPath };
    const explicit = listExplicit(origins, entry.settings.engine);
    const backend = describeUse(wanted, chosen);
    const engine = await startSteppingDown({
      modelId: entry.id,
      settings,
      onOom: config.onOom,
      alternatives: listAlternatives(settings, { batch: explicit.has("batch") }),
      start: (changed, steppedDown) =>
        EngineProcess.start({ ...options, ...start, backend, settings: changed, steppedDown }),
      log,
    });
    if (entry.conversion !== null) loader.hold(modelPath, engine.exited);
    hardware.sources.adaptation.watch(entry.id, engine, explicit);
    return engine;
  };
}
