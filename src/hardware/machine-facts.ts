// The size of this machine as far as model files ask for it, out of a snapshot: there is one notion of the machine. Pure; what
// was not read is null, never a guess.

import type { MachineSnapshot } from "../protocol/machine.ts";

export interface MachineSize {
  memory: { totalBytes: number | null; unified: boolean };
  cpu: { usableCores: number | null };
  /** Null: not known. */
  devices: { totalBytes: number | null }[] | null;
}

/** Null: nobody has looked yet. */
export function describeSize(snapshot: MachineSnapshot | null): MachineSize {
  if (snapshot === null) {
    return { memory: { totalBytes: null, unified: false }, cpu: { usableCores: null }, devices: null };
  }
  const { memory, cpu, devices, faults, platform } = snapshot;
  // What is here and can't be asked has a size all the same, and a Mac without a GPU is one that could not be read.
  const isHidden = devices.length === 0 && (faults.length > 0 || platform === "darwin");
  return {
    memory: { totalBytes: memory.totalBytes, unified: memory.unified },
    cpu: { usableCores: cpu.usableCores },
    devices: isHidden ? null : devices.map(({ totalBytes }) => ({ totalBytes })),
  };
}
