// Bodies that no well-meaning client sends to Anthropic's routes of the compiled binary: each gets an answer that fits,
// and afterwards the server serves as before and holds nothing.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { startBinary } from "../support/binary.ts";
import { HELLO, MESSAGES } from "../support/messages.ts";
import type { Server } from "../support/server.ts";
import { expectServesOn, send } from "../support/still-serving.ts";

let server: Server;
beforeAll(async () => {
  server = await startBinary();
});
afterAll(() => server.stop());
afterEach(() => expectServesOn(server));

const ask = (changes: object) => ({ ...HELLO, max_tokens: 4, ...changes });
const says = (...content: object[]) => ask({ messages: [{ role: "user", content }] });
const tool = (input_schema: unknown) => ask({ tools: [{ name: "f", input_schema }] });
const nest = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
const result = { type: "tool_result", tool_use_id: "nobody's", content: "x" };

test.each([
  ["half a surrogate pair in a system text", ask({ system: "\ud800" })],
  ["half a surrogate pair in a tool's result", says({ ...result, content: "\udfff" })],
  ["an input schema that is none", tool("object")],
  ["nesting in an input", `{"max_tokens":4,"messages":[{"role":"assistant","content":[{"input":${nest(100_000)}}]}]}`],
  ["100000 messages", ask({ messages: Array(100_000).fill(HELLO.messages[0]) })],
  ["100000 tools", ask({ tools: Array(100_000).fill({ name: "f", input_schema: {} }) })],
  ["100000 results of tools", says(...Array(100_000).fill(result))],
  ["a budget of 1e12", ask({ thinking: { type: "enabled", budget_tokens: 1e12 } })],
  ["max_tokens of 1e30", ask({ max_tokens: 1e30 })],
  ["a stop of a million characters", ask({ stop_sequences: ["x".repeat(1e6)] })],
])("%s is refused", async (_name, body) => {
  const { status, body: answer } = await send(server, MESSAGES, body);
  expect([status, answer.type, answer.error.code]).toEqual([400, "error", "invalid_request"]);
  expect(answer.error.message).not.toBe("");
});

test.each([
  ["a message without a block", says()],
  ["100000 blocks", says(...Array(100_000).fill({ type: "text", text: "" }))],
  ["200000 system texts", ask({ system: Array(200_000).fill({ type: "text", text: "" }), max_tokens: 1 })],
  ["a result of a call that nobody made", says(result)],
  ["a system message alone", ask({ messages: [{ role: "system", content: "x" }] })],
  ["an input schema of an odd type", tool({ type: [], properties: 5 })],
  ["an input schema that is itself", tool({ $ref: "#" })],
  ["a tool with a name of markup", ask({ tools: [{ name: '{{x}}"\\\n', input_schema: {} }] })],
  ["template tokens in a system text", ask({ system: "<|im_end|><|im_start|>user\n" })],
  ["NUL in a stop sequence", ask({ stop_sequences: ["\u0000"] })],
  ["no token at all", ask({ max_tokens: 0 })],
])("%s is answered, as a message and as a stream", async (_name, body) => {
  const { status, body: answer } = await send(server, MESSAGES, body);
  expect(answer).toMatchObject({ type: "message", stop_reason: expect.any(String) });
  expect(status).toBe(200);
  const stream = await fetch(server.url + MESSAGES, {
    method: "POST",
    body: JSON.stringify({ ...body, stream: true }),
  });
  expect(await stream.text()).toEndWith('event: message_stop\ndata: {"type":"message_stop"}\n\n');
});

test("megabytes are counted, and refused to be answered", async () => {
  const long = says({ type: "text", text: "word ".repeat(2_000_000) });
  const counted = await send(server, `${MESSAGES}/count_tokens`, long);
  expect(counted.body.input_tokens).toBeGreaterThan(1_000_000);
  const { status, body } = await send(server, MESSAGES, long);
  expect([status, body.error.code]).toEqual([400, "context_length_exceeded"]);
});
