// Snapshots of machines that no test has to have.

import type { DeviceSnapshot, MachineSnapshot, MachineSource } from "../../src/protocol/machine.ts";
import type { BackendDeviceList, BackendDeviceSource } from "../../src/router/backend-devices.ts";

const GIB = 1024 ** 3;

export function makeMachine(changes: Partial<MachineSnapshot> = {}): MachineSnapshot {
  return {
    takenAt: 1_700_000_000_000,
    platform: "linux",
    arch: "x64",
    cpu: {
      model: "Test CPU",
      usableCores: 8,
      physicalCores: 4,
      performanceCores: null,
      efficiencyCores: null,
      simd: ["avx2"],
      numaNodes: 1,
    },
    memory: {
      totalBytes: 32 * GIB,
      availableBytes: 24 * GIB,
      swapTotalBytes: 4 * GIB,
      swapFreeBytes: 4 * GIB,
      limitedBy: null,
      unified: false,
      pressure: "normal",
    },
    disk: { path: "/models", totalBytes: 500 * GIB, freeBytes: 100 * GIB },
    devices: [],
    driver: null,
    power: { source: "mains", thermalState: "nominal" },
    neuralEngine: null,
    faults: [],
    unknown: {},
    ...changes,
  };
}

export function makeDevice(changes: Partial<DeviceSnapshot> = {}): DeviceSnapshot {
  return {
    id: "cuda:GPU-0",
    kind: "cuda",
    name: "Test 9000",
    totalBytes: 24 * GIB,
    usedBytes: GIB,
    freeBytes: 23 * GIB,
    processes: [],
    utilization: { compute: null, memory: null },
    temperatureCelsius: 54,
    powerWatts: 60,
    powerLimitWatts: 450,
    clocksMhz: { core: 2500, memory: 10_500 },
    throttleReasons: [],
    pcie: { generation: 4, width: 16 },
    computeCapability: "8.9",
    migParent: null,
    recommendedWorkingSetBytes: null,
    cores: 16_384,
    ...changes,
  };
}

/** Gives what it is told to. */
export class FakeMachine implements MachineSource {
  now = makeMachine();
  reads = 0;

  latest(): MachineSnapshot {
    return this.now;
  }

  async read(): Promise<MachineSnapshot> {
    this.reads += 1;
    return this.now;
  }
}

export class FakeBackendDevices implements BackendDeviceSource {
  now: BackendDeviceList = {
    devices: [{ name: "CPU", description: "Test CPU", kind: "cpu", memoryBytes: 32 * GIB }],
    reason: null,
  };

  async list(): Promise<BackendDeviceList> {
    return this.now;
  }
}
