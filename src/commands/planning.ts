// Puts the planner together: the machine as it is, its measured speed, models from the registry, and llama.cpp's own account.
// `serve`, `plan` and `recommend` all plan from here.

import { availableParallelism, totalmem } from "node:os";
import type { ServeConfig } from "../config.ts";
import { readAvailableMemory } from "../hardware/memory.ts";
import type { MachineSnapshot } from "../protocol/machine.ts";
import type { MachineRates } from "../protocol/machine-rates.ts";
import { recallRates } from "../router/machine-bench.ts";
import { type BudgetPolicy, DEFAULT_BUDGET_POLICY, describeBudget } from "../router/placement/budget.ts";
import { fileLimitBytes } from "../router/placement/file-fit.ts";

export function describePolicy(config: ServeConfig): BudgetPolicy {
  return {
    memoryShare: config.memoryShare === 0 ? null : config.memoryShare / 100,
    baseShare: config.baseShare / 100,
    deviceShare: config.deviceShare / 100,
    memoryBudgetBytes: config.memoryBudgetBytes === 0 ? null : config.memoryBudgetBytes,
    automatic: config.autoOptimization,
    thermalThrottling: config.thermalThrottling,
    powerManagement: config.powerManagement,
  };
}

/** The largest file of weights that fits now, beside what is loaded; null: not known. */
export function readFileLimit(cacheFolder: string, policy: BudgetPolicy = DEFAULT_BUDGET_POLICY): number | null {
  return limitFiles(readMachine(), policy, recallRates(cacheFolder));
}

export function limitFiles(snapshot: MachineSnapshot, policy: BudgetPolicy, rates: MachineRates | null): number | null {
  return fileLimitBytes(describeBudget(snapshot, policy, [], rates).machine);
}

/** What can be read of the machine without its drivers. */
export function readMachine(): MachineSnapshot {
  return {
    takenAt: Date.now(),
    platform: process.platform,
    arch: process.arch,
    cpu: {
      model: null,
      usableCores: availableParallelism(),
      physicalCores: null,
      performanceCores: null,
      efficiencyCores: null,
      simd: [],
      numaNodes: null,
    },
    memory: {
      totalBytes: totalmem(),
      availableBytes: readAvailableMemory(),
      swapTotalBytes: null,
      swapFreeBytes: null,
      limitedBy: null,
      unified: false,
      pressure: null,
    },
    disk: { path: "", totalBytes: null, freeBytes: null },
    devices: [],
    driver: null,
    power: { source: null, thermalState: null },
    unknown: {},
  };
}
