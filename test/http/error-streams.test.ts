// What ends an answer after it has begun: in one piece it is the answer's status, and in a stream the last frame, in each
// dialect's own form, with every code that the engine or the request's life may give.

import { describe, expect, test } from "bun:test";
import { ERROR_KINDS, type ErrorCode } from "../../src/protocol/errors.ts";
import { type Dialect, expectEnvelope, expectError } from "../support/error-routes.ts";
import { playEvents } from "../support/fake-inference.ts";
import { createTestApp, type Json, parseFrames } from "../support/http-app.ts";

/** What an engine, its client in the server, or the request's own limits end a generation with. */
const CODES = [
  "invalid_request",
  "context_length_exceeded",
  "model_damaged",
  "out_of_memory",
  "engine_crashed",
  "request_crashes_engine",
  "overloaded",
  "timeout",
  "cancelled",
  "internal",
] as const satisfies ErrorCode[];

const CHAT = { messages: [{ role: "user", content: "Hello!" }] };

const ROUTES: [path: string, dialect: Dialect, body: object][] = [
  ["/v1/chat/completions", "openai", CHAT],
  ["/v1/completions", "openai", { prompt: "x" }],
  ["/infill", "openai", { input_prefix: "x", input_suffix: "" }],
  ["/v1/messages", "anthropic", { ...CHAT, max_tokens: 8 }],
  ["/api/chat", "ollama", CHAT],
  ["/api/generate", "ollama", { prompt: "x" }],
];

function createBreakingApp(code: ErrorCode) {
  const app = createTestApp();
  const error = { code, message: "It ended there" };
  app.inference.script = playEvents({ type: "delta", text: "Hel" }, { type: "error", error });
  return app;
}

describe.each(ROUTES)("%s", (path, dialect, body) => {
  test.each(CODES)("%s is the status of an answer in one piece", async (code) => {
    const response = await createBreakingApp(code).post(path, { ...body, stream: false });
    await expectError(dialect, response, code);
  });

  test.each(CODES)("%s is the last frame of a stream", async (code) => {
    const response = await createBreakingApp(code).post(path, { ...body, stream: true });
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text).toContain("Hel");
    expect(text).not.toContain("[DONE]");
    expectEnvelope(dialect, readLast(dialect, text), code);
  });
});

/** The last frame of the stream, each dialect's way to write one checked. */
function readLast(dialect: Dialect, text: string): Json {
  if (dialect === "ollama") return JSON.parse(text.trimEnd().split("\n").at(-1) ?? "");
  if (dialect === "openai") return parseFrames(text).at(-1);
  const [, json] = /\n\nevent: error\ndata: (.*)\n\n$/.exec(text) ?? [];
  return JSON.parse(json ?? "null");
}

describe("/v1/responses", () => {
  test.each(CODES)("%s is the status of an answer in one piece", async (code) => {
    const response = await createBreakingApp(code).post("/v1/responses", { input: "x" });
    await expectError("openai", response, code);
  });

  test.each(CODES)("%s is the last event of a stream, and what is stored", async (code) => {
    const app = createBreakingApp(code);
    const text = await (await app.post("/v1/responses", { input: "x", stream: true })).text();
    const [, json] = /\n\nevent: response\.failed\ndata: (.*)\n\n$/.exec(text) ?? [];
    const { response } = JSON.parse(json ?? "null");
    const { status, hint } = ERROR_KINDS[code];
    const said = code === "overloaded" ? "rate_limit_exceeded" : status >= 500 ? "server_error" : code;
    expect(response).toMatchObject({ status: "failed", error: { code: said, message: "It ended there", hint } });
    const stored = await app.get(`/v1/responses/${response.id}`);
    expect(await stored.json()).toEqual(response);
  });
});
