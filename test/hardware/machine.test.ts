// One look at the machine for all who ask, and snapshots for those who listen.

import { describe, expect, test } from "bun:test";
import { announceHardware } from "../../src/commands/server/announcing.ts";
import { Machine } from "../../src/hardware/machine.ts";
import type { ProbeReading } from "../../src/hardware/probe.ts";
import { HardwareWatch } from "../../src/hardware/watch.ts";
import { EventBus } from "../../src/lib/event-bus.ts";
import type { EventTopic } from "../../src/protocol/events.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { settle } from "../support/http-app.ts";
import { FakeMachine, makeMachine } from "../support/machines.ts";
import { recordedSystem } from "../support/recorded-system.ts";

function openMachine() {
  const clock = new FakeClock();
  const open: ((reading: ProbeReading) => void)[] = [];
  const files: Record<string, string> = { "/proc/cpuinfo": "model name\t: First\n" };
  const machine = new Machine({
    system: { ...recordedSystem(files), text: (path) => files[path] ?? null },
    probe: { read: () => new Promise((resolve) => open.push(resolve)) },
    diskPath: "/m",
    readDisk: async () => null,
    clock,
    platform: "linux",
    arch: "x64",
    cores: 2,
  });
  const answer = () => open.shift()?.({ kind: "absent", reason: "none" });
  return { machine, clock, open, files, answer };
}

describe("a machine", () => {
  test("is looked at once for all who ask meanwhile, and not again while the answer is new enough", async () => {
    const { machine, clock, open, answer } = openMachine();
    expect(machine.latest()).toBeNull();
    const both = [machine.read(0), machine.read(1_000)];
    expect(open).toHaveLength(1);
    answer();
    const [first, second] = await Promise.all(both);
    expect(second).toBe(first as never);
    expect(machine.latest()).toBe(first as never);
    clock.advance(1_000);
    expect(await machine.read(1_000)).toBe(first as never);
    clock.advance(1);
    const later = machine.read(1_000);
    expect(open).toHaveLength(1);
    answer();
    expect(await later).not.toBe(first as never);
  });

  test("is looked at again for who asks after a look has begun, and wants none from before", async () => {
    const { machine, clock, open, answer } = openMachine();
    const first = machine.read(0);
    clock.advance(5);
    const [late, content] = [machine.read(0), machine.read(5)];
    expect(open).toHaveLength(1);
    answer();
    expect(await content).toBe(await first);
    await settle();
    expect(open).toHaveLength(1);
    answer();
    expect(await late).not.toBe(await first);
    expect((await late).takenAt - (await first).takenAt).toBe(5);
  });

  test("has the same processors as at the first look, and the reasons of theirs", async () => {
    const { machine, files, answer } = openMachine();
    const first = machine.read(0);
    answer();
    expect((await first).cpu.model).toBe("First");
    files["/proc/cpuinfo"] = "model name\t: Second\n";
    const second = machine.read(-1);
    answer();
    expect((await second).cpu.model).toBe("First");
    expect((await second).unknown["cpu.physicalCores"]).toBeString();
  });

  test("a disk that does not answer is a reason", async () => {
    const clock = new FakeClock();
    const machine = new Machine({
      system: recordedSystem({}),
      probe: { read: async () => ({ kind: "absent", reason: "none" }) },
      diskPath: "/net",
      readDisk: () => new Promise(() => {}),
      clock,
      platform: "linux",
      arch: "x64",
      cores: 2,
    });
    const snapshot = machine.read(0);
    clock.advance(1_000);
    expect((await snapshot).unknown["disk.freeBytes"]).toBe("the file system does not tell it");
  });
});

describe("those who listen", () => {
  test("get a snapshot at once and then every two seconds, and nobody none", async () => {
    const machine = new FakeMachine();
    const clock = new FakeClock();
    const events = new EventBus<EventTopic>(() => clock.wallMs());
    const watch = announceHardware(machine, events, "0.0.0.0", clock);
    clock.advance(60_000);
    await settle();
    expect(machine.reads).toBe(0);
    events.subscribe(["models"]);
    await settle();
    expect(machine.reads).toBe(0);
    const reader = events.subscribe(["hardware"]);
    await settle();
    const first = await reader?.next();
    expect(first?.events).toMatchObject([{ topic: "hardware", data: { disk: { path: null } } }]);
    machine.now = makeMachine({ driver: "1" });
    clock.advance(2_000);
    await settle();
    machine.now = makeMachine({ driver: "2" });
    clock.advance(2_000);
    await settle();
    // Of two that were not read the newer one is left.
    expect((await reader?.next())?.events).toMatchObject([{ data: { driver: "2" } }]);
    reader?.close();
    clock.advance(2_000);
    await settle();
    const reads = machine.reads;
    clock.advance(60_000);
    await settle();
    expect([machine.reads, clock.pendingTimers]).toEqual([reads, 0]);
    // Whoever comes later gets one too.
    const late = events.subscribe(["hardware"]);
    await settle();
    expect((await late?.next())?.events).toHaveLength(1);
    watch.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  test("a second one does not double the looks", async () => {
    const machine = new FakeMachine();
    const clock = new FakeClock();
    let told = 0;
    const watch = new HardwareWatch({ machine, hasListeners: () => true, publish: () => told++, clock });
    watch.begin();
    watch.begin();
    await settle();
    watch.begin();
    await settle();
    expect([told, clock.pendingTimers]).toEqual([2, 1]);
    watch.stop();
    watch.begin();
    clock.advance(10_000);
    await settle();
    expect(told).toBe(2);
  });
});
