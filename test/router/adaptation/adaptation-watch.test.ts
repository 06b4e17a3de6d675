// The watch over engines that only take notes: looks while somebody runs, tells each engine once, and tells people.

import { describe, expect, test } from "bun:test";
import type { Logger } from "../../../src/lib/log.ts";
import type { EngineLimits } from "../../../src/protocol/messages.ts";
import { CALM_MS, type Lowerable, RAISE_MS } from "../../../src/router/adaptation/adaptation.ts";
import { AdaptationWatch, type EngineAdaptation, LOOK_MS } from "../../../src/router/adaptation/adaptation-watch.ts";
import { FakeBackend } from "../../support/fake-backend.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { type MachineChanges, makePressed } from "../../support/pressed-machines.ts";

const LITTLE: MachineChanges = { memory: { availableBytes: 1.5 * 1024 ** 3 } };
const NOTHING: MachineChanges = { memory: { availableBytes: 1024 ** 2 } };
const POLICY = { autoOptimization: true, thermalThrottling: true, powerManagement: true, lowersExplicit: false };
const NONE: ReadonlySet<Lowerable> = new Set();

class Fixture {
  readonly clock = new FakeClock();
  readonly published: EngineAdaptation[] = [];
  readonly lines: string[] = [];
  readonly watch: AdaptationWatch;
  machine: MachineChanges = {};
  looks = 0;
  failure: Error | null = null;

  constructor(policy = POLICY) {
    const note = (level: string) => (message: string, fields?: object) =>
      void this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
    const log = { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") };
    this.watch = new AdaptationWatch({
      readMachine: async () => {
        this.looks++;
        if (this.failure !== null) throw this.failure;
        return makePressed(this.machine);
      },
      policy,
      clock: this.clock,
      log: log as unknown as Logger,
      publish: (adaptation) => this.published.push(adaptation),
    });
  }

  engine(pid: number, changes: Partial<FakeBackend["info"]> = {}, explicit = NONE) {
    const sent: EngineLimits[] = [];
    const exit = Promise.withResolvers<void>();
    const { info } = new FakeBackend({ batchSize: 64, parallel: 8, retainedMax: 4 });
    const client = { adjust: (limits: EngineLimits) => void sent.push(limits) };
    this.watch.watch(`m${pid}`, { pid, info: { ...info, ...changes }, client, exited: exit.promise }, explicit);
    return { sent, exit: () => exit.resolve() };
  }

  /** So many looks, with what follows on each. */
  async look(times = 1, everyMs = LOOK_MS): Promise<void> {
    for (let i = 0; i < times; i++) {
      this.clock.advance(everyMs);
      await Bun.sleep(0);
    }
  }
}

describe("the watch", () => {
  test("looks only while somebody runs", async () => {
    const fixture = new Fixture();
    await fixture.look(3);
    expect([fixture.looks, fixture.clock.pendingTimers]).toEqual([0, 0]);
    const { exit } = fixture.engine(1);
    await fixture.look(3);
    expect(fixture.looks).toBe(3);
    exit();
    await Bun.sleep(0);
    await fixture.look(3);
    expect([fixture.looks, fixture.clock.pendingTimers]).toEqual([3, 0]);
    fixture.engine(2);
    await fixture.look();
    expect(fixture.looks).toBe(4);
    fixture.watch.stop();
    await fixture.look(3);
    expect(fixture.looks).toBe(4);
  });

  test("a calm machine says nothing to anybody", async () => {
    const fixture = new Fixture();
    const { sent } = fixture.engine(1);
    await fixture.look(50);
    expect([sent, fixture.published, fixture.lines]).toEqual([[], [], []]);
    expect(fixture.watch.describe().engines).toMatchObject([{ model: "m1", level: 0, lowered: [], causes: [] }]);
  });

  test("pressure lowers, is told once for each change, and is undone when it is over", async () => {
    const fixture = new Fixture();
    const { sent } = fixture.engine(1);
    fixture.machine = LITTLE;
    await fixture.look(1 + (2 * RAISE_MS) / LOOK_MS);
    expect(sent).toEqual([
      { promptRows: 16, places: 8, cacheShare: 1 },
      { promptRows: 16, places: 4, cacheShare: 1 },
    ]);
    expect(fixture.published.map(({ level }) => level)).toEqual([1, 2, 3]);
    expect(fixture.lines[0]).toContain("warn lowered under pressure");
    expect(fixture.lines[0]).toContain(
      "Prompt rows of a step is lowered from 64 to 16: 1.5 GiB of 16.0 GiB memory can be had",
    );
    // The second level lowers rows no further: an engine with so few has no use of it.
    expect(fixture.lines[1]).toStartWith("warn under pressure");
    expect(fixture.watch.describe().engines[0]?.causes).toMatchObject([{ cause: "memory", pressure: "high" }]);
    fixture.machine = {};
    await fixture.look(1);
    await fixture.look(3, CALM_MS);
    expect(sent.slice(2)).toEqual([
      { promptRows: 16, places: 8, cacheShare: 1 },
      { promptRows: 64, places: 8, cacheShare: 1 },
    ]);
    expect(fixture.lines.at(-1)).toBe('info no longer lowered {"model":"m1","pid":1,"level":0}');
    expect(fixture.published.at(-1)).toMatchObject({ level: 0, lowered: [], causes: [] });
  });

  test("engines are judged by what they compute on, and one that starts later is lowered too", async () => {
    const fixture = new Fixture();
    fixture.machine = { devices: [{ throttleReasons: ["thermal"] }] };
    const onCpu = fixture.engine(1);
    const onGpu = fixture.engine(2, { devices: ["CUDA0"] });
    await fixture.look();
    expect([onCpu.sent.length, onGpu.sent.length]).toEqual([0, 1]);
    fixture.machine = NOTHING;
    await fixture.look();
    const later = fixture.engine(3);
    await fixture.look();
    expect(later.sent).toEqual([{ promptRows: 16, places: 2, cacheShare: 0 }]);
    expect(fixture.watch.describe().engines.map(({ level }) => level)).toEqual([6, 6, 6]);
  });

  test("memory of a device that engines of ours have is no pressure", async () => {
    const fixture = new Fixture();
    const processes = [1, 2].map((pid) => ({ pid, usedBytes: 12e9 }));
    fixture.machine = { devices: [{ freeBytes: 1e8, processes }] };
    const { sent } = fixture.engine(1, { devices: ["CUDA0"] });
    const second = fixture.engine(2, { devices: ["CUDA0"] });
    await fixture.look();
    expect(sent).toEqual([]);
    second.exit();
    await Bun.sleep(0);
    await fixture.look();
    expect(sent).toHaveLength(1);
  });

  test("what was set explicitly is left, and that is told", async () => {
    const fixture = new Fixture();
    fixture.machine = NOTHING;
    const { sent } = fixture.engine(1, {}, new Set(["batch", "parallel", "cache"]));
    await fixture.look();
    expect(sent).toEqual([]);
    expect(fixture.published[0]).toMatchObject({
      lowered: [],
      spared: [{ what: "batch" }, { what: "parallel" }, { what: "cache" }],
    });
    expect(fixture.lines[0]).toStartWith("warn under pressure");
  });

  test("nothing is watched where nothing may be lowered, or nothing could be", async () => {
    const off = new Fixture({ ...POLICY, autoOptimization: false });
    off.machine = NOTHING;
    const { sent } = off.engine(1);
    await off.look(3);
    expect([off.looks, sent, off.watch.describe()]).toEqual([
      0,
      [],
      { policy: { ...POLICY, autoOptimization: false }, problem: null, engines: [] },
    ]);
    const embeds = new Fixture();
    embeds.engine(1, { canGenerate: false });
    await embeds.look();
    expect(embeds.looks).toBe(0);
  });

  test("a machine that can't be read presses nobody, and is told of once", async () => {
    const fixture = new Fixture();
    fixture.machine = NOTHING;
    const { sent } = fixture.engine(1);
    await fixture.look();
    expect(sent).toHaveLength(1);
    fixture.failure = new Error("no such file");
    await fixture.look(1);
    expect(fixture.watch.describe().problem).toBe("no such file");
    await fixture.look(6, CALM_MS);
    expect(sent.at(-1)).toEqual({ promptRows: 64, places: 8, cacheShare: 1 });
    expect(fixture.lines.filter((line) => line.includes("can't be looked at"))).toHaveLength(1);
    fixture.failure = null;
    await fixture.look();
    expect(fixture.watch.describe().problem).toBeNull();
  });

  test("a look that takes long is not overtaken by the next one", async () => {
    const fixture = new Fixture();
    fixture.engine(1);
    fixture.clock.advance(10 * LOOK_MS);
    expect(fixture.looks).toBe(1);
    fixture.engine(2);
    expect(fixture.clock.pendingTimers).toBe(0);
    await Bun.sleep(0);
    expect(fixture.clock.pendingTimers).toBe(1);
  });
});
