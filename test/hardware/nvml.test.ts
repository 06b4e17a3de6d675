// NVIDIA's devices through the real addon and a stand-in for the driver's library: values, errors, calls that it lacks, slices,
// devices that go, nonsense, and a driver that hangs.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Machine } from "../../src/hardware/machine.ts";
import { listNvmlPaths } from "../../src/hardware/nvidia-driver.ts";
import { loadProbeAddon, Probe, type ProbeAddon } from "../../src/hardware/probe.ts";
import { type SnapshotSources, takeSnapshot } from "../../src/hardware/snapshot.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { MachineSnapshot } from "../../src/protocol/machine.ts";
import { NvmlStub, STUB_DRIVER, type StubState, stubDevice } from "../support/nvml/stub.ts";
import { recordedSystem, under } from "../support/recorded-system.ts";

const MIB = 1024 ** 2;
const ADDON = join(import.meta.dir, "../../build/native/probe.node");
const canRun = existsSync(ADDON) && process.platform === "linux";
if (!canRun) console.log("skipped: build/native/probe.node is not there, or this is not Linux");

/** A GPU of NVIDIA's on the bus. */
const ON_BUS = under("/sys/bus/pci/devices/0000:01:00.0", { vendor: "0x10de\n", class: "0x030200\n" });

describe.skipIf(!canRun)("with a driver", () => {
  let addon: ProbeAddon;
  let stub: NvmlStub;
  beforeAll(async () => {
    addon = loadProbeAddon(ADDON);
    stub = await NvmlStub.compile();
  });
  afterAll(() => stub[Symbol.dispose]());

  function sources(candidates: readonly string[], files: Record<string, string> = ON_BUS, timeoutMs = 30_000) {
    return {
      system: recordedSystem(files),
      probe: new Probe({ load: () => addon, candidates, clock: systemClock, timeoutMs }),
      diskPath: "/",
      readDisk: async () => null,
      clock: systemClock,
      platform: "linux",
      arch: "x64",
      cores: 2,
    } satisfies SnapshotSources;
  }

  async function look(...states: StubState[]): Promise<MachineSnapshot> {
    stub.say(...states);
    return await takeSnapshot(sources([stub.library]));
  }

  test("every figure of a device is told", async () => {
    const snapshot = await look(STUB_DRIVER, stubDevice());
    expect(snapshot.driver).toBe("580.65.06");
    expect(snapshot.faults).toEqual([]);
    expect(snapshot.devices).toEqual([
      {
        id: "cuda:GPU-00000000",
        kind: "cuda",
        name: "NVIDIA Test 9000",
        totalBytes: 24_576 * MIB,
        usedBytes: 1_024 * MIB,
        freeBytes: 23_552 * MIB,
        processes: [{ pid: 4242, usedBytes: 512 * MIB }],
        utilization: { compute: 0.37, memory: 0.12 },
        temperatureCelsius: 54,
        powerWatts: 61.5,
        powerLimitWatts: 450,
        clocksMhz: { core: 2_520, memory: 10_501 },
        throttleReasons: [],
        pcie: { generation: 4, width: 16 },
        computeCapability: "8.9",
        migParent: null,
        recommendedWorkingSetBytes: null,
        cores: 16_384,
      },
    ]);
    expect(Object.keys(snapshot.unknown).filter((path) => path.startsWith("devices"))).toEqual([]);
  });

  test("what it says follows the driver, without a new start", async () => {
    expect((await look(STUB_DRIVER, stubDevice(0, { used: 5 * MIB }))).devices[0]?.usedBytes).toBe(5 * MIB);
    const hot = await look(STUB_DRIVER, stubDevice(0, { celsius: 95, throttle: 0x60 | 0x1 }));
    expect(hot.devices[0]).toMatchObject({ temperatureCelsius: 95, throttleReasons: ["thermal", "hardware thermal"] });
    const capped = await look(STUB_DRIVER, stubDevice(0, { throttle: 0x4 }));
    expect(capped.devices[0]?.throttleReasons).toEqual(["power cap"]);
  });

  test("a figure that this device does not have is null with the reason, and the others stay", async () => {
    const { devices, unknown } = await look(
      STUB_DRIVER,
      stubDevice(0, { celsius: "!3", power: "!4", procs: "!4", gprocs: "!4" }),
    );
    expect(devices[0]).toMatchObject({ temperatureCelsius: null, powerWatts: null, processes: null, cores: 16_384 });
    expect(unknown["devices.0.temperatureCelsius"]).toBe("this device or driver does not support it");
    expect(unknown["devices.0.powerWatts"]).toBe("there is no permission to read it");
    expect(unknown["devices.0.processes"]).toBe("there is no permission to read it");
  });

  test.each([
    ["more used than there is", { used: 99_999 * MIB }, "usedBytes"],
    ["no memory at all", { total: 0, used: 0 }, "totalBytes"],
    ["an endless memory", { total: "18446744073709551615", used: 0 }, "totalBytes"],
    ["a share of 255 %", { compute: 255 }, "utilization.compute"],
    ["hotter than the sun", { celsius: 4_294_967_295 }, "temperatureCelsius"],
    ["a power plant", { power: 4_294_967_295 }, "powerWatts"],
    ["clocks beyond physics", { core: 99_999_999 }, "clocksMhz.core"],
    ["no PCIe that there is", { gen: 0 }, "pcie.generation"],
  ])("nonsense is not passed on: %s", async (_name, changes, path) => {
    const { devices, unknown } = await look(STUB_DRIVER, stubDevice(0, changes));
    const value = path.split(".").reduce((at, name) => (at as never)?.[name], devices[0] as unknown);
    expect(value).toBeNull();
    expect(unknown[`devices.0.${path}`]).toContain("can't be");
    if (path === "usedBytes" || path === "totalBytes") expect(devices[0]?.freeBytes).toBeNull();
  });

  test("names without an end, with control characters and with other bytes are cut and cleaned", async () => {
    const long = await look(STUB_DRIVER, stubDevice(0, { name: "x".repeat(400), uuid: 'GPU-"\\\u0001é' }));
    expect(long.devices[0]?.name).toBe("x".repeat(96));
    expect(long.devices[0]?.id).toBe('cuda:GPU-"\\');
  });

  test("absurd counts neither hang nor crash", async () => {
    const many = await look({ ...STUB_DRIVER, count: 4_000_000_000 }, stubDevice());
    expect(many.devices).toEqual([]);
    expect(many.unknown.devices).toContain("can't be");
    const liar = await look(STUB_DRIVER, stubDevice(0, { "procs-count": 4_000_000_000, gprocs: "!4" }));
    expect(liar.devices[0]?.processes).toBeNull();
  });

  test("processes of both lists are one each; more than there was room for at first are all there", async () => {
    const procs = Array.from({ length: 200 }, (_, at) => `${at + 1}:${MIB}`)
      .join(",")
      .slice(0, 480)
      .replace(/,[^,]*$/, "");
    const count = procs.split(",").length;
    const { devices } = await look(
      STUB_DRIVER,
      stubDevice(0, { procs, gprocs: `1:${2 * MIB},9999:18446744073709551615` }),
    );
    const processes = devices[0]?.processes ?? [];
    expect(processes).toHaveLength(count + 1);
    expect(processes[0]).toEqual({ pid: 1, usedBytes: 2 * MIB });
    // The driver's word for "not told".
    expect(processes.at(-1)).toEqual({ pid: 9999, usedBytes: null });
  });

  test("slices stand in the place of the device that they are of", async () => {
    const slice = (at: number) =>
      stubDeviceSlice(at, { name: "NVIDIA Test MIG 3g.40gb", uuid: `MIG-${at}`, total: 40 * MIB, used: MIB });
    const state = [{ ...STUB_DRIVER, count: 1 }, stubDevice(0, { mig: 1, slices: 7 }), slice(0), slice(2)];
    const { devices, unknown } = await look(...state);
    expect(
      devices.map(({ id, migParent, totalBytes, freeBytes }) => ({ id, migParent, totalBytes, freeBytes })),
    ).toEqual([
      { id: "cuda:MIG-0", migParent: "NVIDIA Test 9000", totalBytes: 40 * MIB, freeBytes: 39 * MIB },
      { id: "cuda:MIG-2", migParent: "NVIDIA Test 9000", totalBytes: 40 * MIB, freeBytes: 39 * MIB },
    ]);
    // Sensors belong to the whole.
    expect(devices[1]).toMatchObject({
      temperatureCelsius: 54,
      computeCapability: "8.9",
      utilization: { compute: null },
    });
    expect(unknown["devices.1.utilization.compute"]).toBe("this device or driver does not support it");
    const empty = await look(STUB_DRIVER, stubDevice(0, { mig: 1, slices: 7 }));
    expect(empty.devices).toMatchObject([{ id: "cuda:GPU-00000000", totalBytes: null }]);
    expect(empty.unknown["devices.0.totalBytes"]).toContain("MIG");
  });

  test("a device that the driver has lost is told, with what to do, and is back when it is", async () => {
    const machine = new Machine(sources([stub.library]));
    const both = [{ ...STUB_DRIVER, count: 2 }, stubDevice(0), stubDevice(1)];
    stub.say(...both);
    expect((await machine.read(0)).faults).toEqual([]);
    stub.say({ ...STUB_DRIVER, count: 2 }, stubDevice(0), stubDevice(1, { handle: "!15" }));
    const lost = await machine.read(-1);
    expect(lost.devices.map(({ totalBytes }) => totalBytes)).toEqual([24_576 * MIB, null]);
    expect(lost.unknown["devices.1"]).toBe("the driver has lost the device");
    expect(lost.faults).toMatchObject([
      { device: "NVIDIA GPU 1", reason: "NVIDIA GPU 1 can't be used: the driver has lost the device." },
    ]);
    stub.say(...both);
    expect((await machine.read(-1)).faults).toEqual([]);
    // Its handle is there, but its memory is not.
    stub.say({ ...STUB_DRIVER, count: 2 }, stubDevice(0), stubDevice(1, { total: "!15" }));
    expect((await machine.read(-1)).faults).toMatchObject([{ device: "NVIDIA Test 9000" }]);
    stub.say(...both);
    expect((await machine.read(-1)).faults).toEqual([]);
  });

  test("a device that is unplugged is missed until it is back", async () => {
    const machine = new Machine(sources([stub.library]));
    stub.say({ ...STUB_DRIVER, count: 2 }, stubDevice(0), stubDevice(1));
    await machine.read(0);
    stub.say(STUB_DRIVER, stubDevice(0));
    expect((await machine.read(-1)).faults).toMatchObject([
      { reason: "NVIDIA Test 9000 (cuda:GPU-00000001) was here and is gone." },
    ]);
    stub.say({ ...STUB_DRIVER, count: 2 }, stubDevice(0), stubDevice(1));
    expect((await machine.read(-1)).faults).toEqual([]);
    // One that is cut into slices is no more there by itself, but is not gone.
    const slice = stubDeviceSlice(0, { name: "slice", uuid: "MIG-0", total: MIB, used: 0 });
    stub.say({ ...STUB_DRIVER, count: 1 }, stubDevice(0, { mig: 1, slices: 7 }), slice);
    expect((await machine.read(-1)).faults).toEqual([]);
  });

  test.each([
    [9, "the driver is not loaded", "modprobe nvidia"],
    [18, "the driver's library and its kernel module are of different versions", "reboot"],
    [4, "there is no permission to read it", "--gpus all"],
    [12, "a library of the driver is missing", "Install"],
    [12345, "the driver answers with error 12345", "Reboot"],
  ])("a driver that does not start: %p", async (code, reason, fix) => {
    await look({ count: "!9" });
    const snapshot = await look({ init: `!${code}` });
    expect(snapshot.devices).toEqual([]);
    expect(snapshot.driver).toBeNull();
    expect(snapshot.unknown.driver).toContain(reason);
    expect(snapshot.faults).toHaveLength(1);
    expect(snapshot.faults[0]?.reason).toContain(reason);
    expect(snapshot.faults[0]?.fix).toContain(fix);
    expect((await look(STUB_DRIVER, stubDevice())).devices).toHaveLength(1);
  });

  test("a driver without its devices: of the container's making, or its own", async () => {
    const none = await look({ ...STUB_DRIVER, count: 0 });
    expect(none.faults).toMatchObject([
      { reason: expect.stringContaining("shows none of them"), fix: expect.stringContaining("--gpus all") },
    ]);
    const broken = await look({ ...STUB_DRIVER, count: "!999" });
    expect(broken.faults).toMatchObject([{ reason: expect.stringContaining("does not list its devices") }]);
  });

  test("a driver that hangs costs the time limit, and is asked again when it is done", async () => {
    stub.say(STUB_DRIVER, stubDevice(), { hang: 1 });
    const short = sources([stub.library], ON_BUS, 50);
    const silent = await takeSnapshot(short);
    expect(silent.faults).toMatchObject([{ reason: "NVIDIA's driver does not answer." }]);
    expect(silent.unknown.driver).toBe("the GPU's driver does not answer");
    // It is not asked a second time while it is at the first.
    expect(addon.begin([])).toBe(false);
    expect((await takeSnapshot(short)).faults).toHaveLength(1);
    stub.say(STUB_DRIVER, stubDevice());
    const patient = sources([stub.library]);
    let back = await takeSnapshot(patient);
    while (back.faults.length > 0) back = await takeSnapshot(patient);
    expect(back.devices).toHaveLength(1);
  });

  test("a driver of ten years ago lacks most calls: what it has is told", async () => {
    using old = await NvmlStub.compile(["WITHOUT_MOST"]);
    await look({ count: "!9" });
    old.say(STUB_DRIVER, stubDevice());
    const { devices, unknown, driver } = await takeSnapshot(sources([old.library]));
    expect(driver).toBeNull();
    expect(devices).toMatchObject([{ id: "cuda:0", name: "NVIDIA GPU 0", totalBytes: null, processes: null }]);
    for (const path of ["driver", "devices.0.totalBytes", "devices.0.processes", "devices.0.throttleReasons"]) {
      expect(unknown[path]).toBe("this version of the driver has no such call");
    }
    old.say({ count: "!9" });
    await takeSnapshot(sources([old.library]));
  });

  test("no library: a fault where there is a GPU, none where there is not", async () => {
    await look({ count: "!9" });
    const missing = await takeSnapshot(sources(["/nowhere/libnvidia-ml.so.1"]));
    expect(missing.faults).toMatchObject([
      { reason: expect.stringContaining("is not installed: libnvidia-ml.so.1 was not found") },
    ]);
    const without = await takeSnapshot(sources(["/nowhere/libnvidia-ml.so.1"], {}));
    expect(without.faults).toEqual([]);
    expect(without.unknown.devices).toContain("there is no NVIDIA driver");
    const broken = await takeSnapshot(sources(["/nowhere/a.so", join(import.meta.dir, "nvml.test.ts")]));
    expect(broken.faults[0]?.reason).toContain("its library can't be opened");
  });
});

function stubDeviceSlice(at: number, values: StubState): StubState {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`0.${at}.${name}`, value]));
}

describe("without an addon", () => {
  const machineOf = (load: () => ProbeAddon, files: Record<string, string>) =>
    takeSnapshot({
      system: recordedSystem(files),
      probe: new Probe({ load, candidates: [], clock: systemClock }),
      diskPath: "/models",
      readDisk: async () => ({ totalBytes: 10, freeBytes: 5 }),
      clock: systemClock,
      platform: "linux",
      arch: "x64",
      cores: 2,
    });
  const missing = () => loadProbeAddon("/nowhere/probe.node");

  test("the rest is told, and why the GPUs are not", async () => {
    const snapshot = await machineOf(missing, {});
    expect(snapshot.unknown.driver).toBe("the probe can't be loaded: /nowhere/probe.node is not there");
    expect(snapshot.faults).toEqual([]);
    expect(snapshot.disk).toEqual({ path: "/models", totalBytes: 10, freeBytes: 5 });
    expect((await machineOf(missing, ON_BUS)).faults).toHaveLength(1);
  });

  test.each([
    ["a file that is none", () => loadProbeAddon(import.meta.path)],
    [
      "one that throws",
      () => ({
        begin: () => {
          throw new Error("no threads");
        },
        take: () => null,
      }),
    ],
    ["one that says nothing", () => ({ begin: () => true, take: () => "{}" })],
    ["one that says what is no JSON", () => ({ begin: () => true, take: () => "{" })],
    ["one that says a list", () => ({ begin: () => true, take: () => "[]" })],
  ])("%s is a reason too", async (_name, load) => {
    const snapshot = await machineOf(load as () => ProbeAddon, {});
    expect(snapshot.unknown.driver).toBeString();
    expect(snapshot.devices).toEqual([]);
  });
});

test("the driver's library is looked for where loaders do not look, or where a person says", () => {
  expect(listNvmlPaths({})).toEqual([
    "libnvidia-ml.so.1",
    "/run/opengl-driver/lib/libnvidia-ml.so.1",
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
  ]);
  expect(listNvmlPaths({ ML_OFFLOAD_NVML: "/x/y.so" })).toEqual(["/x/y.so"]);
  expect(listNvmlPaths({ ML_OFFLOAD_NVML: "" })).toHaveLength(3);
});
