// What `devices` prints of a machine.

import { expect, test } from "bun:test";
import { renderMachine } from "../../src/commands/text/devices-text.ts";
import { makeDevice, makeMachine } from "../support/machines.ts";

test("a machine without a GPU, of which little is known", () => {
  const machine = makeMachine({ unknown: { devices: "there is no NVIDIA driver" } });
  expect(renderMachine({ ...machine, cpu: { ...machine.cpu, model: null, physicalCores: null } })).toBe(
    [
      "Processor  8 usable",
      "Memory     32.0 GiB, 24.0 GiB available, swap 4.0 GiB, pressure normal",
      "Disk       100.0 GiB free of 500.0 GiB, /models",
      "Power      mains, thermal state nominal",
      "GPU        none: there is no NVIDIA driver",
      "",
    ].join("\n"),
  );
});

test("a GPU that is slowed down, a slice, and what is wrong", () => {
  const busy = makeDevice({ utilization: { compute: 0.5, memory: null }, throttleReasons: ["thermal", "power cap"] });
  const slice = makeDevice({ name: "MIG 1g", migParent: "Test 9000", temperatureCelsius: null, powerWatts: null });
  const faults = [{ device: "GPU 2", reason: "It can't be used.", fix: "Reboot." }];
  const text = renderMachine(makeMachine({ devices: [busy, slice], driver: "580.65.06", faults }));
  expect(text).toContain("Driver     580.65.06\n");
  expect(text).toContain(
    "GPU 0      Test 9000, 24.0 GiB, 1.0 GiB used, compute capability 8.9, 54 °C, 60 W of 450, 50 % busy, slowed down by thermal and power cap, PCIe 4 x16\n",
  );
  expect(text).toContain(
    "GPU 1      MIG 1g, slice of Test 9000, 24.0 GiB, 1.0 GiB used, compute capability 8.9, PCIe 4 x16\n",
  );
  expect(text).toContain("Trouble    It can't be used. Reboot.\n");
});

test("two kinds of cores, memory that is shared, and a limit", () => {
  const { cpu, memory } = makeMachine();
  const text = renderMachine(
    makeMachine({
      cpu: { ...cpu, performanceCores: 4, efficiencyCores: 6, numaNodes: 2 },
      memory: { ...memory, unified: true, limitedBy: "/sys/fs/cgroup/a", swapTotalBytes: 0 },
    }),
  );
  expect(text).toContain("Test CPU, 8 usable, cores 4, 4 performance and 6 efficiency cores, 2 NUMA nodes");
  expect(text).toContain("no swap, shared with the GPU, limited by /sys/fs/cgroup/a, pressure normal");
});
