// Readings → judgements: each threshold, each switch, and what is not known presses nobody.

import { describe, expect, test } from "bun:test";
import type { DeviceSnapshot, MachineSnapshot } from "../../../src/protocol/machine.ts";
import { type Cause, judgeMachine, type Pressure } from "../../../src/router/adaptation/pressure.ts";
import { type MachineChanges, makePressed } from "../../support/pressed-machines.ts";

const MIB = 1024 ** 2;
const GIB = 1024 * MIB;
const ALL = { thermalThrottling: true, powerManagement: true };
const ON_GPU = { devices: ["CUDA0"], ownPids: new Set([10]) };

const judge = (cause: Cause, changes: MachineChanges, exposure = ON_GPU, policy = ALL) => {
  const found = judgeMachine(makePressed(changes), exposure, policy).find((one) => one.cause === cause);
  if (found === undefined) throw new Error(`no judgement of ${cause}`);
  return found;
};

test("of a machine with nothing wrong every cause is calm", () => {
  const judgements = judgeMachine(makePressed({ devices: [{}] }), ON_GPU, ALL);
  expect(judgements.map(({ cause, pressure }) => [cause, pressure])).toEqual([
    ["memory", "calm"],
    ["device-memory", "calm"],
    ["heat", "calm"],
    ["battery", "calm"],
  ]);
});

describe("memory", () => {
  test.each([
    [16 * GIB, 3.3 * GIB, "calm"],
    [16 * GIB, 3 * GIB, "hold"],
    [16 * GIB, 1.5 * GIB, "high"],
    [16 * GIB, 0.6 * GIB, "critical"],
    [1 * GIB, 0.25 * GIB, "calm"],
    [1 * GIB, 0.03 * GIB, "critical"],
    // A tenth of a large machine is plenty.
    [1024 * GIB, 20 * GIB, "calm"],
    [1024 * GIB, 1 * GIB, "high"],
    [16 * GIB, null, "calm"],
    [null, 1, "calm"],
    [0, 0, "calm"],
  ] as [number | null, number | null, Pressure][])(
    "of %p bytes %p can be had: %s",
    (totalBytes, availableBytes, pressure) => {
      expect(judge("memory", { memory: { totalBytes, availableBytes } }).pressure).toBe(pressure);
    },
  );

  test.each([
    ["warning", "high"],
    ["critical", "critical"],
    ["normal", "calm"],
    [null, "calm"],
  ] as [MachineSnapshot["memory"]["pressure"], Pressure][])("the system's own word %p is %s", (pressure, expected) => {
    expect(judge("memory", { memory: { pressure } }).pressure).toBe(expected);
  });

  test("the harder of the two counts, and gives the reason", () => {
    const memory = { pressure: "warning", availableBytes: 100 * MIB, limitedBy: "/sys/fs/cgroup/box" } as const;
    expect(judge("memory", { memory })).toEqual({
      cause: "memory",
      pressure: "critical",
      reason: "100 MiB of 16.0 GiB memory of /sys/fs/cgroup/box can be had",
    });
    const told = judge("memory", { memory: { pressure: "critical", availableBytes: 3 * GIB } });
    expect(told).toMatchObject({ pressure: "critical", reason: "the system calls its memory pressure critical" });
  });
});

describe("memory of a device", () => {
  const others = (usedBytes: number | null) => [
    { pid: 10, usedBytes: 4 * GIB },
    { pid: 99, usedBytes },
  ];

  test.each([
    [2 * GIB, "calm"],
    [900 * MIB, "hold"],
    [400 * MIB, "high"],
    [100 * MIB, "critical"],
    [null, "calm"],
  ] as [number | null, Pressure][])("of which others left %p bytes: %s", (freeBytes, pressure) => {
    expect(judge("device-memory", { devices: [{ freeBytes, processes: others(12 * GIB) }] }).pressure).toBe(pressure);
  });

  test("what we fill ourselves is as it was planned", () => {
    const full = { freeBytes: 100 * MIB };
    const ours = [{ pid: 10, usedBytes: 23 * GIB }];
    expect(judge("device-memory", { devices: [{ ...full, processes: ours }] }).pressure).toBe("calm");
    expect(judge("device-memory", { devices: [{ ...full, processes: others(0.5 * GIB) }] }).pressure).toBe("calm");
    // Who has what is not known: then what is free counts alone.
    expect(judge("device-memory", { devices: [{ ...full, processes: null }] }).pressure).toBe("critical");
    expect(judge("device-memory", { devices: [{ ...full, processes: others(null) }] }).pressure).toBe("critical");
  });

  test("says who has it", () => {
    const { reason } = judge("device-memory", { devices: [{ freeBytes: 100 * MIB, processes: others(12 * GIB) }] });
    expect(reason).toBe("100 MiB of 24.0 GiB of Test GPU are free, and other processes have 12.0 GiB");
  });

  test.each([
    [["CPU"], "cuda", "calm"],
    [["CUDA0"], "cuda", "critical"],
    [["CUDA0"], "vulkan", "calm"],
    [["Vulkan1"], "vulkan", "critical"],
    [["ROCm0"], "rocm", "critical"],
    [["MTL0"], "metal", "critical"],
    [["Metal"], "metal", "critical"],
    [["CPU"], "other", "calm"],
  ] as [string[], DeviceSnapshot["kind"], Pressure][])(
    "an engine on %j and a %s device: %s",
    (devices, kind, pressure) => {
      const changes = { devices: [{ kind, freeBytes: 0, processes: null }] };
      expect(judge("device-memory", changes, { ...ON_GPU, devices }).pressure).toBe(pressure);
    },
  );

  test("the worst of several counts, and unified memory is judged once", () => {
    const devices = [{ processes: null }, { processes: null, freeBytes: 0 }, { processes: null, freeBytes: 900 * MIB }];
    expect(judge("device-memory", { devices }).pressure).toBe("critical");
    expect(judge("device-memory", { devices, memory: { unified: true } }).pressure).toBe("calm");
  });
});

describe("heat and power", () => {
  const heat = (changes: MachineChanges, policy = ALL) => judge("heat", changes, ON_GPU, policy).pressure;

  test("a device that is hot presses, one at its power cap does not", () => {
    expect(heat({ devices: [{ throttleReasons: ["hardware thermal slowdown"] }] })).toBe("high");
    expect(heat({ devices: [{ throttleReasons: ["power cap"] }] })).toBe("calm");
    expect(heat({ devices: [{ throttleReasons: null }] })).toBe("calm");
    const hot = { throttleReasons: ["thermal"], temperatureCelsius: 92.4 };
    expect(judge("heat", { devices: [hot] }).reason).toBe("Test GPU runs slower because it is hot (92 °C)");
  });

  test.each([
    ["nominal", "calm"],
    ["fair", "hold"],
    ["serious", "high"],
    ["critical", "critical"],
    [null, "calm"],
  ] as const)("the thermal state %p is %s", (thermalState, pressure) => {
    expect(heat({ power: { thermalState } })).toBe(pressure);
  });

  test("the battery presses, mains and the unknown do not", () => {
    const battery = (source: MachineSnapshot["power"]["source"]) => judge("battery", { power: { source } }).pressure;
    expect([battery("battery"), battery("mains"), battery(null)]).toEqual(["high", "calm", "calm"]);
  });

  test("what is switched off does not count", () => {
    const power = { source: "battery", thermalState: "critical" } as const;
    expect(heat({ power }, { ...ALL, thermalThrottling: false })).toBe("calm");
    const policy = { ...ALL, powerManagement: false };
    expect(judge("battery", { power }, ON_GPU, policy).pressure).toBe("calm");
    expect(heat({ power }, policy)).toBe("critical");
  });
});
