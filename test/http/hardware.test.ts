// What the server tells of its machine: memory of GPUs in the agreed shape, the whole snapshot, and one page of status.

import { describe, expect, test } from "bun:test";
import { createTestApp, readJson } from "../support/http-app.ts";
import { makeDevice, makeMachine } from "../support/machines.ts";

const GIB = 1024 ** 3;

describe("/vram", () => {
  test("without a GPU the sums are null, with the reason", async () => {
    const { get, machine } = createTestApp();
    machine.now = makeMachine({ unknown: { devices: "there is no NVIDIA driver: libnvidia-ml.so.1 was not found" } });
    expect(await readJson(await get("/vram"))).toEqual({
      devices: [],
      total_gb: null,
      used_gb: null,
      free_gb: null,
      reason: "there is no NVIDIA driver: libnvidia-ml.so.1 was not found",
    });
  });

  test("with GPUs they are added up", async () => {
    const { get, machine } = createTestApp();
    const small = makeDevice({ name: "Small", totalBytes: 8 * GIB, usedBytes: GIB / 2, freeBytes: 7.5 * GIB });
    machine.now = makeMachine({ devices: [makeDevice(), small] });
    expect(await readJson(await get("/vram"))).toEqual({
      devices: [
        { name: "Test 9000", total_gb: 24, used_gb: 1, free_gb: 23 },
        { name: "Small", total_gb: 8, used_gb: 0.5, free_gb: 7.5 },
      ],
      total_gb: 32,
      used_gb: 1.5,
      free_gb: 30.5,
      reason: null,
    });
  });

  test("a part of the sum is not told as the whole", async () => {
    const { get, machine } = createTestApp();
    const lost = makeDevice({ name: "Lost", totalBytes: null, usedBytes: null, freeBytes: null });
    machine.now = makeMachine({
      devices: [makeDevice(), lost],
      unknown: { "devices.1": "the driver has lost the device" },
    });
    const body = await readJson(await get("/vram"));
    expect(body).toMatchObject({ total_gb: null, free_gb: null, reason: "the driver has lost the device" });
    expect(body.devices[0].total_gb).toBe(24);
    machine.now = makeMachine({ devices: [makeDevice({ usedBytes: null, freeBytes: null })] });
    expect(await readJson(await get("/vram"))).toMatchObject({
      total_gb: 24,
      used_gb: null,
      reason: expect.any(String),
    });
  });
});

describe("/api/hardware", () => {
  test("has the snapshot and what llama.cpp finds", async () => {
    const { get, machine, backendDevices } = createTestApp();
    machine.now = makeMachine({
      devices: [makeDevice({ processes: [{ pid: 5, usedBytes: null }] })],
      driver: "580.65.06",
    });
    const body = await readJson(await get("/api/hardware"));
    const { backend, ...snapshot } = body;
    expect(snapshot).toEqual(JSON.parse(JSON.stringify(machine.now)));
    expect(backend).toEqual({
      devices: [{ name: "CPU", description: "Test CPU", kind: "cpu", memoryBytes: 32 * GIB }],
      reason: null,
    });
    backendDevices.now = { devices: null, reason: "the child ended with SIGSEGV" };
    expect((await readJson(await get("/api/hardware"))).backend).toEqual(backendDevices.now);
  });

  test("tells where files lie to this machine alone", async () => {
    const unknown = { driver: "the probe can't be loaded: /home/me/cache/probe.node is not there" };
    const faults = [{ device: null, reason: 'It can\'t be opened ("/opt/x/libnvidia-ml.so.1").', fix: "Reboot." }];
    for (const host of ["127.0.0.1", "0.0.0.0"]) {
      const { get, machine } = createTestApp({ host });
      machine.now = makeMachine({ unknown, faults });
      const body = await readJson(await get("/api/hardware"));
      const isLocal = host === "127.0.0.1";
      expect(body.disk.path).toBe(isLocal ? "/models" : null);
      expect(body.unknown.driver).toBe(isLocal ? unknown.driver : "the probe can't be loaded: probe.node is not there");
      expect(body.faults[0].reason.includes("/opt")).toBe(isLocal);
    }
  });
});

test("/api/system/info has versions, the process and the machine", async () => {
  const { get, machine } = createTestApp();
  machine.now = makeMachine({ devices: [makeDevice()] });
  const body = await readJson(await get("/api/system/info"));
  expect(body).toMatchObject({
    name: "ml-offload",
    pid: process.pid,
    platform: "linux",
    cpu: { model: "Test CPU", usableCores: 8 },
    memory: { totalBytes: 32 * GIB },
    devices: [{ id: "cuda:GPU-0", kind: "cuda", name: "Test 9000", totalBytes: 24 * GIB }],
  });
  expect(body.residentBytes).toBeGreaterThan(1_000_000);
  expect(body.runtime).toBe(`Bun ${Bun.version}`);
});

describe("/status", () => {
  test("is one page of all", async () => {
    const { get, machine, inference } = createTestApp();
    machine.now = makeMachine({ devices: [makeDevice()] });
    const body = await readJson(await get("/status"));
    expect(body).toMatchObject({
      status: "healthy",
      ready: true,
      details: inference.healthNow.backends.llamacpp.details,
      models: [{ id: "demo", default: true }],
      memory: { availableBytes: 24 * GIB },
      devices: [{ name: "Test 9000", freeBytes: 23 * GIB, temperatureCelsius: 54 }],
      faults: [],
    });
  });

  test("tells of the same troubles as health", async () => {
    const { get, inference } = createTestApp();
    expect((await readJson(await get("/status"))).troubles).toEqual([]);
    const troubles = [{ subject: "Test 9000", reason: "The driver is not installed.", fix: "Install it." }];
    inference.healthNow = { ...inference.healthNow, status: "degraded", troubles };
    expect(await readJson(await get("/status"))).toMatchObject({ status: "degraded", troubles, faults: [] });
    expect(await readJson(await get("/api/health"))).toMatchObject({ troubles });
  });

  test("adds up what engines do, and counts those that do not say", async () => {
    const { get, inference } = createTestApp();
    const info = await inference.backendInfo();
    // Of stats these three are looked at.
    const stats = { running: 2, waiting: 3, paused: 1 } as never;
    const busy = { model: "demo", pid: 7, state: "loaded" as const, info: null, stats };
    const silent = { ...busy, model: "other", stats: null };
    inference.backendInfo = async () => ({ ...info, engines: [busy, silent] });
    const body = await readJson(await get("/status"));
    expect(body.requests).toEqual({ running: 2, waiting: 3, paused: 1, silentEngines: 1 });
    expect(body.models[0]).toMatchObject({ pid: 7, requests: { running: 2, waiting: 3, paused: 1 } });
    inference.backendInfo = async () => ({ ...info, engines: [] });
    const idle = await readJson(await get("/status"));
    expect(idle.requests).toEqual({ running: 0, waiting: 0, paused: 0, silentEngines: 0 });
    expect(idle.models[0]).toMatchObject({ pid: null, requests: null });
  });
});

test("health looks at the machine before it answers", async () => {
  const { get, machine } = createTestApp();
  await get("/health");
  await get("/api/health");
  expect(machine.reads).toBe(2);
});
