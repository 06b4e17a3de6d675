// The machine as model files see it, and what is noted of their words about it.

import type { CpuSnapshot, DeviceSnapshot, MemorySnapshot } from "../../protocol/machine.ts";

/** As a snapshot of the machine has them. */
export interface MachineFacts {
  memory: Pick<MemorySnapshot, "totalBytes" | "unified">;
  cpu: { usableCores: CpuSnapshot["usableCores"] | null };
  /** Null: nobody has looked. */
  devices: readonly Pick<DeviceSnapshot, "totalBytes">[] | null;
}

export const UNKNOWN_MACHINE: MachineFacts = {
  memory: { totalBytes: null, unified: false },
  cpu: { usableCores: null },
  devices: null,
};

/**
 * `met`, `unmet` (the model is refused), `below` (less than is recommended), `unknown`; of hints and tiers `used` or `unused`.
 */
export type HardwareOutcome = "met" | "unmet" | "below" | "unknown" | "used" | "unused";

export interface HardwareNote {
  /** Such as `requirements.memory_gb`. */
  key: string;
  outcome: HardwareOutcome;
  /** In words. */
  reason: string;
}

/** Memory sizes of model files are in GB of 10⁹ bytes: what a machine sold with 16 GB has of them after its firmware's share. */
export const GB = 1e9;

/** For people. */
export function gigabytes(bytes: number): string {
  return `${Number((bytes / GB).toFixed(1))} GB`;
}
