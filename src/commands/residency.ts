// What the router needs to decide who is in memory, put together: needs, budget, files read ahead; and the models that are
// loaded at the start. How it is decided is router/.

import type { ServeConfig } from "../config.ts";
import { readAvailableMemory } from "../hardware/memory.ts";
import { readProcessMemory } from "../hardware/process-memory.ts";
import type { Logger } from "../lib/log.ts";
import { readThrough } from "../lib/read-through.ts";
import type { ModelEntry } from "../models/entry.ts";
import type { ModelRegistry } from "../models/registry.ts";
import { toAppError } from "../protocol/errors.ts";
import type { MeasuredNeed, MemoryParts } from "../protocol/memory-need.ts";
import type { EngineSettings } from "../protocol/messages.ts";
import type { MemoryEffects } from "../router/memory-effects.ts";
import type { Router } from "../router/router.ts";

/** Of what models could have: for the system, this server, and what estimates leave out. */
const SYSTEM_SHARE = 0.1;
/** What requests bring, which no load tells of: texts, grammars, samplers that look at all tokens. */
const REQUESTS_BYTES = 64 * 1024 ** 2;
/** Of an engine of which nothing is known but its files. */
const ENGINE_BYTES = 256 * 1024 ** 2;

export interface MemorySources {
  config: ServeConfig;
  log: Logger;
  /** What the model's engine would be started with. */
  describe: (entry: ModelEntry) => Promise<EngineSettings>;
  /** What a load takes, by llama.cpp itself. */
  measure: (settings: EngineSettings) => Promise<MeasuredNeed>;
}

export function openMemory({ config, log, describe, measure }: MemorySources): MemoryEffects {
  return {
    pools: ["host"],
    async needOf(entry) {
      const path = fileOf(entry);
      // Nothing is there yet to look into; the conversion makes no more than that of it.
      if (path === null) return [entry.sizeBytes];
      try {
        const { need } = await measure({ ...(await describe(entry)), modelPath: path });
        return [sumParts(need.host) + REQUESTS_BYTES, ...need.devices.map(sumParts)];
      } catch (thrown) {
        // What its header says is not to be counted on either; the load will tell who waits for it.
        log.debug("what a model takes is not known", { model: entry.id, error: toAppError(thrown).message });
        return [entry.sizeBytes + ENGINE_BYTES];
      }
    },
    budgetsOf: (pids) => [config.memoryBudgetBytes > 0 ? config.memoryBudgetBytes : measureBudget(pids)],
    async readAhead(entry, signal) {
      const available = readAvailableMemory();
      // More would drive out the files of engines that are at work.
      if (available !== null) await readThrough(filesOf(entry), available / 2, signal);
    },
    readFree: () => ({ hostBytes: readAvailableMemory(), devices: [] }),
    readProcess: (pid) => readProcessMemory(pid),
  };
}

function sumParts({ weightsBytes, mappedBytes, kvBytes, computeBytes, overheadBytes }: MemoryParts): number {
  return weightsBytes + mappedBytes + kvBytes + computeBytes + overheadBytes;
}

/** What nobody else uses: engines' own memory can be given to others, and that of their mapped files is available anyway. */
function measureBudget(pids: readonly number[]): number | null {
  const available = readAvailableMemory();
  if (available === null) return null;
  const own = pids.reduce((sum, pid) => sum + (readProcessMemory(pid)?.anonBytes ?? 0), 0);
  return Math.floor((available + own) * (1 - SYSTEM_SHARE));
}

/** The file that is loaded; null: it is not made yet. */
function fileOf({ conversion, path }: ModelEntry): string | null {
  return conversion === null ? path : conversion.file;
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
