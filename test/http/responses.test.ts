import { expect, test } from "bun:test";
import { DONE_EVENT, playEvents } from "../support/fake-inference.ts";
import { createTestApp, type Json, readJson } from "../support/http-app.ts";

const PATH = "/v1/responses";

const TOOL = { type: "function", name: "look_up", parameters: { type: "object", properties: {} } };

test("a text is answered in OpenAI's shape", async () => {
  const { post, inference } = createTestApp();
  const response = await post(PATH, { model: "demo", input: "Hello!" });
  expect(response.status).toBe(200);
  expect(response.headers.get("X-MLO-Cache")).toBe("live=0, retained=2, disk=0, evaluated=5");
  const body = await readJson(response);
  expect(body).toMatchObject({
    object: "response",
    created_at: 1_700_000_000,
    completed_at: 1_700_000_000,
    status: "completed",
    model: "demo",
    error: null,
    incomplete_details: null,
    output: [
      {
        type: "message",
        role: "assistant",
        status: "completed",
        content: [{ type: "output_text", text: "Hello", annotations: [] }],
      },
    ],
    usage: { input_tokens: 7, input_tokens_details: { cached_tokens: 2 }, output_tokens: 3, total_tokens: 10 },
    store: true,
    tools: [],
    tool_choice: "auto",
    mlo: { cache: { retained: 2, evaluated: 5 } },
  });
  expect(body.id).toMatch(/^resp_[0-9a-f]{32}$/);
  expect(body.output[0].id).toMatch(/^msg_[0-9a-f]{32}$/);
  expect(inference.lastRequest).toEqual({
    prompt: { kind: "chat", messages: [{ role: "user", content: "Hello!" }] },
    sampling: {},
    stop: [],
    session: body.id,
    whole: true,
  });
});

test("everything that a request can say reaches inference in the domain's words", async () => {
  const { post, inference } = createTestApp();
  const call = { type: "function_call", call_id: "c1", name: "look_up", arguments: '{"q":1}' };
  const response = await post(PATH, {
    instructions: "Be brief.",
    input: [
      { role: "developer", content: "Use the tool." },
      { type: "message", role: "user", content: [{ type: "input_text", text: "Hi" }] },
      { type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "Hm." }] },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "I look.", annotations: [] }] },
      call,
      { ...call, call_id: "c2" },
      { type: "function_call_output", call_id: "c1", output: "one" },
      { type: "function_call_output", call_id: "c2", output: [{ type: "input_text", text: "two" }] },
    ],
    tools: [{ ...TOOL, strict: true, description: "Looks up." }, { type: "web_search" }],
    tool_choice: { type: "function", name: "look_up" },
    parallel_tool_calls: false,
    text: { format: { type: "json_schema", name: "x", schema: { type: "object", default: null } }, verbosity: "low" },
    reasoning: { effort: "none", summary: null },
    max_output_tokens: 9,
    temperature: 0,
    top_p: 0.5,
    store: false,
    prompt_cache_key: "chat 1",
    user: "u",
    metadata: { a: "b" },
    include: ["reasoning.encrypted_content"],
    service_tier: "flex",
    stream_options: { include_obfuscation: false },
    unknown: { field: true },
  });
  expect(response.status).toBe(200);
  const toCall = (id: string) => ({ id, type: "function", function: { name: "look_up", arguments: '{"q":1}' } });
  expect(inference.lastRequest).toEqual({
    prompt: {
      kind: "chat",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "system", content: "Use the tool." },
        { role: "user", content: "Hi" },
        {
          role: "assistant",
          content: "I look.",
          reasoning_content: "Hm.",
          tool_calls: [toCall("c1"), toCall("c2")] as never,
        },
        { role: "tool", tool_call_id: "c1", content: "one" },
        { role: "tool", tool_call_id: "c2", content: "two" },
      ],
      tools: [
        {
          type: "function",
          function: {
            name: "look_up",
            description: "Looks up.",
            parameters: TOOL.parameters,
            strict: true,
            grammarParameters: { ...TOOL.parameters, additionalProperties: false },
          },
        },
      ],
      toolChoice: "required",
      parallelToolCalls: false,
      jsonSchema: { type: "object", default: null },
      grammarSchema: { type: "object" },
      templateArgs: { enable_thinking: false },
    },
    sampling: { temperature: 0, topP: 0.5 },
    stop: [],
    maxTokens: 9,
    session: "chat 1",
    whole: true,
  });
  const body = await readJson(response);
  expect(body).toMatchObject({
    instructions: "Be brief.",
    max_output_tokens: 9,
    metadata: { a: "b" },
    parallel_tool_calls: false,
    store: false,
    temperature: 0,
    top_p: 0.5,
    user: "u",
    text: { format: { type: "json_schema", name: "x" }, verbosity: "low" },
    reasoning: { effort: "none", summary: null },
    tool_choice: { type: "function", name: "look_up" },
  });
  expect(body.tools).toHaveLength(1);
  const message = 'it is left out: there are no "web_search" tools here';
  expect(body.mlo.warnings).toEqual([
    { code: "tool_left_out", path: "tools[1]", message },
    { code: "schema_mismatch", path: "output[0].content[0].text", message: "is no JSON" },
  ]);
});

const THOUGHT = playEvents(
  { type: "delta", reasoning: "I look " },
  { type: "delta", reasoning: "it up." },
  { type: "delta", text: "Wait." },
  { type: "delta", toolCalls: [{ index: 0, id: "call_a", name: "look_up", arguments: '{"q":' }] },
  { type: "delta", toolCalls: [{ index: 0, arguments: "1}" }] },
  { type: "delta", toolCalls: [{ index: 1, name: "stop", arguments: "{}" }] },
  { ...DONE_EVENT, finishReason: "tool_calls" } as typeof DONE_EVENT,
);

test("reasoning, text and calls become items", async () => {
  const { post, inference } = createTestApp();
  inference.script = THOUGHT;
  const body = await readJson(await post(PATH, { input: "x", tools: [TOOL] }));
  expect(body.output).toMatchObject([
    { type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "I look it up." }] },
    { type: "message", content: [{ text: "Wait." }] },
    { type: "function_call", call_id: "call_a", name: "look_up", arguments: '{"q":1}', status: "completed" },
    { type: "function_call", name: "stop", arguments: "{}" },
  ]);
  expect(body.output[3].call_id).toMatch(/^call_/);
  expect(body.usage.output_tokens_details.reasoning_tokens).toBe(1);
  expect("encrypted_content" in body.output[0]).toBe(false);
});

test("reasoning as a summary, and in a form that clients send back", async () => {
  const { post, inference } = createTestApp();
  inference.script = THOUGHT;
  const ask = { input: "x", store: false, reasoning: { summary: "auto" }, include: ["reasoning.encrypted_content"] };
  const { output } = await readJson(await post(PATH, ask));
  expect(output[0]).toMatchObject({ summary: [{ type: "summary_text", text: "I look it up." }] });
  expect("content" in output[0]).toBe(false);
  const { encrypted_content } = output[0];
  const sealed = { type: "reasoning", id: output[0].id, summary: [], encrypted_content };
  await post(PATH, { input: [{ role: "user", content: "x" }, sealed, output[1]], store: false });
  const { prompt } = inference.lastRequest;
  const expected = { role: "assistant", content: "Wait.", reasoning_content: "I look it up." };
  expect(prompt.kind === "chat" ? prompt.messages[1] : null).toEqual(expected);
});

test("an answer that is cut is incomplete; an empty one is an empty message", async () => {
  const { post, inference } = createTestApp();
  const cut = { ...DONE_EVENT, finishReason: "length" } as typeof DONE_EVENT;
  inference.script = playEvents({ type: "delta", text: "Hel" }, cut);
  const body = await readJson(await post(PATH, { input: "x" }));
  expect(body).toMatchObject({
    status: "incomplete",
    incomplete_details: { reason: "max_output_tokens" },
    completed_at: null,
    output: [{ status: "incomplete" }],
  });
  inference.script = playEvents(DONE_EVENT);
  const empty = await readJson(await post(PATH, { input: "x" }));
  expect(empty).toMatchObject({ status: "completed", output: [{ type: "message", content: [{ text: "" }] }] });
});

test.each([
  [{ type: "text" }, undefined],
  [{ type: "json_object" }, { type: "object" }],
])("text.format %j", async (format, schema) => {
  const { post, inference } = createTestApp();
  await post(PATH, { input: "x", text: { format } });
  const { prompt } = inference.lastRequest;
  expect(prompt.kind === "chat" ? prompt.jsonSchema : null).toEqual(schema as Json);
});

test("tools that may be used are those that are allowed", async () => {
  const { post, inference } = createTestApp();
  const tools = [TOOL, { ...TOOL, name: "other" }];
  const choice = { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "other" }] };
  expect((await post(PATH, { input: "x", tools, tool_choice: choice })).status).toBe(200);
  const { prompt } = inference.lastRequest;
  expect(prompt).toMatchObject({ toolChoice: "required", tools: [{ function: { name: "other" } }] });
});

test("a header names the conversation before all else", async () => {
  const { post, inference } = createTestApp();
  const headers = { "X-MLO-Session": "mine", "X-MLO-Priority": "batch" };
  await post(PATH, { input: "x", prompt_cache_key: "k" }, { headers });
  expect(inference.lastRequest).toMatchObject({ session: "mine", priority: "batch" });
  await post(PATH, { input: "x", prompt_cache_key: "line\nend", store: false });
  expect(inference.lastRequest.session).toBeUndefined();
});

test("a prompt is counted, and nothing else happens", async () => {
  const { post, inference } = createTestApp();
  const body = { model: "demo", instructions: "Be brief.", input: "x", tools: [TOOL] };
  expect(await readJson(await post(`${PATH}/input_tokens`, body))).toEqual({
    object: "response.input_tokens",
    input_tokens: 7,
  });
  expect(inference.lastRequest.countOnly).toBe(true);
});
