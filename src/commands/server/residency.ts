// What the router needs to decide who is in memory, put together: needs, budget, files read
// ahead, what an end gave back. How it is decided is router/.

import { readAvailableMemory } from "../../hardware/memory.ts";
import { readProcessMemory } from "../../hardware/process-memory.ts";
import { readThrough } from "../../lib/read-through.ts";
import type { ModelEntry } from "../../models/entry.ts";
import { listBackends } from "../../protocol/backends.ts";
import type { MachineSource } from "../../protocol/machine.ts";
import type { PluginChoices } from "../../router/backends/plugin-choices.ts";
import type { Planner } from "../../router/placement/planner.ts";
import type { MemoryEffects } from "../../router/residency/memory-effects.ts";

/** Of an engine of which nothing is known but its files. */
const ENGINE_BYTES = 256 * 1024 ** 2;

export interface MemorySources {
  planner: Pick<Planner, "planLoad" | "embeddingOf" | "pools" | "byPool" | "learnedOf">;
  hardware: { sources: { machine: MachineSource } };
  native: { choices: Pick<PluginChoices, "of"> };
}

/** An older look would be of before what is asked about. */
const FREE_AGE_MS_MAX = 0;

export function openMemory({ planner, hardware, native }: MemorySources): MemoryEffects {
  const { machine } = hardware.sources;
  return {
    embeddingOf: (entry) => planner.embeddingOf(entry),
    byPool: (need) => planner.byPool(need),
    learnedOf: (id) => planner.learnedOf(id),
    pools: () => planner.pools().map(({ name }) => name),
    async needOf(entry) {
      // One that nothing can compute needs nobody's room. The server's own back end was tried at its start.
      const { backend } = entry.settings.engine;
      if (backend !== undefined) await native.choices.of(listBackends(backend));
      // What can't be planned can't be counted on either; the load will tell who waits for it.
      return (await planner.planLoad(entry))?.poolBytes ?? [entry.sizeBytes + ENGINE_BYTES];
    },
    budgets: () => planner.pools().map(({ budgetBytes }) => budgetBytes),
    async readAhead(entry, signal) {
      const available = readAvailableMemory();
      // More would drive out the files of engines that are at work.
      if (available !== null) await readThrough(filesOf(entry), available / 2, signal);
    },
    async readFree(pid) {
      // Who waits for the memory need not wait for drivers that know of no device.
      const hostBytes = machine.latest()?.devices.length === 0 ? readAvailableMemory() : null;
      if (hostBytes !== null) return { hostBytes, devices: [] };
      const { memory, devices } = await machine.read(FREE_AGE_MS_MAX);
      return {
        hostBytes: memory.availableBytes,
        devices: devices.map(({ id, freeBytes, processes }) => {
          // One that is not listed may have another number there: drivers count outside of containers.
          const ownBytes = processes?.find((process) => process.pid === pid)?.usedBytes ?? null;
          return { id, freeBytes, ownBytes };
        }),
      };
    },
    readProcess: (pid) => readProcessMemory(pid),
  };
}

function filesOf(entry: ModelEntry): readonly string[] {
  if (entry.conversion === null) return entry.files;
  return entry.conversion.file === null ? [] : [entry.conversion.file];
}
