// Macs, from readings as the probe gives them. They were written from Apple's documentation: none was recorded on a Mac.

import { describe, expect, test } from "bun:test";
import { describeMac } from "../../src/hardware/macos.ts";
import type { ProbeReading } from "../../src/hardware/probe.ts";
import { createExplain } from "../../src/hardware/reader.ts";
import { takeSnapshot } from "../../src/hardware/snapshot.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { recordedSystem } from "../support/recorded-system.ts";

const GIB = 1024 ** 3;

const LAPTOP = {
  platform: "darwin",
  sysctl: {
    "machdep.cpu.brand_string": "Apple M3 Pro",
    "hw.model": "Mac15,6",
    "hw.memsize": 36 * GIB,
    "hw.physicalcpu": 12,
    "hw.logicalcpu": 12,
    "hw.nperflevels": 2,
    "hw.perflevel0.physicalcpu": 6,
    "hw.perflevel1.physicalcpu": 6,
    "kern.memorystatus_vm_pressure_level": 1,
    "hw.optional.neon": 1,
    "hw.optional.arm.FEAT_DotProd": 1,
    "hw.optional.arm.FEAT_I8MM": 1,
    "hw.optional.arm.FEAT_BF16": 1,
    "hw.optional.arm.FEAT_SME": 0,
    "hw.optional.avx2_0": { error: 2 },
  },
  vm: { pageBytes: 16_384, free: 100_000, external: 400_000, purgeable: 10_000 },
  swap: { totalBytes: 2 * GIB, freeBytes: GIB },
  gpus: [
    {
      name: "Apple M3 Pro",
      unified: true,
      recommendedWorkingSetBytes: 27 * GIB,
      cores: 18,
      utilizationPercent: 7,
      usedBytes: GIB,
    },
  ],
  neuralEngine: true,
  powerSource: "Battery Power",
  thermalState: 1,
};

function describeReading(raw: object | ProbeReading) {
  const unknown: Record<string, string> = {};
  const reading: ProbeReading = "kind" in raw ? (raw as ProbeReading) : { kind: "answer", raw: raw as never };
  return { mac: describeMac(reading, 4, createExplain(unknown)), unknown };
}

describe("a Mac", () => {
  test("of Apple's own processor", () => {
    const { mac, unknown } = describeReading(LAPTOP);
    expect(mac).toMatchObject({
      cpu: {
        model: "Apple M3 Pro",
        usableCores: 12,
        physicalCores: 12,
        performanceCores: 6,
        efficiencyCores: 6,
        simd: ["asimddp", "bf16", "i8mm", "neon"],
        numaNodes: null,
      },
      memory: {
        totalBytes: 36 * GIB,
        availableBytes: 510_000 * 16_384,
        swapTotalBytes: 2 * GIB,
        swapFreeBytes: GIB,
        unified: true,
        pressure: "normal",
        limitedBy: null,
      },
      devices: [
        {
          id: "metal:0",
          kind: "metal",
          name: "Apple M3 Pro",
          totalBytes: 36 * GIB,
          usedBytes: GIB,
          freeBytes: 35 * GIB,
          recommendedWorkingSetBytes: 27 * GIB,
          cores: 18,
          utilization: { compute: 0.07, memory: null },
        },
      ],
      driver: null,
      power: { source: "battery", thermalState: "fair" },
      neuralEngine: true,
      faults: [],
    });
    for (const path of ["driver", "devices.0.temperatureCelsius", "devices.0.processes", "cpu.numaNodes"]) {
      expect(unknown[path]).toBeString();
    }
  });

  test("of Intel's, with a GPU of its own memory", () => {
    const { mac, unknown } = describeReading({
      ...LAPTOP,
      sysctl: {
        "machdep.cpu.brand_string": "Intel(R) Core(TM) i7",
        "hw.memsize": 16 * GIB,
        "hw.logicalcpu": 12,
        "hw.physicalcpu": 6,
        "hw.nperflevels": 1,
        "hw.optional.avx2_0": 1,
        "hw.optional.fma": 1,
      },
      gpus: [{ name: "AMD Radeon Pro", unified: false, recommendedWorkingSetBytes: 4 * GIB }],
      neuralEngine: false,
      powerSource: "AC Power",
      thermalState: 0,
    });
    expect(mac.cpu).toMatchObject({ usableCores: 12, physicalCores: 6, performanceCores: null, simd: ["avx2", "fma"] });
    expect(unknown["cpu.performanceCores"]).toBe("all cores are of one kind");
    expect(mac.memory).toMatchObject({ unified: false, pressure: null });
    expect(mac.devices[0]).toMatchObject({ totalBytes: null, recommendedWorkingSetBytes: 4 * GIB, cores: null });
    expect(unknown["devices.0.totalBytes"]).toBe("Metal does not tell its memory");
    expect(mac).toMatchObject({ neuralEngine: false, power: { source: "mains", thermalState: "nominal" } });
  });

  test.each([
    [1, "normal"],
    [2, "warning"],
    [4, "critical"],
    [3, null],
    [{ error: 1 }, null],
  ])("pressure level %p is %p", (level, pressure) => {
    const sysctl = { ...LAPTOP.sysctl, "kern.memorystatus_vm_pressure_level": level };
    expect(describeReading({ ...LAPTOP, sysctl }).mac.memory.pressure).toBe(pressure as never);
  });

  test.each([
    ["AC Power", 2, "mains", "serious"],
    ["UPS Power", 3, "battery", "critical"],
    ["Moonlight", 9, null, null],
    [{ missing: true }, { missing: true }, null, null],
  ] as const)("power %p and thermal state %p", (powerSource, thermalState, source, state) => {
    const { mac, unknown } = describeReading({ ...LAPTOP, powerSource, thermalState });
    expect(mac.power).toEqual({ source, thermalState: state });
    expect("power.source" in unknown).toBe(source === null);
  });

  test("that answers nonsense has reasons in its place", () => {
    const { mac, unknown } = describeReading({
      platform: "darwin",
      sysctl: { "hw.memsize": -5, "hw.logicalcpu": 9e9, "machdep.cpu.brand_string": 7 },
      vm: { pageBytes: 16_384, free: "many" },
      swap: [],
      gpus: [null, { name: 7, unified: true, recommendedWorkingSetBytes: 2 ** 60, cores: -1, utilizationPercent: 900 }],
    });
    expect(mac.cpu).toMatchObject({ model: null, usableCores: 4 });
    expect(mac.memory).toMatchObject({ totalBytes: null, availableBytes: null, swapTotalBytes: null });
    expect(mac.devices).toMatchObject([
      {
        name: "GPU 0",
        totalBytes: null,
        recommendedWorkingSetBytes: null,
        cores: null,
        utilization: { compute: null },
      },
    ]);
    for (const path of ["memory.totalBytes", "devices.0.cores", "devices.0.recommendedWorkingSetBytes"]) {
      expect(unknown[path]).toContain("can't be");
    }
    expect(mac.neuralEngine).toBeNull();
  });

  test("without the probe has the runtime's count of processors, and the reason everywhere else", () => {
    const { mac, unknown } = describeReading({ kind: "absent", reason: "the probe can't be loaded: it is not there" });
    expect(mac.cpu.usableCores).toBe(4);
    expect(mac.devices).toEqual([]);
    for (const path of ["cpu.model", "memory.totalBytes", "devices", "power.source", "neuralEngine"]) {
      expect(unknown[path]).toBe("the probe can't be loaded: it is not there");
    }
  });

  test("is asked nothing of what Linux has", async () => {
    const asked: string[] = [];
    const text = (path: string) => {
      asked.push(path);
      return null;
    };
    const snapshot = await takeSnapshot({
      system: { ...recordedSystem({}), text },
      probe: { read: async () => ({ kind: "answer", raw: LAPTOP }) },
      diskPath: "/Users/me",
      readDisk: async () => ({ totalBytes: 2, freeBytes: 1 }),
      clock: new FakeClock(),
      platform: "darwin",
      arch: "arm64",
      cores: 4,
    });
    expect(snapshot).toMatchObject({ platform: "darwin", memory: { unified: true }, disk: { freeBytes: 1 } });
    expect(asked).toEqual([]);
  });
});
