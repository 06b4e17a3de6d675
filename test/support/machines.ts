// Snapshots of machines that no test has to have.

import type { DeviceSnapshot, MachineSnapshot, MachineSource } from "../../src/protocol/machine.ts";
import type { AdaptationReport, AdaptationSource } from "../../src/router/adaptation/adaptation-watch.ts";
import type { BackendDeviceList, BackendDeviceSource } from "../../src/router/backends/backend-devices.ts";

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
  /** How old what was asked for might have been. */
  readonly ages: number[] = [];

  latest(): MachineSnapshot {
    return this.now;
  }

  async read(ageMsMax: number): Promise<MachineSnapshot> {
    this.reads += 1;
    this.ages.push(ageMsMax);
    return this.now;
  }
}

export class FakeAdaptation implements AdaptationSource {
  now: AdaptationReport = {
    policy: { autoOptimization: true, thermalThrottling: true, powerManagement: true, lowersExplicit: false },
    problem: null,
    engines: [],
  };

  describe(): AdaptationReport {
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

/** What `createApp` gets of a machine, where a test is about something else. */
export function fakeHardware(): {
  machine: FakeMachine;
  adaptation: FakeAdaptation;
  backendDevices: FakeBackendDevices;
} {
  return { machine: new FakeMachine(), adaptation: new FakeAdaptation(), backendDevices: new FakeBackendDevices() };
}
