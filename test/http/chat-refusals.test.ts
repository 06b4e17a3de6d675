import { expect, test } from "bun:test";
import { AppError } from "../../src/protocol/errors.ts";
import { playEvents } from "../support/fake-inference.ts";
import { createTestApp, readError, readFrames, readJson } from "../support/http-app.ts";

const PATH = "/v1/chat/completions";
const HELLO = [{ role: "user", content: "Hello!" }];

const tool = (name: string) => ({ type: "function", function: { name } });

test.each([
  [{}, "invalid_request", "messages"],
  [{ messages: [] }, "invalid_request", "messages"],
  [{ messages: "hi" }, "invalid_request", "messages"],
  [{ messages: [{ role: "user", content: 3 }] }, "invalid_request", "messages[0].content"],
  [{ messages: [{ role: "user" }] }, "invalid_request", "messages[0].content"],
  [{ messages: [{ role: "robot", content: "x" }] }, "invalid_request", "messages[0].role"],
  [{ messages: [{ role: "user", content: [{ type: "text" }] }] }, "invalid_request", "messages[0].content[0].text"],
  [{ messages: [{ role: "user", content: [{ type: 1 }] }] }, "invalid_request", "messages[0].content[0].type"],
  [
    { messages: [...HELLO, { role: "user", content: [{ type: "image_url" }] }] },
    "not_supported",
    "messages[1].content[0].type",
  ],
  [{ messages: HELLO, temperature: 101 }, "invalid_request", "temperature"],
  [{ messages: HELLO, temperature: "0" }, "invalid_request", "temperature"],
  [{ messages: HELLO, top_p: 1.5 }, "invalid_request", "top_p"],
  [{ messages: HELLO, top_k: 1.5 }, "invalid_request", "top_k"],
  [{ messages: HELLO, top_k: "40" }, "invalid_request", "top_k"],
  [{ messages: HELLO, min_p: -0.1 }, "invalid_request", "min_p"],
  [{ messages: HELLO, presence_penalty: 3 }, "invalid_request", "presence_penalty"],
  [{ messages: HELLO, repeat_penalty: 0 }, "invalid_request", "repeat_penalty"],
  [{ messages: HELLO, repeat_last_n: 1e9 }, "invalid_request", "repeat_last_n"],
  [{ messages: HELLO, seed: -2 }, "invalid_request", "seed"],
  [{ messages: HELLO, max_tokens: 0 }, "invalid_request", "max_tokens"],
  [{ messages: HELLO, max_tokens: 1.5 }, "invalid_request", "max_tokens"],
  [{ messages: HELLO, stop: "" }, "invalid_request", "stop"],
  [{ messages: HELLO, stop: ["a", ""] }, "invalid_request", "stop[1]"],
  [{ messages: HELLO, stop: Array(17).fill("x") }, "invalid_request", "stop"],
  [{ messages: HELLO, logit_bias: { "\n": "x" } }, "invalid_request", "logit_bias.\n"],
  [{ messages: HELLO, logit_bias: { a: 1 } }, "invalid_request", "logit_bias.a"],
  [{ messages: HELLO, logit_bias: { "1": 101 } }, "invalid_request", "logit_bias.1"],
  [{ messages: HELLO, n: 0 }, "invalid_request", "n"],
  [{ messages: HELLO, n: 17 }, "invalid_request", "n"],
  [{ messages: HELLO, top_logprobs: 3 }, "invalid_request", "top_logprobs"],
  [{ messages: HELLO, logprobs: true, top_logprobs: 21 }, "invalid_request", "top_logprobs"],
  [{ messages: HELLO, tools: [{ type: "web_search" }] }, "not_supported", "tools[0].type"],
  [{ messages: HELLO, tools: [{ type: "custom" }] }, "invalid_request", "tools[0].custom"],
  [{ messages: HELLO, tool_choice: "required" }, "invalid_request", "tool_choice"],
  [{ messages: HELLO, tools: [tool("f")], tool_choice: "perhaps" }, "invalid_request", "tool_choice"],
  [{ messages: HELLO, tools: [tool("f")], tool_choice: tool("g") }, "invalid_request", "tool_choice.function.name"],
  [{ messages: HELLO, response_format: { type: "xml" } }, "invalid_request", "response_format.type"],
  [
    { messages: HELLO, response_format: { type: "json_schema" } },
    "invalid_request",
    "response_format.json_schema.schema",
  ],
  [{ messages: HELLO, response_format: { type: "json_object" }, grammar: "x" }, "invalid_request", "grammar"],
])("%j is refused by name", async (body, code, param) => {
  const { post, inference } = createTestApp();
  expect(await readError(await post(PATH, body))).toEqual({ status: 400, code, param });
  expect(inference.generateCalls).toHaveLength(0);
});

test("a message says the range and what came", async () => {
  const { post } = createTestApp();
  const { error } = await readJson(await post(PATH, { messages: HELLO, temperature: 500 }));
  expect(error.message).toBe("`temperature` must be a number from 0 to 100, got 500");
  expect(error.type).toBe("invalid_request_error");
});

test("an unknown model is 404, before anything else happens", async () => {
  const { post, inference } = createTestApp();
  const response = await post(PATH, { model: "nope", messages: HELLO });
  expect(await readError(response)).toEqual({ status: 404, code: "model_not_found", param: "model" });
  expect(inference.generateCalls).toHaveLength(0);
});

test.each([
  ["context_length_exceeded", 400],
  ["engine_crashed", 503],
  ["overloaded", 503],
  ["internal", 500],
] as const)("a refusal %s precedes the stream and gets its status", async (code, status) => {
  const { post, inference } = createTestApp();
  inference.refusal = new AppError({ code, message: "no" });
  const response = await post(PATH, { messages: HELLO, stream: true });
  expect(response.headers.has("Retry-After")).toBe(status === 503);
  expect(await readError(response)).toEqual({ status, code, param: null });
});

test("an error event after the start is the status of a whole answer and a frame of a stream", async () => {
  const { post, inference } = createTestApp();
  inference.script = playEvents(
    { type: "delta", text: "Hel" },
    { type: "error", error: { code: "engine_crashed", message: "the engine ended" } },
  );
  expect(await readError(await post(PATH, { messages: HELLO }))).toMatchObject({ status: 503, code: "engine_crashed" });
  const frames = await readFrames(await post(PATH, { messages: HELLO, stream: true }));
  expect(frames.at(-1)).toMatchObject({ error: { code: "engine_crashed", message: "the engine ended" } });
  expect(frames).not.toContain("[DONE]");
});

test("a source that throws or breaks off is an internal error, not a clean end", async () => {
  const { post, inference } = createTestApp();
  inference.script = async function* () {
    yield { type: "delta", text: "x" };
    throw new Error("surprise");
  };
  expect((await readFrames(await post(PATH, { messages: HELLO, stream: true }))).at(-1)).toMatchObject({
    error: { code: "internal", message: "surprise" },
  });
  inference.script = playEvents({ type: "delta", text: "x" });
  expect(await readError(await post(PATH, { messages: HELLO }))).toMatchObject({ status: 500, code: "internal" });
});
