import { expect, test } from "bun:test";
import { EventLog, followLog } from "../../src/api/responses/event-log.ts";
import type { ResponseEvent } from "../../src/api/responses/reply-schema.ts";
import { parseEvents } from "../support/response-events.ts";

const makeEvents = (count: number, from = 0): ResponseEvent[] =>
  Array.from({ length: count }, (_, at) => ({ type: "response.x", sequence_number: from + at, text: `line\n\n${at}` }));

async function readAll(log: EventLog, after: number): Promise<string> {
  const source = followLog(log, after);
  let text = source.open();
  for (let ended = false; !ended; ) {
    const piece = await source.next();
    text += piece.text;
    ended = piece.ended;
  }
  return text;
}

test("readers get all from where they are, while it grows", async () => {
  const log = new EventLog();
  log.append(makeEvents(100));
  const readers = [-1, 50, 99, 150].map((after) => readAll(log, after));
  log.append(makeEvents(100, 100));
  await Bun.sleep(0);
  log.append(makeEvents(1, 200));
  log.end();
  const numbers = (await Promise.all(readers)).map((text) => parseEvents(text).map((event) => event.sequence_number));
  expect(numbers.map(([first]) => first)).toEqual([0, 51, 100, 151]);
  expect(numbers.every((list) => list.at(-1) === 200)).toBe(true);
});

test("what is packed is what was logged", async () => {
  const log = EventLog.of(makeEvents(70));
  const packed = log.pack();
  if (packed === null) throw new Error("it is complete");
  expect(await readAll(EventLog.unpack(packed), -1)).toBe(await readAll(log, -1));
  expect(await readAll(EventLog.unpack(packed), 69)).toBe("");
});

test("a log that is too long ends with an error that says so, and is not packed", async () => {
  const log = new EventLog(1000);
  log.append(makeEvents(50));
  log.end();
  const events = parseEvents(await readAll(log, -1));
  expect(events.length).toBeLessThan(20);
  expect(events.at(-1)).toMatchObject({
    type: "error",
    code: "internal",
    message: expect.stringContaining("too many"),
  });
  expect(log.pack()).toBeNull();
});
