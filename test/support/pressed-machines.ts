// A machine's readings as tests like to have them: nothing wrong, and what the test changes.

import type { DeviceSnapshot, MachineSnapshot } from "../../src/protocol/machine.ts";

const GIB = 1024 ** 3;

export interface MachineChanges {
  memory?: Partial<MachineSnapshot["memory"]>;
  power?: Partial<MachineSnapshot["power"]>;
  devices?: Partial<DeviceSnapshot>[];
}

/** 16 GiB of memory, of which 8 can be had; no device unless one is named. */
export function makeMachine({ memory = {}, power = {}, devices = [] }: MachineChanges = {}): MachineSnapshot {
  return {
    takenAt: 0,
    platform: "linux",
    arch: "x64",
    cpu: {
      model: null,
      usableCores: 4,
      physicalCores: null,
      performanceCores: null,
      efficiencyCores: null,
      simd: [],
      numaNodes: null,
    },
    memory: {
      totalBytes: 16 * GIB,
      availableBytes: 8 * GIB,
      swapTotalBytes: 0,
      swapFreeBytes: 0,
      limitedBy: null,
      unified: false,
      pressure: "normal",
      ...memory,
    },
    disk: { path: "/models", totalBytes: null, freeBytes: null },
    devices: devices.map(makeDevice),
    driver: null,
    power: { source: "mains", thermalState: "nominal", ...power },
    unknown: {},
  };
}

/** 24 GiB, half of them free. */
function makeDevice(changes: Partial<DeviceSnapshot>): DeviceSnapshot {
  return {
    id: "cuda:0",
    kind: "cuda",
    name: "Test GPU",
    totalBytes: 24 * GIB,
    usedBytes: 12 * GIB,
    freeBytes: 12 * GIB,
    processes: [],
    utilization: { compute: null, memory: null },
    temperatureCelsius: null,
    powerWatts: null,
    powerLimitWatts: null,
    clocksMhz: { core: null, memory: null },
    throttleReasons: [],
    pcie: null,
    computeCapability: null,
    migParent: null,
    recommendedWorkingSetBytes: null,
    cores: null,
    ...changes,
  };
}
