// The outbox: one message a step, and one end for each request.

import { expect, test } from "bun:test";
import { Outbox } from "../../src/engine/outbox.ts";
import { AssertionFailed } from "../../src/lib/assert.ts";
import { encodeFrame, FRAME_BYTES_MAX, type FromEngine } from "../../src/protocol/messages.ts";

function makeOutbox(): { outbox: Outbox; sent: FromEngine[] } {
  const sent: FromEngine[] = [];
  return { outbox: new Outbox((message) => void sent.push(message)), sent };
}

test("events of a step go out in one message, in order; without events none does", () => {
  const { outbox, sent } = makeOutbox();
  outbox.flush();
  outbox.open(1);
  outbox.open(2);
  outbox.emit(2, { type: "delta", text: "b" });
  outbox.emit(1, { type: "cancelled" });
  outbox.emit(2, { type: "cancelled" });
  outbox.flush();
  outbox.flush();
  expect(sent).toEqual([
    {
      type: "events",
      events: [
        [2, { type: "delta", text: "b" }],
        [1, { type: "cancelled" }],
        [2, { type: "cancelled" }],
      ],
    },
  ]);
});

test("long texts of one step do not outgrow a frame", () => {
  const sizes: number[] = [];
  const ids: number[] = [];
  const outbox = new Outbox((message) => {
    sizes.push(encodeFrame(message).byteLength);
    if (message.type === "events") ids.push(...message.events.map(([id]) => id));
  });
  // Choices of one prompt that all get their places at once, and with them its echo.
  const text = "\u0001".repeat(1024 * 1024);
  for (let id = 0; id < 32; id++) {
    outbox.open(id);
    outbox.emit(id, { type: "delta", text });
  }
  outbox.flush();
  expect(Math.max(...sizes)).toBeLessThan(FRAME_BYTES_MAX / 2);
  expect(ids).toEqual(Array.from({ length: 32 }, (_, id) => id));
});

test("a sent message does not change afterwards", () => {
  const { outbox, sent } = makeOutbox();
  outbox.open(1);
  outbox.emit(1, { type: "delta", text: "a" });
  outbox.flush();
  outbox.emit(1, { type: "delta", text: "b" });
  expect(sent).toHaveLength(1);
  expect(sent[0]).toEqual({ type: "events", events: [[1, { type: "delta", text: "a" }]] });
});

test("a request ends once, and nothing follows", () => {
  const { outbox } = makeOutbox();
  expect(() => outbox.emit(1, { type: "delta" })).toThrow(AssertionFailed);
  outbox.open(1);
  expect(outbox.isOpen(1)).toBe(true);
  expect(() => outbox.open(1)).toThrow(AssertionFailed);
  outbox.emit(1, { type: "cancelled" });
  expect(outbox.isOpen(1)).toBe(false);
  expect(() => outbox.emit(1, { type: "cancelled" })).toThrow("request 1 has already ended");
  expect(() => outbox.emit(1, { type: "delta" })).toThrow(AssertionFailed);
});
