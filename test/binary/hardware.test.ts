// The compiled binary and what it tells of its machine, with a stand-in for NVIDIA's library that changes while it runs.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BINARY, homeEnvironment, makeFolder, runBinary, startBinary, waitFor } from "../support/binary.ts";
import type { Json } from "../support/http-app.ts";
import { NvmlStub, STUB_DRIVER, type StubState, stubDevice } from "../support/nvml/stub.ts";
import type { Server } from "../support/server.ts";

const MIB = 1024 ** 2;
const NATIVE = join(import.meta.dir, "../../build/native");
const isLinux = process.platform === "linux";
if (!isLinux) console.log("skipped: the stand-in is a Linux library");

async function ask(server: Server, path: string): Promise<Json> {
  const response = await fetch(server.url + path, { signal: AbortSignal.timeout(30_000) });
  return await response.json();
}

/** Frames of a stream of events, as they come. */
async function* readEvents(server: Server, signal: AbortSignal): AsyncGenerator<Json> {
  const response = await fetch(`${server.url}/api/events?topics=hardware`, { signal });
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of response.body as ReadableStream<Uint8Array>) {
    text += decoder.decode(bytes, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const data = text
        .slice(0, end)
        .split("\n")
        .find((line) => line.startsWith("data: "));
      text = text.slice(end + 2);
      if (data !== undefined) yield JSON.parse(data.slice(6));
    }
  }
}

describe.skipIf(!isLinux)("with a driver", () => {
  let stub: NvmlStub;
  beforeAll(async () => {
    stub = await NvmlStub.compile();
  });
  afterAll(() => stub[Symbol.dispose]());

  const say = (...states: StubState[]) => stub.say(...states);

  test("figures flow to every route and to the event bus, and follow the driver", async () => {
    say(STUB_DRIVER, stubDevice());
    const server = await startBinary({ env: stub.env });
    const stop = new AbortController();
    try {
      const vram = { name: "NVIDIA Test 9000", total_gb: 24, used_gb: 1, free_gb: 23 };
      expect(await ask(server, "/vram")).toEqual({
        devices: [vram],
        total_gb: 24,
        used_gb: 1,
        free_gb: 23,
        reason: null,
      });
      const hardware = await ask(server, "/api/hardware");
      expect(hardware).toMatchObject({
        driver: "580.65.06",
        devices: [{ powerWatts: 61.5, computeCapability: "8.9" }],
      });
      expect(hardware.backend.devices).toContainEqual(expect.objectContaining({ name: "CPU", kind: "cpu" }));
      expect((await ask(server, "/api/system/info")).devices).toMatchObject([{ totalBytes: 24_576 * MIB }]);
      expect((await ask(server, "/status")).devices).toMatchObject([{ temperatureCelsius: 54 }]);
      const events = readEvents(server, stop.signal);
      expect((await events.next()).value).toMatchObject({
        topic: "hardware",
        data: { devices: [{ usedBytes: 1_024 * MIB }] },
      });
      say(STUB_DRIVER, stubDevice(0, { used: 9_216 * MIB, celsius: 90, throttle: 0x20 }));
      for await (const { data } of events) {
        if (data.devices[0].usedBytes === 1_024 * MIB) continue;
        expect(data.devices[0]).toMatchObject({ temperatureCelsius: 90, throttleReasons: ["thermal"] });
        break;
      }
      await waitFor("the new figure", async () => (await ask(server, "/vram")).used_gb === 9);
    } finally {
      stop.abort();
      await server.stop();
    }
  });

  test("health is degraded while a device can't be used, with the fix, and well again when it can", async () => {
    // Without devices: a device is a fault by itself, since this build has no back end for it.
    const healthy = [{ ...STUB_DRIVER, count: 0 }];
    say(...healthy);
    const server = await startBinary({ env: stub.env });
    const isHealth = async (status: string, ...words: string[]) => {
      const health = await ask(server, "/api/health");
      const told = JSON.stringify(health.troubles);
      return health.status === status && words.every((word) => told.includes(word));
    };
    const becomes = (status: string, ...words: string[]) =>
      waitFor(`${status}: ${words.join(", ")}`, () => isHealth(status, ...words));
    try {
      await becomes("healthy");
      say({ ...STUB_DRIVER, count: "!999" });
      await becomes("degraded", "does not list its devices", "Reboot");
      say(...healthy);
      await becomes("healthy");
      say(STUB_DRIVER, stubDevice());
      await becomes("degraded", "NVIDIA Test 9000 is here, but the CPU computes", "no cuda back end");
      say(...healthy);
      await becomes("degraded", "NVIDIA Test 9000 (cuda:GPU-00000000) was here and is gone");
      say(STUB_DRIVER, stubDevice(0, { handle: "!15" }));
      await becomes("degraded", "the driver has lost the device", "nvidia-smi --gpu-reset");
      say({ ...STUB_DRIVER, count: "!9" });
      await becomes("degraded", "does not list its devices", "modprobe nvidia");
      say({ init: "!18" });
      await becomes("degraded", "of different versions", "reboot");
      expect(await ask(server, "/vram")).toMatchObject({ devices: [], total_gb: null });
      // A driver that hangs: the server answers, and goes on when it is back.
      say(STUB_DRIVER, stubDevice(), { hang: 1 });
      await becomes("degraded", "does not answer");
      expect((await ask(server, "/v1/models")).data).not.toBeEmpty();
      say(STUB_DRIVER, stubDevice());
      await becomes("degraded", "this build has no cuda back end");
    } finally {
      await server.stop();
    }
  });

  test("who wants no GPU misses none", async () => {
    say(STUB_DRIVER, stubDevice(0, { handle: "!15" }));
    for (const args of [
      ["--backend", "cpu"],
      ["--gpu-layers", "0"],
    ]) {
      const server = await startBinary({ env: stub.env, args });
      try {
        expect((await ask(server, "/api/health")).status).toBe("healthy");
        expect((await ask(server, "/status")).faults).toHaveLength(1);
      } finally {
        await server.stop();
      }
    }
  });

  test("a driver that hangs does not keep the server from its end", async () => {
    say(STUB_DRIVER, stubDevice(), { hang: 1 });
    const server = await startBinary({ env: stub.env });
    expect((await ask(server, "/api/health")).status).toBe("degraded");
    await server.stop();
    expect(server.exitCode()).toBe(0);
  });

  test("a driver's library that crashes ends a child, not the server", async () => {
    say(STUB_DRIVER, stubDevice(), { crash: 1 });
    const server = await startBinary({ env: stub.env });
    try {
      const health = await ask(server, "/api/health");
      expect(health.status).toBe("degraded");
      expect(JSON.stringify(health.troubles)).toContain("ends the process that asks it (SIG");
      expect(await ask(server, "/vram")).toMatchObject({ devices: [], total_gb: null });
    } finally {
      await server.stop();
    }
    using home = makeFolder();
    const { code, stdout } = await runBinary(["devices"], { env: homeEnvironment(home.path, stub.env) });
    expect(code).toBe(0);
    expect(stdout).toContain("ends the process that asks it");
  });

  test("devices prints it, as text and as JSON", async () => {
    say(STUB_DRIVER, stubDevice());
    using home = makeFolder();
    const env = homeEnvironment(home.path, stub.env);
    const text = await runBinary(["devices"], { env });
    expect([text.code, text.stderr]).toEqual([0, ""]);
    expect(text.stdout).toContain("GPU 0      NVIDIA Test 9000, 24.0 GiB, 1.0 GiB used");
    const json = await runBinary(["devices", "--json"], { env });
    expect(JSON.parse(json.stdout)).toMatchObject({ driver: "580.65.06", devices: [{ name: "NVIDIA Test 9000" }] });
  });

  test("devices --watch goes on with one line each until it is interrupted", async () => {
    say(STUB_DRIVER, stubDevice());
    using home = makeFolder();
    const env = homeEnvironment(home.path, stub.env);
    const child = Bun.spawn([BINARY, "devices", "--watch", "--json"], { env, stdout: "pipe", stderr: "inherit" });
    let text = "";
    for await (const bytes of child.stdout) {
      text += new TextDecoder().decode(bytes);
      const used = text
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line).devices[0].usedBytes / MIB);
      if (used.length === 1) say(STUB_DRIVER, stubDevice(0, { used: 2_048 * MIB }));
      if (used.includes(2_048)) child.kill("SIGINT");
    }
    expect(await child.exited).toBe(0);
    expect(text.split("\n").length).toBeGreaterThan(2);
  });
});

describe.skipIf(!isLinux)("a probe that can't be used is a reason, and the server runs", () => {
  test.each([
    ["missing", "is not there", (path: string) => rmSync(path)],
    ["broken", "can't be loaded", (path: string) => writeFileSync(path, "no library")],
    ["empty", "can't be loaded", (path: string) => writeFileSync(path, "")],
    ["unreadable", "can't be loaded", (path: string) => chmodSync(path, 0)],
  ] as const)("%s", async (name, reason, spoil) => {
    using folder = makeFolder();
    for (const file of readdirSync(NATIVE)) copyFileSync(join(NATIVE, file), join(folder.path, file));
    copyFileSync(join(import.meta.dir, "../../src/demo/demo.gguf"), join(folder.path, "demo.gguf"));
    spoil(join(folder.path, "probe.node"));
    const server = await startBinary({ env: { ML_OFFLOAD_NATIVE_DIR: folder.path } });
    try {
      const { unknown, cpu } = await ask(server, "/api/hardware");
      expect(cpu.usableCores).toBeGreaterThan(0);
      // Root may read anything.
      if (name !== "unreadable" || process.getuid?.() !== 0) {
        expect(unknown.driver).toContain(name === "missing" ? "not among the native files" : reason);
      }
      expect((await ask(server, "/api/health")).status).toBe("healthy");
    } finally {
      await server.stop();
    }
  });
});
