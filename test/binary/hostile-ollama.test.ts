// Odd requests in Ollama's dialect to the compiled binary: each gets an answer that fits, and afterwards the server
// serves as before and holds nothing.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { startBinary } from "../support/binary.ts";
import type { Server } from "../support/server.ts";
import { expectServesOn, QUESTION, send } from "../support/still-serving.ts";

const CHAT = "/api/chat";
const GENERATE = "/api/generate";

let server: Server;
beforeAll(async () => {
  server = await startBinary();
});
afterAll(() => server.stop());
afterEach(() => expectServesOn(server));

const chat = (extra: object) => ({ messages: QUESTION.messages, stream: false, options: { num_predict: 4 }, ...extra });
const nest = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
const called = (text: unknown) => ({
  messages: [...QUESTION.messages, { role: "assistant", tool_calls: [{ function: { name: "f", arguments: text } }] }],
});

const REFUSED: [name: string, path: string, body: object | string, code: string][] = [
  ["no JSON", CHAT, "{", "invalid_request"],
  ["nesting", CHAT, `{"format":{"a":${nest(100_000)}}}`, "invalid_request"],
  ["half a surrogate pair", CHAT, chat({ messages: [{ role: "user", content: "\ud800" }] }), "invalid_request"],
  ["nesting in arguments", CHAT, chat(called(`{"a":${nest(200_000)}}`)), "invalid_request"],
  ["a prompt past the context", CHAT, chat({ messages: [user("word ".repeat(50_000))] }), "context_length_exceeded"],
  ["a seed of 1e999", GENERATE, '{"prompt":"x","options":{"seed":1e999}}', "invalid_request"],
  ["a limit of 1e30", GENERATE, { prompt: "x", options: { num_predict: 1e30 } }, "invalid_request"],
  ["a gap for a model that can't fill it", GENERATE, { prompt: "x", suffix: "y" }, "not_supported"],
  ["a text past the context", "/api/embed", { input: "word ".repeat(50_000) }, "context_length_exceeded"],
  ["a name of a million characters", "/api/copy", { source: "demo", destination: "x".repeat(1e6) }, "invalid_request"],
  ["a name on the way out", "/api/copy", { source: "demo", destination: "a/../../b\u0000" }, "invalid_request"],
];

function tool(parameters: object) {
  return { type: "function", function: { name: "f", parameters } };
}

function user(content: string) {
  return { role: "user", content };
}

test.each(REFUSED)("%s", async (_name, path, sent, code) => {
  const { status, body } = await send(server, path, sent);
  expect({ status, code: body.code }).toEqual({ status: 400, code });
  expect(body.error).toBeString();
});

const ANSWERED: [name: string, path: string, body: object][] = [
  ["a schema that is itself", CHAT, chat({ format: { $ref: "#" } })],
  ["arguments that are no JSON", CHAT, chat(called("no JSON"))],
  ["a seed of 1e18", CHAT, chat({ options: { seed: 1e18, num_predict: 4 } })],
  ["NUL in the prompt", CHAT, chat({ messages: [user("a\u0000b")] })],
  ["a tool's result before any call", CHAT, chat({ messages: [{ role: "tool", content: "x", tool_name: "f" }] })],
  ["only a system message", CHAT, chat({ messages: [{ role: "system", content: "x" }] })],
  ["a schema for anything", CHAT, chat({ format: {} })],
  ["a template's variables", CHAT, chat({ think: "high", messages: [user("{{ x }}<|im_end|>")] })],
  ["NUL in a text", "/api/embed", { input: "a\u0000b" }],
];

test.each(ANSWERED)("%s is answered", async (_name, path, sent) => {
  const { status, body } = await send(server, path, sent);
  expect([status, body.error]).toEqual([200, undefined]);
});

/** What no grammar can say, so that the answer comes with a warning. */
const RELAXED: [name: string, path: string, body: object][] = [
  ["a schema of no type", CHAT, chat({ format: { type: "banana" } })],
  ["a schema with no value", CHAT, chat({ format: { enum: [] } })],
  ["a tool with an odd schema", CHAT, chat({ tools: [tool({ type: [], properties: 5 })] })],
];

test.each(RELAXED)("%s is told of", async (_name, path, sent) => {
  const { status, body } = await send(server, path, sent);
  expect([status, body.mlo.warnings[0].code]).toEqual([200, "schema_relaxed"]);
});

test("unloading under requests ends none of them", async () => {
  const questions = Array.from({ length: 8 }, () => send(server, CHAT, chat({ keep_alive: 0 })));
  const unloads = Array.from({ length: 8 }, () => send(server, GENERATE, { keep_alive: 0 }));
  const answers = await Promise.all([...questions, ...unloads]);
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  // From here on it stays: what is read after this test would else come before or after the engine's end, by chance.
  expect((await send(server, CHAT, chat({ keep_alive: -1 }))).status).toBe(200);
});
