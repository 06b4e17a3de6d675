// What the router needs to decide who is in memory, put together: needs, budget, files read ahead; and the models that are
// loaded at the start. How it is decided is router/.

import { applyModelSettings } from "../config/model-settings.ts";
import type { ServeConfig } from "../config.ts";
import { readAvailableMemory } from "../hardware/memory.ts";
import { readProcessMemory } from "../hardware/process-memory.ts";
import type { Logger } from "../lib/log.ts";
import { readThrough } from "../lib/read-through.ts";
import type { ModelEntry } from "../models/entry.ts";
import type { ModelRegistry } from "../models/registry.ts";
import { estimateNeedBytes } from "../models/rough-need.ts";
import { toAppError } from "../protocol/errors.ts";
import { automaticContextLength } from "../protocol/model-info.ts";
import type { MemoryEffects } from "../router/memory-effects.ts";
import type { Planner } from "../router/planner.ts";
import type { Router } from "../router/router.ts";

export interface MemoryParts {
  config: ServeConfig;
  planner: Pick<Planner, "planLoad" | "pools">;
}

export function openMemory({ config, planner }: MemoryParts): MemoryEffects {
  return {
    pools: () => planner.pools().map(({ name }) => name),
    needOf: async (entry) => (await planner.planLoad(entry))?.poolBytes ?? [estimateEntry(config, entry)],
    budgets: () => planner.pools().map(({ budgetBytes }) => budgetBytes),
    async readAhead(entry, signal) {
      const available = readAvailableMemory();
      // More would drive out the files of engines that are at work.
      if (available !== null) await readThrough(filesOf(entry), available / 2, signal);
    },
    readFree: () => ({ hostBytes: readAvailableMemory(), devices: [] }),
    readProcess: (pid) => readProcessMemory(pid),
  };
}

function estimateEntry(config: ServeConfig, entry: ModelEntry): number {
  const { ctx } = applyModelSettings(config, entry.settings.engine);
  const contextLength = ctx === 0 ? automaticContextLength(entry.trainedContextLength ?? 0) : ctx;
  const path = entry.conversion === null ? entry.path : entry.conversion.file;
  // Nothing is there yet to look into; the conversion makes no more than that of it.
  if (path === null) return entry.sizeBytes;
  return estimateNeedBytes({ path, sizeBytes: entry.sizeBytes }, contextLength);
}

function filesOf(entry: ModelEntry): readonly string[] {
  if (entry.conversion === null) return entry.files;
  return entry.conversion.file === null ? [] : [entry.conversion.file];
}

/** One after the other, so that the first ones are there soon. */
export async function preload(
  router: Router,
  registry: ModelRegistry,
  names: readonly string[],
  log: Logger,
): Promise<void> {
  const described = registry.list().filter(({ settings }) => settings.preload === true);
  for (const name of new Set([...names, ...described.map(({ id }) => id)])) {
    try {
      await router.load(name, new AbortController().signal);
    } catch (thrown) {
      log.error("a model can't be loaded at the start", { model: name, error: toAppError(thrown).message });
    }
  }
}
