// Events reach those who listen, in order; a reader that is behind loses the oldest ones and knows how many.

import { expect, test } from "bun:test";
import { EventBus, type EventReader, READERS_MAX } from "../../src/lib/event-bus.ts";

type Topic = "a" | "b";

function open(bus: EventBus<Topic>, ...topics: Topic[]): EventReader<Topic> {
  const reader = bus.subscribe(topics);
  if (reader === null) throw new Error("nobody may listen any more");
  return reader;
}

test("a reader gets the events of its topics, numbered over all of them", async () => {
  const bus = new EventBus<Topic>(() => 7);
  const reader = open(bus, "a");
  bus.publish("a", { n: 1 });
  bus.publish("b", { n: 2 });
  bus.publish("a", { n: 3 });
  expect(await reader.next()).toEqual({
    events: [
      { topic: "a", seq: 1, time: 7, data: { n: 1 } },
      { topic: "a", seq: 3, time: 7, data: { n: 3 } },
    ],
    lost: 0,
  });
});

test("one who waits gets the next event, and one who comes later none before it", async () => {
  const bus = new EventBus<Topic>(() => 0);
  bus.publish("a", { n: 0 });
  const reader = open(bus, "a", "b");
  const next = reader.next();
  bus.publish("b", { n: 1 });
  expect((await next)?.events.map(({ seq }) => seq)).toEqual([2]);
});

test("a reader that does not read loses the oldest events", async () => {
  const bus = new EventBus<Topic>(() => 0);
  const reader = open(bus, "a");
  for (let n = 1; n <= 300; n++) bus.publish("a", { n });
  const batch = await reader.next();
  expect([batch?.lost, batch?.events.length, batch?.events[0]?.data]).toEqual([44, 256, { n: 45 }]);
  bus.publish("a", { n: 301 });
  expect(await reader.next()).toMatchObject({ lost: 0, events: [{ data: { n: 301 } }] });
});

test("of events that replace each other the last unread one stays, without a loss", async () => {
  const bus = new EventBus<Topic>(() => 0);
  const reader = open(bus, "a", "b");
  bus.publish("b", { other: true }, "job");
  for (let n = 1; n <= 1_000; n++) bus.publish("a", { n }, "job");
  bus.publish("a", { n: 0 }, "another");
  const batch = await reader.next();
  expect(batch?.lost).toBe(0);
  expect(batch?.events.map(({ data }) => data)).toEqual([{ other: true }, { n: 1_000 }, { n: 0 }]);
});

test("a closed reader is told, gets nothing more, and makes room", async () => {
  const bus = new EventBus<Topic>(() => 0);
  const reader = open(bus, "a");
  for (let n = 1; n < READERS_MAX; n++) open(bus, "b");
  expect(bus.subscribe(["a"])).toBeNull();
  const waiting = reader.next();
  expect(bus.hasReaders("a")).toBe(true);
  reader.close();
  expect(await waiting).toBeNull();
  bus.publish("a", {});
  expect(await reader.next()).toBeNull();
  expect(bus.hasReaders("a")).toBe(false);
  expect(bus.subscribe(["a"])).not.toBeNull();
});

test("who wants to know hears that somebody listens", () => {
  const bus = new EventBus<Topic>(() => 0);
  const heard: Topic[] = [];
  bus.onSubscribe((topic) => heard.push(topic));
  open(bus, "a", "b");
  expect(heard).toEqual(["a", "b"]);
});

test("a bus that is closed ends its readers and takes no more", async () => {
  const bus = new EventBus<Topic>(() => 0);
  const waiting = [open(bus, "a"), open(bus, "b")].map((reader) => reader.next());
  bus.close();
  expect(await Promise.all(waiting)).toEqual([null, null]);
  expect(bus.subscribe(["a"])).toBeNull();
});

test("a reader may choose other topics: what is unread of the others goes, and watchers hear of the new ones", async () => {
  const bus = new EventBus<Topic>(() => 0);
  const heard: Topic[] = [];
  const reader = open(bus, "a");
  bus.onSubscribe((topic) => void heard.push(topic));
  bus.publish("a", { n: 1 });
  bus.retune(reader, ["a", "b"]);
  bus.publish("b", { n: 2 });
  expect(heard).toEqual(["b"]);
  bus.retune(reader, ["b"]);
  bus.publish("a", { n: 3 });
  expect(await reader.next()).toMatchObject({ lost: 0, events: [{ data: { n: 2 } }] });
  expect([bus.hasReaders("a"), bus.hasReaders("b")]).toEqual([false, true]);
});

test("it is full when nobody may listen any more, and when it is closed", () => {
  const bus = new EventBus<Topic>(() => 0);
  const readers = Array.from({ length: READERS_MAX }, () => open(bus, "a"));
  expect(bus.isFull()).toBe(true);
  readers[0]?.close();
  expect(bus.isFull()).toBe(false);
  bus.close();
  expect(bus.isFull()).toBe(true);
});
