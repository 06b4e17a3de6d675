// Processors, power and sysfs GPUs of recorded machines.

import { describe, expect, test } from "bun:test";
import { listSimd, readCpu } from "../../src/hardware/cpu.ts";
import { readPower } from "../../src/hardware/power.ts";
import { createExplain, parseCpuList } from "../../src/hardware/reader.ts";
import { countPciGpus, readSysfsGpus } from "../../src/hardware/sysfs-gpus.ts";
import { recordedSystem, under } from "../support/recorded-system.ts";

const V2 = {
  "/proc/self/cgroup": "0::/a\n",
  "/proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
};
const topology = (siblings: readonly string[]) =>
  Object.fromEntries(
    siblings.map((list, cpu) => [`/sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`, `${list}\n`]),
  );

function look(files: Record<string, string>, fallbackCores = 3) {
  const unknown: Record<string, string> = {};
  return { cpu: readCpu(recordedSystem(files).text, fallbackCores, createExplain(unknown)), unknown };
}

describe("processors", () => {
  const HYBRID = {
    "/proc/cpuinfo":
      "processor\t: 0\nmodel\t\t: 151\nmodel name\t: Some Core i5\nflags\t\t: fpu sse2 ssse3 sse4_2 avx avx2 fma f16c avx_vnni ht\n",
    "/proc/self/status": "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t0-7\n",
    ...topology(["0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"]),
    "/sys/devices/cpu_core/cpus": "0-3\n",
    "/sys/devices/cpu_atom/cpus": "4-7\n",
    "/sys/devices/system/node/online": "0-1\n",
  };

  test("of two kinds, with two threads on each of the fast ones", () => {
    expect(look(HYBRID)).toEqual({
      cpu: {
        model: "Some Core i5",
        usableCores: 8,
        physicalCores: 6,
        performanceCores: 2,
        efficiencyCores: 4,
        simd: ["avx", "avx2", "avx_vnni", "f16c", "fma", "sse4_2", "ssse3"],
        numaNodes: 2,
      },
      unknown: {},
    });
  });

  test("affinity leaves the others out", () => {
    const bound = { ...HYBRID, "/proc/self/status": "Cpus_allowed_list:\t2-4,9\n" };
    expect(look(bound).cpu).toMatchObject({ usableCores: 4, performanceCores: 1, efficiencyCores: 2 });
    // Of processor 9 nothing is told.
    expect(look(bound).cpu.physicalCores).toBeNull();
  });

  test.each([
    ["350000 100000\n", 3],
    ["50000 100000\n", 1],
    ["max 100000\n", 8],
    ["nonsense\n", 8],
    ["100000 0\n", 8],
  ])("a quota of %p is %p processors", (quota, usableCores) => {
    expect(look({ ...HYBRID, ...V2, "/sys/fs/cgroup/a/cpu.max": quota }).cpu.usableCores).toBe(usableCores);
  });

  test("ARM's kinds go by capacity, and its NEON has the name that people know", () => {
    const arm = {
      "/proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimddp sve i8mm bf16 crc32\n",
      "/proc/self/status": "Cpus_allowed_list:\t0-3\n",
      ...topology(["0", "1", "2", "3"]),
      ...Object.fromEntries(
        [430, 430, 1024, 1024].map((c, at) => [`/sys/devices/system/cpu/cpu${at}/cpu_capacity`, `${c}\n`]),
      ),
    };
    const { cpu, unknown } = look(arm);
    expect(cpu).toMatchObject({ model: null, performanceCores: 2, efficiencyCores: 2, physicalCores: 4 });
    expect(cpu.simd).toEqual(["asimddp", "bf16", "i8mm", "neon", "sve"]);
    expect(unknown["cpu.model"]).toBe("/proc/cpuinfo does not name it");
  });

  test("of a system that tells nothing the runtime's count is left, and each gap has its reason", () => {
    const { cpu, unknown } = look({});
    expect(cpu.usableCores).toBe(3);
    for (const [name, value] of Object.entries(cpu)) {
      if (value === null) expect(unknown[`cpu.${name}`]).toBeString();
    }
    expect(Object.keys(unknown).sort()).toEqual(
      ["model", "physicalCores", "performanceCores", "efficiencyCores", "numaNodes"]
        .map((name) => `cpu.${name}`)
        .sort(),
    );
    expect(listSimd("")).toEqual([]);
  });

  test.each([
    ["0-2,5", [0, 1, 2, 5]],
    ["7", [7]],
    ["", null],
    ["x", null],
    ["0-", null],
    ["3-1", []],
  ])("the list %p", (text, expected) => expect(parseCpuList(text)).toEqual(expected));
});

describe("power", () => {
  const read = (files: Record<string, string>) => {
    const unknown: Record<string, string> = {};
    return { ...readPower(recordedSystem(files), createExplain(unknown)), unknown };
  };
  const supply = (name: string, files: Record<string, string>) => under(`/sys/class/power_supply/${name}`, files);
  const battery = (status: string) => supply("BAT0", { type: "Battery\n", status: `${status}\n` });

  test.each([
    ["a desktop", {}, null],
    ["plugged in", { ...supply("AC", { type: "Mains\n", online: "1\n" }), ...battery("Charging") }, "mains"],
    ["by USB", { ...supply("ucsi", { type: "USB\n", online: "1\n" }), ...battery("Not charging") }, "mains"],
    ["unplugged", { ...supply("AC", { type: "Mains\n", online: "0\n" }), ...battery("Discharging") }, "battery"],
    ["a battery alone", battery("Full"), "mains"],
    ["a battery that does not tell", battery("Unknown"), null],
    ["a mouse", supply("hid", { type: "Battery\n", scope: "Device\n", status: "Discharging\n" }), null],
    ["nonsense", supply("AC", { type: "\0", online: "yes" }), null],
  ] as const)("%s", (_name, files, source) => {
    const power = read(files);
    expect(power.source).toBe(source);
    expect("power.source" in power.unknown).toBe(source === null);
  });

  const zone = (temp: string, trips: readonly [string, string][], name = "thermal_zone0") =>
    under(`/sys/class/thermal/${name}`, {
      temp,
      ...Object.fromEntries(
        trips.flatMap(([kind, limit], at) => [
          [`trip_point_${at}_type`, kind],
          [`trip_point_${at}_temp`, limit],
        ]),
      ),
    });
  const TRIPS: [string, string][] = [
    ["active", "40000"],
    ["passive", "95000"],
    ["critical", "105000"],
  ];

  test.each([
    ["cool", zone("45000\n", TRIPS), "nominal"],
    ["nearly", zone("91000\n", TRIPS), "fair"],
    ["slowed down", zone("95000\n", TRIPS), "serious"],
    ["too hot", zone("105000\n", TRIPS), "critical"],
    ["the worst of two", { ...zone("45000\n", TRIPS), ...zone("96000\n", TRIPS, "thermal_zone1") }, "serious"],
    ["without limits", zone("45000\n", [["active", "40000"]]), null],
    ["not connected", zone("-274000\n", TRIPS), null],
    [
      "limits that are not set",
      zone("45000\n", [
        ["passive", "-274000"],
        ["critical", "0"],
      ]),
      null,
    ],
    ["none", {}, null],
  ] as const)("a sensor that is %s", (_name, files, thermalState) => {
    const power = read(files);
    expect(power.thermalState).toBe(thermalState);
    expect("power.thermalState" in power.unknown).toBe(thermalState === null);
  });
});

describe("GPUs in sysfs", () => {
  const card = (name: string, files: Record<string, string>) => under(`/sys/class/drm/${name}/device`, files);
  const AMD = card("card1", {
    vendor: "0x1002\n",
    device: "0x744c\n",
    unique_id: "5f3a\n",
    product_name: "Radeon X\n",
    mem_info_vram_total: `${24 * 1024 ** 3}\n`,
    mem_info_vram_used: `${2 * 1024 ** 3}\n`,
    gpu_busy_percent: "37\n",
    mem_busy_percent: "5\n",
    current_link_speed: "16.0 GT/s PCIe\n",
    current_link_width: "16\n",
    ...under("hwmon/hwmon3", {
      temp1_input: "54000\n",
      power1_average: "61000000\n",
      power1_cap: "339000000\n",
      freq1_input: "2500000000\n",
      freq2_input: "1249000000\n",
    }),
  });
  const read = (files: Record<string, string>) => {
    const unknown: Record<string, string> = {};
    return { devices: readSysfsGpus(recordedSystem(files), 2, createExplain(unknown)), unknown };
  };

  test("AMD's", () => {
    const { devices, unknown } = read({ ...AMD, "/sys/class/drm/card1-DP-1/status": "connected\n" });
    expect(devices).toMatchObject([
      {
        id: "rocm:5f3a",
        kind: "rocm",
        name: "Radeon X",
        totalBytes: 24 * 1024 ** 3,
        usedBytes: 2 * 1024 ** 3,
        freeBytes: 22 * 1024 ** 3,
        utilization: { compute: 0.37, memory: 0.05 },
        temperatureCelsius: 54,
        powerWatts: 61,
        powerLimitWatts: 339,
        clocksMhz: { core: 2500, memory: 1249 },
        pcie: { generation: 4, width: 16 },
        processes: null,
      },
    ]);
    expect(Object.keys(unknown).sort()).toEqual([
      "devices.2.computeCapability",
      "devices.2.cores",
      "devices.2.processes",
      "devices.2.throttleReasons",
    ]);
  });

  test("AMD's that answers nonsense", () => {
    const folder = "/sys/class/drm/card1/device";
    const { devices, unknown } = read({
      ...AMD,
      [`${folder}/mem_info_vram_used`]: `${99 * 1024 ** 3}`,
      [`${folder}/gpu_busy_percent`]: "255",
      [`${folder}/hwmon/hwmon3/temp1_input`]: "999999000",
    });
    expect(devices[0]).toMatchObject({ usedBytes: null, freeBytes: null, temperatureCelsius: null });
    expect(devices[0]?.utilization.compute).toBeNull();
    for (const name of ["usedBytes", "utilization.compute", "temperatureCelsius"]) {
      expect(unknown[`devices.2.${name}`]).toContain("can't be");
    }
    expect(unknown["devices.2.freeBytes"]).toBeString();
  });

  test("Intel's, with and without memory of its own", () => {
    const { devices, unknown } = read({
      ...card("card0", { vendor: "0x8086\n", device: "0x46a6\n", "drm/card0/gt_act_freq_mhz": "1300\n" }),
      ...card("card1", { vendor: "0x8086\n", "tile0/physical_vram_size_bytes": `${16 * 1024 ** 3}\n` }),
    });
    expect(devices.map(({ name, totalBytes, usedBytes }) => ({ name, totalBytes, usedBytes }))).toEqual([
      { name: "Intel GPU 0x46a6", totalBytes: null, usedBytes: null },
      { name: "Intel GPU card1", totalBytes: 16 * 1024 ** 3, usedBytes: null },
    ]);
    expect(devices[0]?.clocksMhz.core).toBe(1300);
    expect(unknown["devices.2.totalBytes"]).toContain("no memory of its own");
    expect(unknown["devices.3.usedBytes"]).toContain("Intel");
  });

  test("NVIDIA's are left to its library, but counted on the bus; others' are not", () => {
    const pci = (address: string, vendor: string, kind: string) =>
      under(`/sys/bus/pci/devices/${address}`, { vendor, class: kind });
    const files = {
      ...card("card0", { vendor: "0x10de\n" }),
      ...pci("0000:01:00.0", "0x10de\n", "0x030000\n"),
      ...pci("0000:01:00.1", "0x10de\n", "0x040300\n"),
      ...pci("0000:02:00.0", "0x10de\n", "0x030200\n"),
      ...pci("0000:03:00.0", "0x1af4\n", "0x030000\n"),
    };
    expect(read(files).devices).toEqual([]);
    expect(countPciGpus("nvidia", recordedSystem(files))).toBe(2);
    expect(countPciGpus("nvidia", recordedSystem({}))).toBe(0);
  });
});
