// What models may take of a machine: shares, what is free, pressure, and each value that could not be read.

import { describe, expect, test } from "bun:test";
import type { DeviceSnapshot, MachineSnapshot } from "../../../src/protocol/machine.ts";
import type { DeviceRates, MachineRates } from "../../../src/protocol/machine-rates.ts";
import { noParts } from "../../../src/protocol/memory-need.ts";
import { DEFAULT_BUDGET_POLICY, describeBudget } from "../../../src/router/placement/budget.ts";
import { makeDevice, makeMachine } from "../../support/machines.ts";
import { makeRandom } from "../../support/random.ts";
import { GIB, makeResident } from "../../support/random-plans.ts";

const rate = (name: string, kind: DeviceRates["kind"], totalBytes: number | null = 24 * GIB): DeviceRates => ({
  name,
  kind,
  totalBytes,
  rates: [{ type: "q4_K", bytesPerSecond: 1e9, flopsPerSecond: 1e10 }],
});
const rates = (...devices: DeviceRates[]): MachineRates => ({
  devices: [rate("CPU", "cpu"), ...devices],
  diskBytesPerSecond: 1e9,
});
const memory = (changes: Partial<MachineSnapshot["memory"]>) =>
  makeMachine({ memory: { ...makeMachine().memory, ...changes } });
const policy = (changes: Partial<typeof DEFAULT_BUDGET_POLICY>) => ({ ...DEFAULT_BUDGET_POLICY, ...changes });

describe("main memory", () => {
  const budget = (...args: Parameters<typeof describeBudget>) => describeBudget(...args).machine.host;

  test("a share of what there is, or what is free but for the base", () => {
    expect(budget(memory({ totalBytes: 100, availableBytes: 100 }), DEFAULT_BUDGET_POLICY).budgetBytes).toBe(75);
    expect(budget(memory({ totalBytes: 100, availableBytes: 50 }), DEFAULT_BUDGET_POLICY).budgetBytes).toBe(40);
    const own = policy({ memoryShare: 0.5, baseShare: 0.2 });
    expect(budget(memory({ totalBytes: 100, availableBytes: 100 }), own).budgetBytes).toBe(50);
    expect(budget(memory({ totalBytes: 100, availableBytes: 50 }), own).budgetBytes).toBe(30);
  });

  test("on a machine that is nearly full half of what is free; less of it under pressure; or nothing, if so set", () => {
    const full = (changes: Partial<MachineSnapshot["memory"]> = {}) =>
      memory({ totalBytes: 1000, availableBytes: 50, ...changes });
    expect(budget(full(), DEFAULT_BUDGET_POLICY)).toMatchObject({
      budgetBytes: 25,
      reason: "50 B are free, and 50 % of that, since it is little of 1.0 kB, stay free",
    });
    expect(budget(full({ pressure: "critical" }), DEFAULT_BUDGET_POLICY).budgetBytes).toBe(15);
    expect(budget(full(), policy({ freeShare: 0 })).budgetBytes).toBe(0);
    expect(budget(full({ availableBytes: 0 }), DEFAULT_BUDGET_POLICY).budgetBytes).toBe(0);
  });

  test("more that is free, and a smaller base, never leave less; and never more than is free", () => {
    for (let seed = 0; seed < 2000; seed++) {
      const random = makeRandom(seed);
      const totalBytes = 1000 + random(1_000_000);
      const availableBytes = random(totalBytes);
      const share = () => random(101) / 100;
      const pressure = (["normal", "warning", "critical"] as const)[random(3)] ?? "normal";
      const own = policy({ baseShare: share(), freeShare: share(), automatic: random(4) > 0 });
      const of = (available: number, base = own.baseShare) =>
        budget(memory({ totalBytes, availableBytes: available, pressure }), { ...own, baseShare: base }).budgetBytes ??
        Number.NaN;
      const bytes = of(availableBytes);
      expect([seed, bytes >= 0 && bytes <= availableBytes]).toEqual([seed, true]);
      expect([seed, of(availableBytes + random(totalBytes - availableBytes)) >= bytes]).toEqual([seed, true]);
      expect([seed, of(availableBytes, own.baseShare / 2) >= bytes]).toEqual([seed, true]);
    }
  });

  test("shared with a device: sixty of a hundred", () => {
    const shared = memory({ totalBytes: 100, availableBytes: 100, unified: true });
    const { machine } = describeBudget(shared, DEFAULT_BUDGET_POLICY, [], rates(rate("Metal", "gpu", 70)));
    expect(machine.host).toMatchObject({ name: "unified memory", budgetBytes: 60 });
    expect(machine).toMatchObject({ unified: true, devices: [{ name: "Metal", budgetBytes: 60 }] });
  });

  test("what models hold already counts as theirs, mapped pages as free", () => {
    const need = { host: { ...noParts(), kvBytes: 30, mappedBytes: 20 }, devices: [] };
    const residents = [makeResident("a", 0, { need })];
    expect(budget(memory({ totalBytes: 100, availableBytes: 20 }), DEFAULT_BUDGET_POLICY, residents).budgetBytes).toBe(
      40,
    );
  });

  test("a budget that was set is the budget", () => {
    const host = budget(memory({ totalBytes: 100, availableBytes: 1 }), policy({ memoryBudgetBytes: 90 }));
    expect(host).toMatchObject({ budgetBytes: 90, reason: "as --memory-budget says" });
  });

  test("not read: nothing is held against a model, and the reason says so", () => {
    const host = budget(memory({ totalBytes: null, availableBytes: null }), DEFAULT_BUDGET_POLICY);
    expect(host.budgetBytes).toBeNull();
    expect(host.reason).toContain("could not be read");
    expect(budget(memory({ totalBytes: 100, availableBytes: null }), DEFAULT_BUDGET_POLICY).budgetBytes).toBe(75);
  });

  test("the limit of a container is named", () => {
    const limited = memory({ totalBytes: 100, availableBytes: 100, limitedBy: "/sys/fs/cgroup/app" });
    expect(budget(limited, DEFAULT_BUDGET_POLICY).reason).toBe("75 % of 100 B of /sys/fs/cgroup/app");
  });

  test("pressure lowers it, and that is told; without automatic choices it does not", () => {
    const pressed = memory({ totalBytes: 100, availableBytes: 100, pressure: "critical" });
    const { machine, restraints } = describeBudget(pressed, DEFAULT_BUDGET_POLICY);
    expect(machine.host.budgetBytes).toBe(45);
    expect(restraints).toEqual([
      { what: "memory", from: 75, to: 45, reason: "the system reports memory pressure: critical" },
    ]);
    expect(describeBudget(pressed, policy({ automatic: false })).restraints).toEqual([]);
  });
});

describe("devices", () => {
  const device = (changes: Partial<DeviceSnapshot> = {}) => makeDevice({ totalBytes: 100, freeBytes: 100, ...changes });
  const limit = (
    devices: DeviceSnapshot[],
    residents = [] as Parameters<typeof describeBudget>[2],
    ...rated: DeviceRates[]
  ) => describeBudget(makeMachine({ devices }), DEFAULT_BUDGET_POLICY, residents, rates(...rated)).machine.devices;

  test("what is free but for a share that stays free", () => {
    expect(limit([device()], [], rate("CUDA0", "gpu"))).toMatchObject([{ name: "CUDA0", budgetBytes: 90 }]);
    expect(limit([device({ freeBytes: 40 })], [], rate("CUDA0", "gpu"))).toMatchObject([{ budgetBytes: 30 }]);
    expect(limit([device({ freeBytes: 4 })], [], rate("CUDA0", "gpu"))).toMatchObject([{ budgetBytes: 0 }]);
  });

  test("what models hold there counts as theirs", () => {
    const need = { host: noParts(), devices: [{ ...noParts(), weightsBytes: 50 }] };
    const residents = [makeResident("a", 0, { need })];
    expect(limit([device({ freeBytes: 40 })], residents, rate("CUDA0", "gpu"))).toMatchObject([{ budgetBytes: 80 }]);
  });

  test("the probe's devices are matched by kind and number; what only the probe sees is not planned with", () => {
    const found = [device({ freeBytes: 50 }), device({ kind: "other" }), device({ freeBytes: 70 })];
    const rated = [rate("CUDA0", "gpu"), rate("CUDA1", "gpu")];
    expect(limit(found, [], ...rated)).toMatchObject([{ budgetBytes: 40 }, { budgetBytes: 60 }]);
    expect(limit(found)).toEqual([]);
  });

  test("without the probe a share of what ggml tells; of what nobody tells anything", () => {
    expect(limit([], [], rate("Vulkan0", "gpu", 100))).toMatchObject([{ budgetBytes: 90 }]);
    expect(limit([], [], rate("Vulkan0", "gpu", null))).toMatchObject([{ budgetBytes: null }]);
  });

  test("Metal's advice is the most", () => {
    const shared = makeMachine({
      memory: { ...makeMachine().memory, totalBytes: 100, availableBytes: 100, unified: true },
      devices: [device({ kind: "metal", recommendedWorkingSetBytes: 40 })],
    });
    const { machine } = describeBudget(shared, DEFAULT_BUDGET_POLICY, [], rates(rate("MTL0", "gpu", 100)));
    expect(machine.devices).toMatchObject([{ budgetBytes: 40, reason: "what the system advises for the device" }]);
  });
});

describe("threads", () => {
  const threads = (power: MachineSnapshot["power"], changes = {}) =>
    describeBudget(makeMachine({ power }), policy(changes));

  test("all that this process may use, half of them on battery or in heat, where the settings allow it", () => {
    expect(threads({ source: "mains", thermalState: "nominal" }).machine.cores).toBe(8);
    const battery = { source: "battery", thermalState: null } as const;
    expect(threads(battery)).toMatchObject({
      machine: { cores: 4 },
      restraints: [{ what: "threads", from: 8, to: 4 }],
    });
    expect(threads(battery, { powerManagement: false }).machine.cores).toBe(8);
    const hot = { source: "mains", thermalState: "serious" } as const;
    expect(threads(hot).restraints).toMatchObject([{ reason: "the machine reports heat: serious" }]);
    expect(threads(hot, { thermalThrottling: false }).restraints).toEqual([]);
  });
});
