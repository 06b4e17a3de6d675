// Every refusal of Anthropic's routes, in Anthropic's envelope: status, class, code and the path of the field.

import { describe, expect, test } from "bun:test";
import { encodeErrorReply } from "../../src/api/anthropic/errors.ts";
import { AppError, ERROR_KINDS, type ErrorCode } from "../../src/protocol/errors.ts";
import { playEvents } from "../support/fake-inference.ts";
import { createTestApp, readError, readJson } from "../support/http-app.ts";
import { HELLO, MESSAGES, readEvents, readMessageError } from "../support/messages.ts";

const COUNT = `${MESSAGES}/count_tokens`;
const USER = HELLO.messages[0];
const withBlocks = (...content: object[]) => ({ ...HELLO, messages: [{ role: "user", content }] });
const withAssistant = (...content: object[]) => ({ ...HELLO, messages: [USER, { role: "assistant", content }, USER] });

const PROMPT_REFUSALS = [
  [{}, "invalid_request", "messages"],
  [{ messages: [] }, "invalid_request", "messages"],
  [{ messages: "hi" }, "invalid_request", "messages"],
  [{ messages: [{ role: "tool", content: "x" }] }, "invalid_request", "messages[0].role"],
  [{ messages: [{ role: "user" }] }, "invalid_request", "messages[0].content"],
  [{ messages: [{ role: "user", content: 3 }] }, "invalid_request", "messages[0].content"],
  [withBlocks({ text: "x" }), "invalid_request", "messages[0].content[0].type"],
  [withBlocks({ type: "text" }), "invalid_request", "messages[0].content[0].text"],
  [withBlocks({ type: "text", text: 3 }), "invalid_request", "messages[0].content[0].text"],
  [withBlocks({ type: "image", source: { type: "url", url: "x" } }), "not_supported", "messages[0].content[0].type"],
  [withBlocks({ type: "tool_use", id: "a", name: "f", input: {} }), "not_supported", "messages[0].content[0].type"],
  [withBlocks({ type: "container_upload", file_id: "x" }), "not_supported", "messages[0].content[0].type"],
  [withBlocks({ type: "document" }), "invalid_request", "messages[0].content[0].source"],
  [withBlocks({ type: "document", source: "x" }), "invalid_request", "messages[0].content[0].source"],
  [
    withBlocks({ type: "document", source: { type: "base64", media_type: "application/pdf", data: "x" } }),
    "not_supported",
    "messages[0].content[0].source.type",
  ],
  [withBlocks({ type: "document", source: { type: "text" } }), "invalid_request", "messages[0].content[0].source.data"],
  [
    withBlocks({ type: "document", source: { type: "content" } }),
    "invalid_request",
    "messages[0].content[0].source.content",
  ],
  [
    withBlocks({ type: "document", source: { type: "content", content: [{ type: "image" }] } }),
    "not_supported",
    "messages[0].content[0].source.content[0].type",
  ],
  [withBlocks({ type: "search_result", source: "x" }), "invalid_request", "messages[0].content[0].content"],
  [withBlocks({ type: "tool_result" }), "invalid_request", "messages[0].content[0].tool_use_id"],
  [
    withBlocks({ type: "tool_result", tool_use_id: "a", content: [{ type: "image" }] }),
    "not_supported",
    "messages[0].content[0].content[0].type",
  ],
  [
    withBlocks({ type: "tool_result", tool_use_id: "a", content: [{ type: "tool_reference" }] }),
    "invalid_request",
    "messages[0].content[0].content[0].tool_name",
  ],
  [withBlocks({ type: "tool_reference", tool_name: "f" }), "not_supported", "messages[0].content[0].type"],
  [
    withBlocks({ type: "tool_result", tool_use_id: "a", is_error: "yes" }),
    "invalid_request",
    "messages[0].content[0].is_error",
  ],
  [
    withBlocks({ type: "text", text: "x", cache_control: { type: "for ever" } }),
    "invalid_request",
    "messages[0].content[0].cache_control.type",
  ],
  [withBlocks(...Array(4097).fill({ type: "tool_result", tool_use_id: "a" })), "invalid_request", "messages"],
  [withAssistant({ type: "tool_use", name: "f", input: {} }), "invalid_request", "messages[1].content[0].id"],
  [withAssistant({ type: "tool_use", id: "a", input: {} }), "invalid_request", "messages[1].content[0].name"],
  [withAssistant({ type: "tool_use", id: "a", name: "f" }), "invalid_request", "messages[1].content[0].input"],
  [
    withAssistant({ type: "tool_use", id: "a", name: "f", input: "{}" }),
    "invalid_request",
    "messages[1].content[0].input",
  ],
  [withAssistant({ type: "server_tool_use", id: "a" }), "not_supported", "messages[1].content[0].type"],
  [withAssistant({ type: "tool_result", tool_use_id: "a" }), "not_supported", "messages[1].content[0].type"],
  [{ ...HELLO, system: 3 }, "invalid_request", "system"],
  [{ ...HELLO, system: [{ type: "image" }] }, "not_supported", "system[0].type"],
  [{ ...HELLO, system: [{ type: "text" }] }, "invalid_request", "system[0].text"],
  [{ ...HELLO, tools: [{ input_schema: {} }] }, "invalid_request", "tools[0].name"],
  [{ ...HELLO, tools: [{ name: "f" }] }, "invalid_request", "tools[0].input_schema"],
  [{ ...HELLO, tools: [{ name: "f", input_schema: [] }] }, "invalid_request", "tools[0].input_schema"],
  [{ ...HELLO, tools: [{ type: "web_search_20250305", name: "web_search" }] }, "not_supported", "tools[0].type"],
  [{ ...HELLO, tool_choice: { type: "any" } }, "invalid_request", "tool_choice"],
  [{ ...HELLO, tool_choice: { type: "perhaps" } }, "invalid_request", "tool_choice.type"],
  [
    { ...HELLO, tools: [{ name: "f", input_schema: {} }], tool_choice: { type: "tool" } },
    "invalid_request",
    "tool_choice.name",
  ],
  [
    { ...HELLO, tools: [{ name: "f", input_schema: {} }], tool_choice: { type: "tool", name: "g" } },
    "invalid_request",
    "tool_choice.name",
  ],
  [
    { ...HELLO, tools: [{ name: "f", input_schema: {}, defer_loading: 1 }] },
    "invalid_request",
    "tools[0].defer_loading",
  ],
  [{ ...HELLO, thinking: { type: "enabled", display: 3 } }, "invalid_request", "thinking.display"],
  [{ ...HELLO, thinking: { type: "enabled", budget_tokens: "many" } }, "invalid_request", "thinking.budget_tokens"],
  [{ ...HELLO, thinking: true }, "invalid_request", "thinking"],
  [{ ...HELLO, output_config: { format: { type: "json_schema" } } }, "invalid_request", "output_config.format.schema"],
  [{ ...HELLO, thread: { type: "create" } }, "not_supported", "thread"],
  [{ ...HELLO, mcp_servers: [{ type: "url", url: "x", name: "x" }] }, "not_supported", "mcp_servers"],
] as const;

const ANSWER_REFUSALS = [
  [{ messages: HELLO.messages }, "invalid_request", "max_tokens"],
  [{ ...HELLO, max_tokens: -1 }, "invalid_request", "max_tokens"],
  [{ ...HELLO, max_tokens: "64" }, "invalid_request", "max_tokens"],
  [{ ...HELLO, temperature: "0" }, "invalid_request", "temperature"],
  [{ ...HELLO, top_p: 2 }, "invalid_request", "top_p"],
  [{ ...HELLO, top_k: 1.5 }, "invalid_request", "top_k"],
  [{ ...HELLO, stop_sequences: "END" }, "invalid_request", "stop_sequences"],
  [{ ...HELLO, stop_sequences: ["a", ""] }, "invalid_request", "stop_sequences[1]"],
  [{ ...HELLO, stop_sequences: Array(17).fill("x") }, "invalid_request", "stop_sequences"],
  [{ ...HELLO, stream: "yes" }, "invalid_request", "stream"],
  [{ ...HELLO, metadata: { user_id: 3 } }, "invalid_request", "metadata.user_id"],
  [
    {
      ...HELLO,
      messages: [
        USER,
        {
          role: "assistant",
          content: [
            { type: "text", text: "I" },
            { type: "tool_use", id: "a", name: "f", input: {} },
          ],
        },
      ],
    },
    "invalid_request",
    "messages[1].content[1]",
  ],
  [
    { ...HELLO, output_config: { format: { type: "json_schema", schema: {} } }, grammar: "x" },
    "invalid_request",
    "grammar",
  ],
] as const;

const expected = (code: ErrorCode, param: string | null) => ({
  status: 400,
  type: "invalid_request_error",
  code,
  param,
});

test.each([...PROMPT_REFUSALS, ...ANSWER_REFUSALS])("%.200j is refused by name", async (body, code, param) => {
  const { post, inference } = createTestApp();
  // What is complete but for its fault: else each would only lack `max_tokens`.
  const complete = "max_tokens" in body || param === "max_tokens" ? body : { max_tokens: 1, ...body };
  expect(await readMessageError(await post(MESSAGES, complete))).toEqual(expected(code, param));
  expect(inference.generateCalls).toHaveLength(0);
});

test.each(PROMPT_REFUSALS)("count_tokens refuses %.200j too", async (body, code, param) => {
  const { post, inference } = createTestApp();
  expect(await readMessageError(await post(COUNT, body))).toEqual(expected(code, param));
  expect(inference.generateCalls).toHaveLength(0);
});

test("a thread is refused in the words by which clients send the conversation whole", async () => {
  const { post } = createTestApp();
  const { error } = await readJson(await post(MESSAGES, { ...HELLO, thread: { type: "create" } }));
  expect(error.details).toEqual({ error_code: "thread_unsupported_request", unsupported: ["thread"] });
  const other = await readJson(await post(MESSAGES, { ...HELLO, mcp_servers: [{}] }));
  expect(other.error.details).toBeUndefined();
});

test.each([MESSAGES, COUNT])("%s: bodies that are none, models and methods that are not there", async (path) => {
  const { post, get } = createTestApp({ bodyBytesMax: 1000 });
  for (const body of ["", "{", "[1]", "null", '{"a":'.repeat(150)]) {
    expect(await readMessageError(await post(path, body))).toEqual({ ...expected("invalid_request", null) });
  }
  expect(await readMessageError(await post(path, { ...HELLO, model: "nope" }))).toEqual({
    status: 404,
    type: "not_found_error",
    code: "model_not_found",
    param: "model",
  });
  expect(await readMessageError(await post(path, { ...HELLO, system: "x".repeat(1000) }))).toMatchObject({
    status: 413,
    type: "request_too_large",
  });
  const wrong = await get(path);
  expect(wrong.headers.get("Allow")).toBe("POST");
  expect(await readMessageError(wrong)).toMatchObject({ status: 405, code: "method_not_allowed" });
});

test.each([
  ["unauthorized", "authentication_error"],
  ["rate_limited", "rate_limit_error"],
] as const)("%s, which nothing answers with yet, would be a %s", (code, type) => {
  expect(encodeErrorReply({ code, message: "no" }, "req-1").error.type).toBe(type);
});

describe("what inference refuses", () => {
  const CLASSES: Partial<Record<ErrorCode, string>> = {
    forbidden: "permission_error",
    model_not_found: "not_found_error",
    payload_too_large: "request_too_large",
    overloaded: "overloaded_error",
    model_loading: "overloaded_error",
    timeout: "timeout_error",
    internal: "api_error",
    model_damaged: "api_error",
    context_length_exceeded: "invalid_request_error",
    request_crashes_engine: "invalid_request_error",
  };

  test.each(Object.entries(CLASSES))("%s is a %s, also before a stream and of a count", async (code, type) => {
    const { post, inference } = createTestApp();
    const { status } = ERROR_KINDS[code as ErrorCode];
    inference.refusal = new AppError({ code: code as ErrorCode, message: "no" });
    for (const [path, body] of [
      [MESSAGES, HELLO],
      [MESSAGES, { ...HELLO, stream: true }],
      [COUNT, { messages: HELLO.messages }],
    ] as const) {
      const response = await post(path, body);
      expect(response.headers.has("Retry-After")).toBe(status === 503 || status === 429);
      expect(await readMessageError(response)).toEqual({ status, type, code, param: null });
    }
  });

  test("a prompt that is too long is said in the words that agents know, with both numbers", async () => {
    const { post, inference } = createTestApp();
    const message = "The prompt has 900 tokens and the context holds 320, of which one at least is for the answer.";
    inference.refusal = new AppError({ code: "context_length_exceeded", message });
    const { error } = await readJson(await post(MESSAGES, HELLO));
    expect(error.message).toBe(`prompt is too long: 900 tokens > 320 maximum. ${message}`);
    inference.refusal = new AppError({ code: "context_length_exceeded", message: "Otherwise put." });
    expect((await readJson(await post(MESSAGES, HELLO))).error.message).toBe("prompt is too long: Otherwise put.");
  });

  test("an error after the start is the status of a message and the last event of a stream", async () => {
    const { post, inference } = createTestApp();
    inference.script = playEvents(
      { type: "delta", text: "Hel" },
      { type: "error", error: { code: "engine_crashed", message: "the engine ended" } },
    );
    expect(await readMessageError(await post(MESSAGES, HELLO))).toMatchObject({
      status: 503,
      type: "overloaded_error",
    });
    const response = await post(MESSAGES, { ...HELLO, stream: true });
    const requestId = response.headers.get("request-id");
    expect((await readEvents(response)).at(-1)).toEqual({
      type: "error",
      error: {
        type: "overloaded_error",
        message: "the engine ended",
        code: "engine_crashed",
        param: null,
        hint: ERROR_KINDS.engine_crashed.hint,
      },
      request_id: requestId,
    });
    inference.script = playEvents({ type: "cancelled" });
    expect((await readEvents(await post(MESSAGES, { ...HELLO, stream: true }))).at(-1)).toMatchObject({
      type: "error",
      error: { code: "cancelled" },
    });
  });
});

describe("who gets this envelope", () => {
  test("Host and Origin refusals, on these routes", async () => {
    const { post } = createTestApp();
    for (const headers of [{ Host: "evil.example" }, { Origin: "https://evil.example" }]) {
      const answer = await readMessageError(await post(MESSAGES, HELLO, { headers }));
      expect(answer).toMatchObject({ status: 403, type: "permission_error", code: "forbidden" });
    }
  });

  test("clients that name a version, on every route; nobody else elsewhere", async () => {
    const { get } = createTestApp();
    const headers = { "anthropic-version": "2023-06-01", "X-Request-Id": "mine" };
    const unknown = await get("/v1/models/nope", headers);
    expect(unknown.headers.get("request-id")).toBe("mine");
    expect(await readMessageError(unknown)).toMatchObject({ status: 404, type: "not_found_error" });
    expect(await readMessageError(await get("/nope", headers))).toMatchObject({ status: 404, code: "not_found" });
    const ours = await get("/v1/models/nope");
    expect(ours.headers.has("request-id")).toBe(false);
    expect(await readError(ours)).toMatchObject({ status: 404, code: "model_not_found" });
    expect(await readError(await get("/v1/messagesx"))).toMatchObject({ status: 404, code: "not_found" });
  });
});
