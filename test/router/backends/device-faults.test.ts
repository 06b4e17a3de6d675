// Why a GPU that is here is not computed on, and the list of devices that llama.cpp finds.

import { describe, expect, test } from "bun:test";
import { BackendDevices } from "../../../src/router/backends/backend-devices.ts";
import { describeFaults, type GpuUse } from "../../../src/router/backends/device-faults.ts";
import type { JobResult } from "../../../src/router/children/jobs.ts";
import { describeHealth } from "../../../src/router/health.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { makeDevice, makeMachine } from "../../support/machines.ts";

const CPU_ONLY: GpuUse = { plugins: ["libggml-cpu-x64.so"], skippedPlugins: [], wanted: true };
const withGpu = makeMachine({ devices: [makeDevice()] });

describe("faults", () => {
  test("none: nothing is known, no GPU, a GPU that is used, or one that nobody wants", () => {
    expect(describeFaults(null, CPU_ONLY)).toEqual([]);
    expect(describeFaults(makeMachine(), CPU_ONLY)).toEqual([]);
    expect(describeFaults(withGpu, { ...CPU_ONLY, plugins: ["libggml-cuda.so", "libggml-cpu-x64.so"] })).toEqual([]);
    const faults = [{ device: null, reason: "It is broken.", fix: "Reboot." }];
    expect(describeFaults({ ...withGpu, faults }, { ...CPU_ONLY, wanted: false })).toEqual([]);
  });

  test("a GPU for which this build has no back end", () => {
    const shared = makeMachine({ devices: [makeDevice({ totalBytes: null })] });
    expect(describeFaults(shared, CPU_ONLY)).toHaveLength(1);
    expect(describeFaults(withGpu, CPU_ONLY)).toEqual([
      {
        subject: "Test 9000",
        reason: "Test 9000 is here, but the CPU computes: this build has no cuda back end.",
        fix: "Take a build with it (build.ts binary --gpu cuda).",
      },
    ]);
    const mac = makeMachine({ devices: [makeDevice({ kind: "metal", name: "Apple M9" })] });
    expect(describeFaults(mac, CPU_ONLY)[0]?.reason).toContain("no metal back end");
  });

  test("integrated graphics and GPUs of makers without a back end are not missed", () => {
    const others = [makeDevice({ kind: "sycl" }), makeDevice({ kind: "rocm" })];
    expect(describeFaults(makeMachine({ devices: others }), CPU_ONLY)).toEqual([]);
  });

  test.each([
    ["can't load it\nlibcublas.so.13: cannot open shared object file", "libcublas.so.13", "ML_OFFLOAD_CUDA_LIBS"],
    ["CUDA driver version is insufficient for CUDA runtime version", "insufficient", "Update NVIDIA's driver"],
    ["the child ended with SIGSEGV", "SIGSEGV", "log"],
  ])("a back end that was left out: %p", (reason, why, fix) => {
    const skippedPlugins = [{ file: "libggml-cuda.so", reason }];
    const [fault] = describeFaults(withGpu, { ...CPU_ONLY, skippedPlugins });
    expect(fault?.reason).toContain(why);
    expect(fault?.fix).toContain(fix);
  });

  test("what is wrong with the machine is told with the fix, and makes health degraded", () => {
    const faults = [{ device: "Test 9000", reason: "It is lost.", fix: "Reboot." }];
    const lost = makeMachine({ devices: [makeDevice()], unknown: { "devices.0": "the driver has lost it" }, faults });
    expect(describeFaults(lost, CPU_ONLY)).toEqual([{ subject: "Test 9000", reason: "It is lost.", fix: "Reboot." }]);
    const backends = { plugins: [], skippedPlugins: [] };
    const health = describeHealth([], backends, 0, describeFaults(lost, CPU_ONLY));
    expect(health.status).toBe("degraded");
    expect(health.backends.llamacpp.details).toContain("; Test 9000: It is lost.");
    expect(describeHealth([], backends, 0).status).toBe("healthy");
  });
});

describe("the devices of the back ends", () => {
  const CPU = { name: "CPU", description: "x", kind: "cpu" as const, memoryBytes: 1 };

  test("are asked for once", async () => {
    let asked = 0;
    const devices = new BackendDevices(async () => {
      asked += 1;
      return { kind: "answer", answer: { job: "devices", devices: [CPU] } };
    }, new FakeClock());
    const lists = await Promise.all([devices.list(), devices.list()]);
    expect(lists[0]).toEqual({ devices: [CPU], reason: null });
    expect(lists[1]).toEqual(lists[0] as never);
    expect(asked).toBe(1);
  });

  test("a child that fails is the reason, and is tried again after a minute", async () => {
    const clock = new FakeClock();
    const results: (JobResult | Error)[] = [
      { kind: "failed", reason: "the child ended with SIGSEGV" },
      { kind: "answer", answer: { job: "quantize" } },
      new Error("no processes"),
      { kind: "answer", answer: { job: "devices", devices: [] } },
    ];
    const devices = new BackendDevices(async () => {
      const result = results.shift();
      if (result === undefined || result instanceof Error) throw result;
      return result;
    }, clock);
    for (const reason of ["the child ended with SIGSEGV", "the child answered another question", "no processes"]) {
      expect(await devices.list()).toEqual({ devices: null, reason });
      clock.advance(59_999);
      expect((await devices.list()).reason).toBe(reason);
      clock.advance(1);
    }
    expect(await devices.list()).toEqual({ devices: [], reason: null });
  });
});
