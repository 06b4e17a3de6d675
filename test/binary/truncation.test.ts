// Conversations over the context against the compiled binary: each dialect leaves out the oldest turns when asked to, and the
// turns that follow find their prompt in the cache.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { startBinary } from "../support/binary.ts";
import type { Server } from "../support/server.ts";
import { send } from "../support/still-serving.ts";

let server: Server;
beforeAll(async () => {
  server = await startBinary({ args: ["--ctx", "1024"] });
});
afterAll(() => server.stop());

const LIMITS = { model: "demo", max_tokens: 8, temperature: 0 };
const sayTurn = (at: number) => [
  { role: "user", content: `Turn ${at}: ${"one two three ".repeat(12)}` },
  { role: "assistant", content: `Yes, ${at}.` },
];
const LONG = [...Array.from({ length: 60 }, (_, at) => sayTurn(at)).flat(), { role: "user", content: "Say hello" }];
const AUTO = { mlo: { truncate: "auto" } };

test.each([
  ["/v1/chat/completions", { ...LIMITS, messages: LONG }],
  ["/v1/messages", { ...LIMITS, messages: LONG }],
  ["/v1/responses", { model: "demo", max_output_tokens: 8, input: LONG }],
])("%s", async (path, body) => {
  const refused = await send(server, path, body);
  expect(refused.status).toBe(400);
  expect(refused.body.error.code).toBe("context_length_exceeded");
  const { status, body: answer } = await send(server, path, { ...body, ...AUTO });
  expect(status).toBe(200);
  const { turns, messages } = answer.mlo.truncated;
  expect(turns).toBeGreaterThan(30);
  expect(messages).toBe(2 * turns);
  const { live, retained, disk, evaluated } = answer.mlo.cache;
  expect(live + retained + disk + evaluated).toBeLessThanOrEqual(1016);
  expect(live + retained + disk + evaluated).toBeGreaterThan(700);
});

test("of a conversation that goes on, most turns read only what is new", async () => {
  const messages = [...LONG];
  const reads: number[] = [];
  for (let at = 0; at < 12; at++) {
    const { status, body } = await send(server, "/v1/chat/completions", { ...LIMITS, messages, ...AUTO });
    expect(status).toBe(200);
    reads.push(body.mlo.cache.evaluated);
    const content = body.choices[0].message.content;
    messages.push({ role: "assistant", content }, { role: "user", content: `And ${at}?` });
  }
  expect(reads.filter((tokens) => tokens > 200).length).toBeLessThan(5);
});

test("an agent with one long task loses its oldest calls with their results", async () => {
  const steps = Array.from({ length: 40 }, (_, at) => [
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: `c${at}`, type: "function", function: { name: "look_up", arguments: `{"page":${at}}` } }],
    },
    { role: "tool", tool_call_id: `c${at}`, content: `Page ${at}: ${"four five six ".repeat(12)}` },
  ]);
  const tools = [{ type: "function", function: { name: "look_up", parameters: { type: "object" } } }];
  const messages = [{ role: "user", content: "Read all pages" }, ...steps.flat()];
  const { status, body } = await send(server, "/v1/chat/completions", { ...LIMITS, messages, tools, ...AUTO });
  expect(status).toBe(200);
  expect(body.mlo.truncated.turns).toBe(0);
  expect(body.mlo.truncated.messages % 2).toBe(0);
  expect(body.mlo.truncated.messages).toBeGreaterThan(20);
});
