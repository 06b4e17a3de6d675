import { expect, test } from "bun:test";
import { FakeBackend } from "../support/fake-backend.ts";
import { DONE_EVENT, makeCard, playEvents } from "../support/fake-inference.ts";
import { createTestApp, type Json, readJson, settle } from "../support/http-app.ts";

const HELLO = [{ role: "user", content: "Hello!" }];

async function readLines(response: Response): Promise<Json[]> {
  const text = await response.text();
  expect(text.endsWith("\n")).toBe(true);
  return text
    .slice(0, -1)
    .split("\n")
    .map((line) => JSON.parse(line));
}

test("a chat in one piece, with counts and nanoseconds", async () => {
  const { post, inference } = createTestApp();
  const response = await post("/api/chat", { model: "demo:latest", messages: HELLO, stream: false });
  expect(response.status).toBe(200);
  expect(response.headers.get("X-MLO-Cache")).toStartWith("live=0");
  expect(await readJson(response)).toEqual({
    model: "demo:latest",
    created_at: "2023-11-14T22:13:20.000Z",
    message: { role: "assistant", content: "Hello" },
    done: true,
    done_reason: "stop",
    total_duration: 0,
    load_duration: 0,
    prompt_eval_count: 7,
    prompt_eval_duration: 10_000_000,
    eval_count: 3,
    eval_duration: 20_000_000,
    mlo: { cache: { live: 0, retained: 2, disk: 0, evaluated: 5 } },
  });
  expect(inference.lastRequest).toEqual({
    prompt: { kind: "chat", messages: HELLO },
    sampling: {},
    stop: [],
    whole: true,
  });
  expect([inference.generateCalls[0]?.model, inference.keepCalls]).toEqual(["demo", []]);
});

test("a stream is lines of JSON by default, and the last one is done", async () => {
  const { post } = createTestApp();
  const response = await post("/api/chat", { model: "demo", messages: HELLO });
  expect(response.headers.get("Content-Type")).toBe("application/x-ndjson");
  const lines = await readLines(response);
  expect(lines.map(({ message }) => message.content)).toEqual(["Hel", "lo", ""]);
  expect(lines.map(({ done }) => done)).toEqual([false, false, true]);
  expect(lines[0]).not.toContainKey("eval_count");
  expect(lines[2]).toMatchObject({ model: "demo", done_reason: "stop", eval_count: 3, prompt_eval_count: 7 });
});

test("silence on a stream is filled with white space, which any JSON reader takes", async () => {
  const { post, inference, clock } = createTestApp({ keepAliveMs: 1000 });
  const gate = Promise.withResolvers<void>();
  inference.script = async function* () {
    await gate.promise;
    yield DONE_EVENT;
  };
  const response = await post("/api/chat", { messages: HELLO });
  const text = response.text();
  await settle();
  clock.advance(1000);
  await settle();
  gate.resolve();
  expect(await text).toMatch(/^ \{.*\}\n$/);
});

test("reasoning is `thinking`, and a cut answer says so", async () => {
  const { post, inference } = createTestApp();
  inference.script = playEvents({ type: "delta", reasoning: "Hm." }, { type: "delta", text: "Yes" }, {
    ...DONE_EVENT,
    finishReason: "length",
  } as typeof DONE_EVENT);
  const whole = await readJson(await post("/api/chat", { messages: HELLO, stream: false }));
  expect(whole).toMatchObject({ message: { content: "Yes", thinking: "Hm." }, done_reason: "length" });
  const lines = await readLines(await post("/api/chat", { messages: HELLO }));
  expect(lines[0].message).toEqual({ role: "assistant", content: "", thinking: "Hm." });
  expect(lines.at(-1).done_reason).toBe("length");
});

const CALLS = playEvents(
  { type: "delta", toolCalls: [{ index: 0, id: "call_a", name: "look_up", arguments: '{"q":' }] },
  { type: "delta", toolCalls: [{ index: 0, arguments: '"x"}' }] },
  { type: "delta", toolCalls: [{ index: 1, name: "now" }] },
  { type: "delta", toolCalls: [{ index: 2, name: "cut", arguments: '{"q": "' }] },
  { ...DONE_EVENT, finishReason: "tool_calls" } as typeof DONE_EVENT,
);

test("tool calls have their arguments as objects; each comes when it is complete, one that was cut does not", async () => {
  const { post, inference } = createTestApp();
  inference.script = CALLS;
  const expected = [
    { id: "call_a", function: { index: 0, name: "look_up", arguments: { q: "x" } } },
    { id: expect.stringMatching(/^call_[0-9a-f]{32}_1$/), function: { index: 1, name: "now", arguments: {} } },
  ];
  const whole = await readJson(await post("/api/chat", { messages: HELLO, stream: false }));
  expect(whole.message).toEqual({ role: "assistant", content: "", tool_calls: expected });
  expect(whole.done_reason).toBe("stop");
  const lines = await readLines(await post("/api/chat", { messages: HELLO }));
  expect(lines.map(({ message }) => message.tool_calls ?? [])).toEqual([
    [expected[0]],
    [{ ...expected[1], id: expect.any(String) }],
    [],
  ] as never);
});

test("everything that a request can say reaches inference in the domain's words", async () => {
  const { post, inference } = createTestApp();
  const parameters = { type: "object", properties: { q: { type: "string", default: null } } };
  const grammarParameters = { type: "object", properties: { q: { type: "string" } }, additionalProperties: false };
  const response = await post(
    "/api/chat",
    {
      model: "demo",
      stream: false,
      logprobs: true,
      top_logprobs: 2,
      messages: [
        { role: "system", content: "Be brief.", images: [] },
        { role: "user", content: "Look.", images: null },
        {
          role: "assistant",
          content: "",
          thinking: "I look.",
          tool_calls: [
            { function: { name: "f", arguments: { q: null } } },
            { function: { name: "g", arguments: {} } },
            { id: "own", function: { name: "f" } },
          ],
        },
        { role: "tool", tool_name: "g", content: "of g" },
        { role: "tool", content: "of f" },
        { role: "tool", tool_call_id: "own", content: "of the last" },
        { role: "tool", content: "of none" },
      ],
      tools: [{ type: "function", function: { name: "f", parameters } }],
      format: { type: "object", properties: { a: { const: null } } },
      think: "low",
      shift: true,
      options: {
        temperature: 0,
        top_k: 20,
        num_predict: 9,
        num_keep: 4,
        seed: 5,
        stop: ["END"],
        num_ctx: 8192,
        num_gpu: 99,
        repeat_last_n: -1,
        mirostat: 1,
      },
      keep_alive: "1h30m",
      unknown: { a: 1 },
    },
    { headers: { "X-MLO-Session": "s" } },
  );
  expect(response.status).toBe(200);
  const call = (id: string, name: string, text: string) => ({
    id,
    type: "function",
    function: { name, arguments: text },
  });
  expect(inference.lastRequest as Json).toEqual({
    prompt: {
      kind: "chat",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Look." },
        {
          role: "assistant",
          content: "",
          reasoning_content: "I look.",
          tool_calls: [call("call_0", "f", '{"q":null}'), call("call_1", "g", "{}"), call("own", "f", "{}")],
        },
        { role: "tool", content: "of g", tool_call_id: "call_1", name: "g" },
        { role: "tool", content: "of f", tool_call_id: "call_0", name: "f" },
        { role: "tool", content: "of the last", tool_call_id: "own", name: "f" },
        { role: "tool", content: "of none" },
      ],
      jsonSchema: { type: "object", properties: { a: { const: null } } },
      grammarSchema: { type: "object", properties: { a: { const: null } }, additionalProperties: false },
      templateArgs: { enable_thinking: true, reasoning_effort: "low" },
      tools: [{ type: "function", function: { name: "f", parameters, grammarParameters } }],
    },
    sampling: { temperature: 0, topK: 20, seed: 5, repeatLastN: 320, mirostat: 1 },
    stop: ["END"],
    maxTokens: 9,
    logprobs: 2,
    logprobsMax: expect.any(Number),
    keepTokens: 4,
    contextShift: true,
    session: "s",
    whole: true,
  });
  expect(inference.keepCalls).toEqual([["demo", 5_400_000]]);
});

test.each([
  ["json", false, { type: "object" }, { enable_thinking: false }],
  ["", true, undefined, { enable_thinking: true }],
  [undefined, undefined, undefined, undefined],
] as const)("format %j and think %j", async (format, think, jsonSchema, templateArgs) => {
  const { post, inference } = createTestApp();
  await post("/api/chat", { messages: HELLO, format, think, options: { num_predict: -1, seed: -1 } });
  const expected = { kind: "chat", messages: HELLO, jsonSchema, grammarSchema: jsonSchema, templateArgs } as Json;
  expect(inference.lastRequest.prompt).toEqual(JSON.parse(JSON.stringify(expected)));
  expect(inference.lastRequest).not.toContainKey("maxTokens");
  expect(inference.lastRequest.sampling).toEqual(think === false ? { reasoningBudgetTokens: 0 } : {});
});

test("without messages the model is loaded, or unloaded", async () => {
  const { post, inference } = createTestApp();
  const loaded = await readJson(await post("/api/chat", { model: "demo", keep_alive: -1 }));
  expect(loaded).toMatchObject({ done: true, done_reason: "load", message: { role: "assistant", content: "" } });
  expect([inference.loadCalls, inference.keepCalls]).toEqual([["demo"], [["demo", null]]]);
  const gone = await readJson(await post("/api/chat", { model: "demo", messages: [], keep_alive: "0" }));
  expect(gone.done_reason).toBe("unload");
  expect([inference.loadCalls.length, inference.keepCalls.at(-1)]).toEqual([1, ["demo", 0]]);
  expect(inference.generateCalls).toHaveLength(0);
});

test("a load that the request waited for is in its durations", async () => {
  const { post, inference } = createTestApp();
  const loaded = makeCard({ state: "loaded", info: { ...new FakeBackend().info, loadMs: 12.5 } });
  const { generate } = inference;
  inference.generate = async (...args) => {
    inference.cards = [loaded];
    return generate.apply(inference, args);
  };
  const body = { model: "demo", messages: HELLO, stream: false };
  expect((await readJson(await post("/api/chat", body))).load_duration).toBe(12_500_000);
  expect((await readJson(await post("/api/chat", body))).load_duration).toBe(0);
});

test("a client that leaves a stream ends its generation", async () => {
  const { post, inference } = createTestApp();
  inference.script = async function* () {
    yield { type: "delta", text: "x" };
    await new Promise(() => {});
  };
  const response = await post("/api/chat", { messages: HELLO });
  const reader = response.body?.getReader();
  await reader?.read();
  await reader?.cancel();
  expect(inference.generateCalls[0]?.signal.aborted).toBe(true);
});

test("a last message of the assistant is a beginning", async () => {
  const { post, inference } = createTestApp();
  const ask = async (last: object) => {
    await post("/api/chat", { model: "demo", messages: [...HELLO, { role: "assistant", ...last }], stream: false });
    return inference.lastRequest.prompt;
  };
  expect(await ask({ content: "Well, " })).toMatchObject({
    continues: "content",
    messages: [{}, { content: "Well, " }],
  });
  expect(await ask({ content: "", thinking: "Hm" })).toMatchObject({ continues: "reasoning" });
  expect(await ask({ content: "" })).toEqual({ kind: "chat", messages: HELLO });
});
