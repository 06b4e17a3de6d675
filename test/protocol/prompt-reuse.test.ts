// A prompt of several choices crosses the socket once, and each of them has it on the other side.

import { expect, test } from "bun:test";
import type { GenerationRequest, Prompt } from "../../src/protocol/generation.ts";
import { encodeFrame, FrameDecoder, type ToEngine } from "../../src/protocol/messages.ts";
import { PromptReceiver, PromptSender } from "../../src/protocol/prompt-reuse.ts";

const LONG: Prompt = { kind: "text", text: "once upon a time ".repeat(10_000) };
const SHORT: Prompt = { kind: "tokens", tokens: [1, 2] };

function generate(id: number, prompt: Prompt): ToEngine {
  const request: GenerationRequest = { prompt, sampling: { seed: id }, stop: [] };
  return { type: "generate", id, request };
}

/** Sender, socket and receiver. `fails`: whether the socket refuses the next message. */
function connect() {
  const decoder = new FrameDecoder<ToEngine>();
  const receiver = new PromptReceiver();
  const line = { bytes: 0, fails: false, received: [] as ToEngine[] };
  const sender = new PromptSender((message) => {
    if (line.fails) throw new RangeError("over the limit");
    const frame = encodeFrame(message);
    line.bytes += frame.byteLength;
    for (const { message } of decoder.push(frame)) line.received.push(receiver.expand(message));
  });
  return { sender, line };
}

test("sixteen choices of a long prompt are hardly more bytes than one", () => {
  const one = connect();
  one.sender.send(generate(0, LONG));
  const { sender, line } = connect();
  const messages = Array.from({ length: 16 }, (_, id) => generate(id, LONG));
  for (const message of messages) sender.send(message);
  expect(line.received).toEqual(messages);
  expect(line.bytes).toBeLessThan(one.line.bytes + 16 * 200);
});

test("prompts that take turns, and other messages between them, arrive as they were sent", () => {
  const { sender, line } = connect();
  const messages: ToEngine[] = [
    generate(1, LONG),
    { type: "cancel", id: 1 },
    generate(2, LONG),
    generate(3, SHORT),
    generate(4, LONG),
    generate(5, { ...LONG }),
  ];
  for (const message of messages) sender.send(message);
  expect(line.received).toEqual(messages);
});

test("a prompt that could not be sent is not taken for one that is there", () => {
  const { sender, line } = connect();
  sender.send(generate(1, SHORT));
  line.fails = true;
  expect(() => sender.send(generate(2, LONG))).toThrow("over the limit");
  line.fails = false;
  sender.send(generate(3, SHORT));
  sender.send(generate(4, LONG));
  expect(line.received).toEqual([generate(1, SHORT), generate(3, SHORT), generate(4, LONG)]);
});

test("a prompt that never came is a broken peer", () => {
  const request = { sampling: {}, stop: [] };
  expect(() => new PromptReceiver().expand({ type: "generate-again", id: 1, request })).toThrow("has not sent");
});
