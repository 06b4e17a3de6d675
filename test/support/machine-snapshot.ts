// A machine as the probe would tell it: a common server without devices, and one device, each with changes.

import type { DeviceSnapshot, MachineSnapshot } from "../../src/protocol/machine.ts";

export function makeSnapshot(changes: Partial<MachineSnapshot> = {}): MachineSnapshot {
  return {
    takenAt: 0,
    platform: "linux",
    arch: "x64",
    cpu: {
      model: "a processor",
      usableCores: 8,
      physicalCores: 8,
      performanceCores: null,
      efficiencyCores: null,
      simd: ["avx2"],
      numaNodes: 1,
    },
    memory: {
      totalBytes: 64 * 1024 ** 3,
      availableBytes: 60 * 1024 ** 3,
      swapTotalBytes: 0,
      swapFreeBytes: 0,
      limitedBy: null,
      unified: false,
      pressure: "normal",
    },
    disk: { path: "/", totalBytes: null, freeBytes: null },
    devices: [],
    driver: null,
    power: { source: "mains", thermalState: null },
    neuralEngine: null,
    faults: [],
    unknown: {},
    ...changes,
  };
}

export function makeDevice(changes: Partial<DeviceSnapshot> = {}): DeviceSnapshot {
  return {
    id: "cuda:0",
    kind: "cuda",
    name: "a device",
    totalBytes: null,
    usedBytes: null,
    freeBytes: null,
    processes: null,
    utilization: { compute: null, memory: null },
    temperatureCelsius: null,
    powerWatts: null,
    powerLimitWatts: null,
    clocksMhz: { core: null, memory: null },
    throttleReasons: null,
    pcie: null,
    computeCapability: null,
    migParent: null,
    recommendedWorkingSetBytes: null,
    cores: null,
    ...changes,
  };
}
