import { expect, test } from "bun:test";
import { DONE_EVENT, playEvents } from "../support/fake-inference.ts";
import { createTestApp, readFrames, readJson } from "../support/http-app.ts";

const PATH = "/v1/chat/completions";
const HELLO = [{ role: "user", content: "Hello!" }];

test("a chat is answered in OpenAI's shape, with usage and timings", async () => {
  const { post, inference } = createTestApp();
  const response = await post(PATH, { model: "demo", messages: HELLO });
  expect(response.status).toBe(200);
  const body = await readJson(response);
  expect(body).toMatchObject({
    object: "chat.completion",
    created: 1_700_000_000,
    model: "demo",
    choices: [{ index: 0, message: { role: "assistant", content: "Hello" }, logprobs: null, finish_reason: "stop" }],
    usage: {
      prompt_tokens: 7,
      completion_tokens: 3,
      total_tokens: 10,
      prompt_tokens_details: { cached_tokens: 2 },
    },
    timings: { prompt_n: 5, prompt_ms: 10, prompt_per_second: 500, predicted_n: 3, predicted_per_second: 150 },
  });
  expect(body.id).toMatch(/^chatcmpl-[0-9a-f]{32}$/);
  expect(body.system_fingerprint).toStartWith("ml-offload-");
  expect(inference.lastRequest).toEqual({
    prompt: { kind: "chat", messages: HELLO },
    sampling: {},
    stop: [],
    whole: true,
  });
});

test("a stream is role, deltas, finish, and [DONE]", async () => {
  const { post, inference } = createTestApp();
  const response = await post(PATH, { messages: HELLO, stream: true });
  expect(response.headers.get("Content-Type")).toStartWith("text/event-stream");
  expect(inference.lastRequest?.whole).toBeUndefined();
  const frames = await readFrames(response);
  expect(frames.at(-1)).toBe("[DONE]");
  const chunks = frames.slice(0, -1);
  expect(chunks.map((chunk) => chunk.choices[0].delta)).toEqual([
    { role: "assistant", content: "" },
    { content: "Hel" },
    { content: "lo" },
    {},
  ]);
  expect(chunks.map((chunk) => chunk.choices[0].finish_reason)).toEqual([null, null, null, "stop"]);
  expect(new Set(chunks.map((chunk) => `${chunk.id} ${chunk.object} ${chunk.created}`)).size).toBe(1);
  expect(chunks[0].object).toBe("chat.completion.chunk");
  expect("usage" in chunks[0]).toBe(false);
});

test("include_usage adds a last chunk without choices", async () => {
  const { post } = createTestApp();
  const frames = await readFrames(
    await post(PATH, { messages: HELLO, stream: true, stream_options: { include_usage: true } }),
  );
  expect(frames.at(-2)).toMatchObject({ choices: [], usage: { total_tokens: 10 } });
  expect(frames.slice(0, -2).every((chunk) => chunk.usage === null && chunk.choices.length === 1)).toBe(true);
});

const TOOL_EVENTS = playEvents(
  { type: "delta", reasoning: "I look it up." },
  { type: "delta", toolCalls: [{ index: 0, id: "call_a", name: "look_up", arguments: "" }] },
  { type: "delta", toolCalls: [{ index: 0, arguments: '{"q":' }] },
  { type: "delta", toolCalls: [{ index: 0, arguments: '"x"}' }] },
  { type: "delta", toolCalls: [{ index: 1, name: "stop" }] },
  { ...DONE_EVENT, finishReason: "tool_calls" } as typeof DONE_EVENT,
);

test("tool calls and reasoning are collected; content is null when there are only calls", async () => {
  const { post, inference } = createTestApp();
  inference.script = TOOL_EVENTS;
  const body = await readJson(await post(PATH, { messages: HELLO }));
  const { message, finish_reason } = body.choices[0];
  expect(finish_reason).toBe("tool_calls");
  expect(message.content).toBeNull();
  expect(message.reasoning_content).toBe("I look it up.");
  expect(message.tool_calls[0]).toEqual({
    id: "call_a",
    type: "function",
    function: { name: "look_up", arguments: '{"q":"x"}' },
  });
  expect(message.tool_calls[1].id).toMatch(/^call_[0-9a-f]+_1$/);
});

test("tool calls stream with their index; id and name come with the first piece", async () => {
  const { post, inference } = createTestApp();
  inference.script = TOOL_EVENTS;
  const frames = await readFrames(await post(PATH, { messages: HELLO, stream: true }));
  const deltas = frames.slice(0, -1).map((chunk) => chunk.choices[0].delta);
  expect(deltas[1]).toEqual({ reasoning_content: "I look it up." });
  expect(deltas[2].tool_calls).toEqual([
    { index: 0, id: "call_a", type: "function", function: { name: "look_up", arguments: "" } },
  ]);
  expect(deltas[3].tool_calls).toEqual([{ index: 0, function: { arguments: '{"q":' } }]);
  expect(deltas[5].tool_calls[0]).toMatchObject({ index: 1, type: "function", function: { name: "stop" } });
  expect(frames.at(-2).choices[0].finish_reason).toBe("tool_calls");
});

test("everything that a request can say reaches inference in the domain's words", async () => {
  const { post, inference } = createTestApp();
  const response = await post(PATH, {
    model: "default",
    messages: [
      { role: "developer", content: "Be brief." },
      { role: "user", content: [{ type: "text", text: "Hi" }], name: "ann" },
      {
        role: "assistant",
        content: null,
        refusal: null,
        tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "c1", content: "ok" },
    ],
    temperature: 0,
    top_k: -1,
    top_p: 0.9,
    repeat_last_n: -1,
    repeat_penalty: 1.1,
    logit_bias: { "12": -100 },
    seed: 2 ** 32 + 5,
    mirostat: 2,
    grammar: 'root ::= "a"',
    stop: "END",
    max_tokens: 5,
    max_completion_tokens: 9,
    tools: [
      { type: "function", function: { name: "f", parameters: { type: "object", default: null }, description: null } },
      { type: "function", function: { name: "g" } },
    ],
    tool_choice: { type: "function", function: { name: "f" } },
    parallel_tool_calls: false,
    chat_template_kwargs: { enable_thinking: false },
    user: "u",
    metadata: { a: "b" },
    frequency_penalty: null,
    functions: [{ name: "old" }],
  });
  expect(response.status).toBe(200);
  expect(inference.lastRequest).toEqual({
    prompt: {
      kind: "chat",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: [{ type: "text", text: "Hi" }], name: "ann" },
        {
          role: "assistant",
          content: null,
          tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: "{}" } }],
        },
        { role: "tool", tool_call_id: "c1", content: "ok" },
      ],
      tools: [
        {
          type: "function",
          function: {
            name: "f",
            parameters: { type: "object", default: null },
            grammarParameters: { type: "object" },
          },
        },
      ],
      toolChoice: "required",
      parallelToolCalls: false,
      templateArgs: { enable_thinking: false },
    },
    sampling: {
      temperature: 0,
      topK: 0,
      topP: 0.9,
      repeatLastN: 320,
      repeatPenalty: 1.1,
      logitBias: [[12, -100]],
      seed: 5,
      mirostat: 2,
      grammar: 'root ::= "a"',
    },
    stop: ["END"],
    whole: true,
    maxTokens: 9,
  });
});

test("response_format becomes a JSON schema", async () => {
  const { post, inference } = createTestApp();
  const schemaOf = async (format: object) => {
    await post(PATH, { messages: HELLO, response_format: format });
    const { prompt } = inference.lastRequest;
    return prompt.kind === "chat" ? prompt.jsonSchema : null;
  };
  expect(await schemaOf({ type: "text" })).toBeUndefined();
  expect(await schemaOf({ type: "json_object" })).toEqual({ type: "object" });
  const schema = { type: "object", properties: { a: { enum: [null, 1] } } };
  expect(await schemaOf({ type: "json_schema", json_schema: { name: "x", schema, strict: null } })).toEqual(schema);
});

test.each([
  [{ messages: HELLO, max_tokens: -1 }, undefined],
  [{ messages: HELLO, max_tokens: null }, undefined],
  [{ messages: HELLO, max_tokens: 4 }, 4],
  [{ messages: HELLO, seed: -1 }, undefined],
])("%j is accepted", async (body, maxTokens) => {
  const { post, inference } = createTestApp();
  expect((await post(PATH, body)).status).toBe(200);
  expect(inference.lastRequest.maxTokens).toBe(maxTokens as number | undefined as never);
  expect(inference.lastRequest.sampling.seed).toBeUndefined();
});

test("reasoning_effort becomes variables of the template", async () => {
  const { post, inference } = createTestApp();
  const argsOf = async (fields: object) => {
    expect((await post(PATH, { messages: HELLO, ...fields })).status).toBe(200);
    const { prompt } = inference.lastRequest;
    return prompt.kind === "chat" ? prompt.templateArgs : null;
  };
  expect(await argsOf({ reasoning_effort: "low" })).toEqual({ reasoning_effort: "low" });
  expect(await argsOf({ reasoning_effort: "none" })).toEqual({ enable_thinking: false });
  expect(await argsOf({ reasoning_effort: null })).toBeUndefined();
  const chat_template_kwargs = { reasoning_effort: "high", other: 1 };
  expect(await argsOf({ reasoning_effort: "low", chat_template_kwargs })).toEqual(chat_template_kwargs);
  const wrong = await post(PATH, { messages: HELLO, reasoning_effort: "much" });
  expect([wrong.status, (await readJson(wrong)).error.param]).toEqual([400, "reasoning_effort"]);
});

test("log probabilities come with the content, whole and streamed", async () => {
  const { post, inference } = createTestApp();
  const check = { text: "bytes:\\xe2\\x9c", offset: 0, logprob: -0.5, top: [["a", -0.25]] as [string, number][] };
  const scores = [check, { text: "é", offset: 1, logprob: -1, top: [] }];
  inference.script = playEvents({ type: "delta", text: "✓é", scores }, DONE_EVENT);
  const expected = {
    content: [
      {
        token: "bytes:\\xe2\\x9c",
        logprob: -0.5,
        bytes: [0xe2, 0x9c],
        top_logprobs: [{ token: "a", logprob: -0.25, bytes: [97] }],
      },
      { token: "é", logprob: -1, bytes: [0xc3, 0xa9], top_logprobs: [] },
    ],
    refusal: null,
  };
  const ask = { messages: HELLO, logprobs: true, top_logprobs: 1 };
  const whole = await readJson(await post(PATH, ask));
  expect(inference.lastRequest.logprobs).toBe(1);
  expect(whole.choices[0].logprobs).toEqual(expected);
  const frames = await readFrames(await post(PATH, { ...ask, stream: true }));
  expect(frames.slice(0, -1).map((frame) => frame.choices[0].logprobs)).toEqual([null, expected, null]);
  await post(PATH, { messages: HELLO, logprobs: true });
  expect(inference.lastRequest.logprobs).toBe(0);
  await post(PATH, { messages: HELLO, logprobs: false });
  expect(inference.lastRequest.logprobs).toBeUndefined();
});
