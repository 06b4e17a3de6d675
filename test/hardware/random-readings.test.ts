// Whatever a driver or a system says, a snapshot is made of it, and every gap has its reason: readings from a fixed seed that
// are partly true, partly of the wrong kind, partly missing.

import { expect, test } from "bun:test";
import { Machine } from "../../src/hardware/machine.ts";
import type { ProbeReading } from "../../src/hardware/probe.ts";
import { takeSnapshot } from "../../src/hardware/snapshot.ts";
import type { MachineSnapshot } from "../../src/protocol/machine.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { makeRandom } from "../support/random.ts";
import { recordedSystem } from "../support/recorded-system.ts";

type Random = (below: number) => number;

const ODD: readonly unknown[] = [
  null,
  -1,
  0,
  1,
  5e9,
  2 ** 64,
  1e308,
  "",
  "x",
  "9.0",
  true,
  [],
  {},
  { error: 3 },
  { error: 15 },
  { error: "x" },
  { missing: true },
  [[1, 2]],
  [["x"]],
  [[7, 2 ** 64], null],
];
const NVIDIA_KEYS =
  "index handle name uuid total used computePercent memoryPercent celsius milliwatts milliwattsLimit coreMegahertz memoryMegahertz throttle pcieGeneration pcieWidth capability cores computeProcesses graphicsProcesses slices".split(
    " ",
  );
const MAC_KEYS = "name unified recommendedWorkingSetBytes cores utilizationPercent usedBytes".split(" ");
const SYSCTLS =
  "hw.memsize hw.physicalcpu hw.logicalcpu hw.nperflevels hw.perflevel0.physicalcpu kern.memorystatus_vm_pressure_level machdep.cpu.brand_string hw.optional.neon".split(
    " ",
  );

const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)] as T;
const some = (random: Random, keys: readonly string[]) =>
  Object.fromEntries(
    keys.filter(() => random(4) > 0).map((key) => [key, random(3) === 0 ? random(1e6) : pick(random, ODD)]),
  );

function makeRaw(random: Random): Record<string, unknown> {
  const list = (keys: readonly string[]) =>
    random(5) === 0
      ? pick(random, ODD)
      : Array.from({ length: random(4) }, () => (random(6) === 0 ? pick(random, ODD) : some(random, keys)));
  const devices = list(NVIDIA_KEYS);
  if (Array.isArray(devices))
    for (const device of devices)
      if (random(3) === 0 && device?.handle !== undefined) device.slices = list(NVIDIA_KEYS);
  return {
    platform: "x",
    ...some(random, [
      "library",
      "tried",
      "init",
      "driver",
      "cuda",
      "count",
      "vm",
      "swap",
      "neuralEngine",
      "powerSource",
      "thermalState",
    ]),
    ...(random(2) === 0 ? { library: "/x.so", init: 0, count: random(5) } : {}),
    devices,
    gpus: list(MAC_KEYS),
    sysctl: random(5) === 0 ? pick(random, ODD) : some(random, SYSCTLS),
  };
}

const FILES =
  "/proc/meminfo /proc/cpuinfo /proc/self/status /proc/self/cgroup /proc/self/mountinfo /proc/pressure/memory /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory.current /sys/fs/cgroup/cpu.max /sys/class/power_supply/AC/type /sys/class/power_supply/AC/online /sys/class/thermal/thermal_zone0/temp /sys/class/thermal/thermal_zone0/trip_point_0_type /sys/class/thermal/thermal_zone0/trip_point_0_temp /sys/class/drm/card0/device/vendor /sys/class/drm/card0/device/mem_info_vram_total /sys/class/drm/card0/device/mem_info_vram_used /sys/bus/pci/devices/0/vendor /sys/bus/pci/devices/0/class".split(
    " ",
  );
const TEXTS = [
  "",
  "0",
  "-1",
  "max",
  "max 100000",
  "5 0",
  "99999999999999999999999",
  "MemTotal: 5 kB\nMemAvailable: 9 kB\n",
  "0::/a/../b\n",
  "1:memory:/x\n",
  "- - -",
  "1 2 3 / /sys/fs/cgroup x - cgroup2 c rw",
  "some avg10=999\n",
  "0x1002",
  "0x10de",
  "0x030000",
  "passive",
  "\0\u{1F600}",
  "0-99999,1-2",
  "Cpus_allowed_list:\t9-1\n",
];

/** Figures that are null without a reason at their path or above it. */
function findUnexplained(snapshot: MachineSnapshot): string[] {
  const found: string[] = [];
  const visit = (value: unknown, path: string): void => {
    if (value === null) {
      const parts = path.split(".");
      const above = parts.map((_, at) => parts.slice(0, at + 1).join("."));
      // Of the memory of processes the reason is one for all.
      above.push(path.replace(/\.processes\.\d+\./, ".processes."));
      if (!above.some((name) => name in snapshot.unknown)) found.push(path);
    } else if (typeof value === "number") {
      if (!Number.isFinite(value) || value < -50) found.push(`${path} is ${value}`);
    } else if (Array.isArray(value)) {
      for (const [at, item] of value.entries()) visit(item, `${path}.${at}`);
    } else if (typeof value === "object") {
      for (const [name, item] of Object.entries(value as object)) visit(item, path === "" ? name : `${path}.${name}`);
    }
  };
  const { unknown: _reasons, faults: _told, ...figures } = snapshot;
  visit(figures, "");
  // In these null is no gap: no limit, no slice, not of Apple.
  return found.filter((path) => !/limitedBy$|migParent$|recommendedWorkingSetBytes$/.test(path));
}

test("20,000 readings give a snapshot each", async () => {
  const random = makeRandom(6);
  for (let round = 0; round < 20_000; round++) {
    const raw = makeRaw(random);
    const files = Object.fromEntries(FILES.filter(() => random(2) === 0).map((path) => [path, pick(random, TEXTS)]));
    const reading: ProbeReading =
      random(9) === 0 ? { kind: "silent", reason: "it does not answer" } : { kind: "answer", raw };
    const sources = {
      system: recordedSystem(files),
      probe: { read: async () => reading },
      diskPath: "/m",
      readDisk: async () => (random(2) === 0 ? null : { totalBytes: 2, freeBytes: 1 }),
      clock: new FakeClock(),
      platform: random(2) === 0 ? "darwin" : "linux",
      arch: "x64",
      cores: 2,
    };
    const snapshot = await takeSnapshot(sources);
    const odd = findUnexplained(snapshot);
    if (odd.length > 0)
      throw new Error(`${odd.join(", ")} of ${JSON.stringify({ raw, files, unknown: snapshot.unknown })}`);
    expect(snapshot.cpu.usableCores).toBeGreaterThan(0);
    for (const { usedBytes, totalBytes } of snapshot.devices) {
      if (usedBytes !== null && totalBytes !== null) expect(usedBytes).toBeLessThanOrEqual(totalBytes);
    }
    for (const { reason, fix } of snapshot.faults) expect([reason.length > 5, fix.length > 5]).toEqual([true, true]);
    if (round % 100 === 0) await new Machine(sources).read(0);
  }
});
