// Requests whose engine dies: tried once more when nothing had come, told when something had, refused when engines
// keep dying of them.

import { describe, expect, test } from "bun:test";
import type { GenerationEvent } from "../../../src/protocol/generation.ts";
import type { FakeEngine } from "../../support/fake-engines.ts";
import { DONE_EVENT } from "../../support/fake-inference.ts";
import { codeOf, REQUEST, RouterFixture, readAll } from "../../support/router-fixture.ts";

const DELTA: GenerationEvent = { type: "delta", text: "Hello" };
/** An engine that lived so long before it died counts as the first to die: its slot does not cool off. */
const CALM_MS = 60_000;

const never = () => new AbortController().signal;
const kindsOf = (events: GenerationEvent[]): string[] =>
  events.map((event) => (event.type === "error" ? event.error.code : event.type));

class CrashFixture extends RouterFixture {
  /** The engine that is started next, when somebody asks for one. */
  async next(): Promise<FakeEngine> {
    const before = this.starts.length;
    for (let turn = 0; turn < 20 && this.starts.length === before; turn++) await Bun.sleep(0);
    return await this.start(before).succeed();
  }

  /** Has the model's engine die with this request, twice, and the slot still willing to start another. */
  async dieTwiceOf(send: () => Promise<unknown>, engine: FakeEngine): Promise<void> {
    const sent = send();
    this.clock.advance(CALM_MS);
    const next = this.next();
    await engine.die();
    const second = await next;
    await Bun.sleep(0);
    this.clock.advance(CALM_MS);
    await second.die();
    await sent;
  }
}

describe("a generation that had produced nothing", () => {
  test("goes on on the next engine, and its reader does not notice", async () => {
    const fixture = new CrashFixture();
    const engine = await fixture.up("a");
    const { events } = await fixture.generate("a");
    const reading = readAll(events);
    const next = fixture.next();
    await engine.die();
    const second = await next;
    await Bun.sleep(0);
    expect(second.generations().map(({ request }) => request)).toEqual([REQUEST]);
    second.say(second.lastId, DELTA, DONE_EVENT);
    expect(await reading).toEqual([DELTA, DONE_EVENT]);
    expect(second.client.openCount).toBe(0);
  });

  test("goes on as well when it had not even been accepted", async () => {
    const fixture = new CrashFixture();
    const engine = await fixture.up("a");
    engine.accepts = false;
    const generating = fixture.generate("a");
    const next = fixture.next();
    await engine.die();
    const second = await next;
    const { events } = await generating;
    second.say(second.lastId, DONE_EVENT);
    expect(await readAll(events)).toEqual([DONE_EVENT]);
  });

  test("many together share one new engine", async () => {
    const fixture = new CrashFixture();
    const engine = await fixture.up("a");
    const generations = await Promise.all([1, 2, 3].map(() => fixture.generate("a")));
    const reading = generations.map(({ events }) => readAll(events));
    const next = fixture.next();
    await engine.die();
    const second = await next;
    await Bun.sleep(0);
    expect(fixture.starts).toHaveLength(2);
    for (const { id } of second.generations()) second.say(id, DONE_EVENT);
    expect(await Promise.all(reading)).toEqual([[DONE_EVENT], [DONE_EVENT], [DONE_EVENT]]);
  });

  test("is told of the crash when the slot cools off", async () => {
    const fixture = new CrashFixture();
    await (await fixture.up("a")).die();
    const engine = await fixture.up("a");
    const { events } = await fixture.generate("a");
    await engine.die();
    const [told] = await readAll(events);
    expect(told).toMatchObject({ error: { code: "engine_crashed", message: expect.stringContaining("SIGKILL") } });
    expect(fixture.starts).toHaveLength(2);
  });

  test("is told why when the next engine can't be started", async () => {
    const fixture = new CrashFixture();
    const engine = await fixture.up("a");
    const { events } = await fixture.generate("a");
    const reading = readAll(events);
    await engine.die();
    await Bun.sleep(0);
    await fixture.start(1).fail(new TypeError("a bug"));
    expect(await reading).toMatchObject([{ type: "error", error: { code: "internal", message: "a bug" } }]);
  });

  test("and whose client leaves while the next engine starts, is cancelled", async () => {
    const fixture = new CrashFixture();
    const engine = await fixture.up("a");
    const controller = new AbortController();
    const { events } = await fixture.generate("a", controller.signal);
    const reading = readAll(events);
    await engine.die();
    await Bun.sleep(0);
    controller.abort();
    expect(kindsOf(await reading)).toEqual(["cancelled"]);
    const second = await fixture.start(1).succeed();
    expect(second.generations()).toEqual([]);
  });

  test("and whose reader breaks off meanwhile, leaves nothing open", async () => {
    const fixture = new CrashFixture();
    const engine = await fixture.up("a");
    const { events } = await fixture.generate("a");
    const reader = events[Symbol.asyncIterator]();
    const pending = reader.next();
    const next = fixture.next();
    await engine.die();
    await Bun.sleep(0);
    await reader.return?.();
    const second = await next;
    expect((await pending).done).toBe(true);
    expect(second.client.openCount).toBe(0);
  });

  test("is not tried again when the server stops", async () => {
    const fixture = new CrashFixture();
    await fixture.up("a");
    const { events } = await fixture.generate("a");
    await fixture.router.stop();
    expect(kindsOf(await readAll(events))).toEqual(["engine_crashed"]);
    expect(fixture.starts).toHaveLength(1);
  });
});

test("an answer that nobody reads along begins anew although some of it had come", async () => {
  const fixture = new CrashFixture();
  const engine = await fixture.up("a");
  const { events } = await fixture.generate("a", never(), { ...REQUEST, whole: true, echo: true, logprobs: 1 });
  const reading = readAll(events);
  engine.say(engine.lastId, DELTA, DELTA);
  const next = fixture.next();
  await engine.die();
  const second = await next;
  await Bun.sleep(0);
  const other: GenerationEvent = { type: "delta", text: "again" };
  second.say(second.lastId, other, DELTA, DONE_EVENT);
  expect(await reading).toEqual([other, DELTA, DONE_EVENT]);
  expect(second.client.openCount).toBe(0);
});

describe("a generation that had produced something", () => {
  test("ends with the crash", async () => {
    const fixture = new CrashFixture();
    const engine = await fixture.up("a");
    const { events } = await fixture.generate("a");
    engine.say(engine.lastId, DELTA);
    await engine.die();
    expect(kindsOf(await readAll(events))).toEqual(["delta", "engine_crashed"]);
    expect(fixture.starts).toHaveLength(1);
  });

  test("and is sent again and again is refused after two deaths", async () => {
    const fixture = new CrashFixture();
    for (let deaths = 0; deaths < 2; deaths++) {
      const engine = await fixture.up("a");
      const { events } = await fixture.generate("a");
      engine.say(engine.lastId, DELTA);
      fixture.clock.advance(CALM_MS);
      await engine.die();
      await readAll(events);
    }
    expect(await codeOf(fixture.generate("a"))).toBe("request_crashes_engine");
    // Another one is not, and this one only for a while.
    await fixture.up("a");
    fixture.clock.advance(10 * 60_000);
    expect(await codeOf(fixture.generate("a"))).toBe("resolved");
  });
});

describe("a request that was present at two deaths", () => {
  test("is told so, and refused when it comes again; no third engine dies of it", async () => {
    const fixture = new CrashFixture();
    const engine = await fixture.up("a");
    const { events } = await fixture.generate("a");
    const reading = readAll(events);
    await fixture.dieTwiceOf(() => reading, engine);
    const [told] = await reading;
    expect(told).toMatchObject({ type: "error", error: { code: "request_crashes_engine" } });
    expect(JSON.stringify(told)).toContain("GGML_ASSERT(x) failed");
    expect(await codeOf(fixture.generate("a"))).toBe("request_crashes_engine");
    const third = fixture.next();
    const other = codeOf(fixture.generate("a", never(), { ...REQUEST, stop: ["x"] }));
    await third;
    expect(await other).toBe("resolved");
  });

  test("of which one answer came is let in again", async () => {
    const fixture = new CrashFixture();
    const engine = await fixture.up("a");
    const { events } = await fixture.generate("a");
    const reading = readAll(events);
    const next = fixture.next();
    await engine.die();
    const second = await next;
    await Bun.sleep(0);
    second.say(second.lastId, DONE_EVENT);
    await reading;
    const again = await fixture.generate("a");
    second.say(second.lastId, DELTA);
    fixture.clock.advance(CALM_MS);
    await second.die();
    await readAll(again.events);
    const third = fixture.next();
    const admitted = codeOf(fixture.generate("a"));
    await third;
    expect(await admitted).toBe("resolved");
  });
});

describe("embeddings", () => {
  const embed = (fixture: RouterFixture) => fixture.router.embed("a", ["x"], never());

  test("are tried once more", async () => {
    const fixture = new CrashFixture();
    const engine = await fixture.up("a");
    const embedding = embed(fixture);
    const next = fixture.next();
    await engine.die();
    const second = await next;
    await Bun.sleep(0);
    const asked = second.sent.at(-1);
    if (asked?.type !== "embed") throw new Error("it was not asked again");
    second.tell({ type: "embeddings", id: asked.id, count: 0, dimensions: 0, promptTokens: 3 });
    expect(await embedding).toMatchObject({ promptTokens: 3, model: { id: "a" } });
  });

  test("of which two engines die are refused", async () => {
    const fixture = new CrashFixture();
    const engine = await fixture.up("a");
    const codes: string[] = [];
    await fixture.dieTwiceOf(async () => codes.push(await codeOf(embed(fixture))), engine);
    codes.push(await codeOf(embed(fixture)));
    expect(codes).toEqual(["request_crashes_engine", "request_crashes_engine"]);
  });
});
