// POST /v1/messages over an inference that the test scripts: the answer in one piece and as a stream, and how it stops.

import { describe, expect, test } from "bun:test";
import type { GenerationEvent } from "../../src/protocol/generation.ts";
import { DONE_EVENT, playEvents, playText } from "../support/fake-inference.ts";
import { createTestApp, readJson, settle } from "../support/http-app.ts";
import { HELLO, MESSAGES, readEvents } from "../support/messages.ts";

type Done = Extract<GenerationEvent, { type: "done" }>;
const done = (changes: Partial<Done>): GenerationEvent => ({ ...(DONE_EVENT as Done), ...changes });

const THINKING = { thinking: { type: "enabled", budget_tokens: 20 } };

const TOOL_SCRIPT = playEvents(
  { type: "delta", reasoning: "I look " },
  { type: "delta", reasoning: "it up." },
  { type: "delta", text: "One moment." },
  { type: "delta", toolCalls: [{ index: 0, id: "call a", name: "look_up", arguments: "" }] },
  { type: "delta", toolCalls: [{ index: 0, arguments: '{"q":' }] },
  {
    type: "delta",
    toolCalls: [
      { index: 0, arguments: '"x"}' },
      { index: 1, id: "own-id", name: "stop", arguments: "{}" },
    ],
  },
  done({ finishReason: "tool_calls" }),
);

describe("in one piece", () => {
  test("a message has Anthropic's shape, and its tokens add up to the prompt's", async () => {
    const { post, inference } = createTestApp();
    const response = await post(`${MESSAGES}?beta=true`, { model: "demo", ...HELLO });
    expect(response.status).toBe(200);
    expect(response.headers.get("X-MLO-Cache")).toStartWith("live=0, retained=2");
    expect(response.headers.get("request-id")).toBe(response.headers.get("X-Request-Id"));
    const body = await readJson(response);
    expect(body).toEqual({
      id: expect.stringMatching(/^msg_[0-9a-f]{32}$/),
      type: "message",
      role: "assistant",
      model: "demo",
      content: [{ type: "text", text: "Hello" }],
      stop_reason: "end_turn",
      stop_sequence: null,
      usage: {
        input_tokens: 5,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 2,
        output_tokens: 3,
        cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
        service_tier: "standard",
      },
      mlo: { cache: { live: 0, retained: 2, disk: 0, evaluated: 5 } },
    });
    expect(inference.lastRequest).toMatchObject({ whole: true, maxTokens: 64, stop: [] });
  });

  test("thoughts, text and calls are blocks in that order; ids are of Anthropic's characters", async () => {
    const { post, inference } = createTestApp();
    inference.script = TOOL_SCRIPT;
    const body = await readJson(await post(MESSAGES, { ...HELLO, ...THINKING }));
    expect(body.content).toEqual([
      { type: "thinking", thinking: "I look it up.", signature: "ml-offload" },
      { type: "text", text: "One moment." },
      { type: "tool_use", id: expect.stringMatching(/^toolu_[0-9a-f]{32}_0$/), name: "look_up", input: { q: "x" } },
      { type: "tool_use", id: "own-id", name: "stop", input: {} },
    ]);
    expect(body.stop_reason).toBe("tool_use");
  });

  test.each([
    [{}, []],
    [{ thinking: { type: "disabled" } }, []],
    [{ thinking: { type: "adaptive" } }, ["I look it up."]],
    [{ thinking: { type: "adaptive", display: "updates" } }, ["I look it up."]],
    [{ thinking: { type: "enabled", display: "omitted" } }, [""]],
  ])("with %j the thoughts sent are %j", async (changes, thoughts) => {
    const { post, inference } = createTestApp();
    inference.script = TOOL_SCRIPT;
    const { content } = await readJson(await post(MESSAGES, { ...HELLO, ...changes }));
    const blocks = content.filter(({ type }: { type: string }) => type === "thinking");
    expect(blocks.map(({ thinking }: { thinking: string }) => thinking)).toEqual(thoughts);
  });

  test("arguments that were cut are an empty input", async () => {
    const { post, inference } = createTestApp();
    inference.script = playEvents(
      { type: "delta", toolCalls: [{ index: 0, name: "f", arguments: '{"a": "b' }] },
      done({ finishReason: "length", usage: { promptTokens: 7, completionTokens: 64, cachedTokens: 2 } }),
    );
    const body = await readJson(await post(MESSAGES, HELLO));
    expect(body.content).toMatchObject([{ type: "tool_use", name: "f", input: {} }]);
    expect(body.stop_reason).toBe("max_tokens");
  });

  test.each([
    [done({}), "end_turn", null],
    [done({ stopString: "END" }), "stop_sequence", "END"],
    [done({ stopString: "<|im_end|>" }), "end_turn", null],
    [done({ finishReason: "tool_calls" }), "tool_use", null],
    [done({ finishReason: "tool_calls", stopString: "END" }), "stop_sequence", "END"],
    [done({ finishReason: "length" }), "model_context_window_exceeded", null],
  ])("%j stops for %p", async (event, reason, sequence) => {
    const { post, inference } = createTestApp();
    inference.script = playEvents({ type: "delta", text: "x" }, event);
    const body = await readJson(await post(MESSAGES, { ...HELLO, stop_sequences: ["END"] }));
    expect(body).toMatchObject({ stop_reason: reason, stop_sequence: sequence });
    inference.script = playEvents({ type: "delta", text: "x" }, event);
    const events = await readEvents(await post(MESSAGES, { ...HELLO, stop_sequences: ["END"], stream: true }));
    expect(events.at(-2).delta).toEqual({ stop_reason: reason, stop_sequence: sequence });
  });

  test("max_tokens 0 reads the prompt ahead and answers nothing", async () => {
    const { post, inference } = createTestApp();
    const usage = { promptTokens: 7, completionTokens: 0, cachedTokens: 2 };
    inference.script = playEvents(done({ finishReason: "length", usage }));
    const body = await readJson(await post(MESSAGES, { ...HELLO, max_tokens: 0 }));
    expect(inference.lastRequest.maxTokens).toBe(0);
    expect(body).toMatchObject({ content: [], stop_reason: "max_tokens", usage: { output_tokens: 0 } });
  });
});

describe("as a stream", () => {
  test("events come in Anthropic's order, each named", async () => {
    const { post, inference } = createTestApp();
    inference.script = TOOL_SCRIPT;
    const response = await post(MESSAGES, { ...HELLO, ...THINKING, stream: true });
    expect(response.headers.get("Content-Type")).toStartWith("text/event-stream");
    expect(inference.lastRequest.whole).toBeUndefined();
    const events = await readEvents(response);
    expect(
      events.map(({ type, index, delta }) => [type, index, delta?.type].filter((part) => part !== undefined)),
    ).toEqual([
      ["message_start"],
      ["ping"],
      ["content_block_start", 0],
      ["content_block_delta", 0, "thinking_delta"],
      ["content_block_delta", 0, "thinking_delta"],
      ["content_block_delta", 0, "signature_delta"],
      ["content_block_stop", 0],
      ["content_block_start", 1],
      ["content_block_delta", 1, "text_delta"],
      ["content_block_stop", 1],
      ["content_block_start", 2],
      ["content_block_delta", 2, "input_json_delta"],
      ["content_block_delta", 2, "input_json_delta"],
      ["content_block_stop", 2],
      ["content_block_start", 3],
      ["content_block_delta", 3, "input_json_delta"],
      ["content_block_stop", 3],
      ["message_delta"],
      ["message_stop"],
    ]);
    expect(events[0].message).toMatchObject({
      type: "message",
      role: "assistant",
      content: [],
      stop_reason: null,
      usage: { input_tokens: 5, cache_read_input_tokens: 2, output_tokens: 0 },
    });
    expect(events[2].content_block).toEqual({ type: "thinking", thinking: "", signature: "" });
    expect(events[10].content_block).toMatchObject({ type: "tool_use", name: "look_up", input: {} });
    expect(events[14].content_block).toEqual({ type: "tool_use", id: "own-id", name: "stop", input: {} });
    expect(events.at(-2)).toEqual({
      type: "message_delta",
      delta: { stop_reason: "tool_use", stop_sequence: null },
      usage: { input_tokens: 5, cache_creation_input_tokens: 0, cache_read_input_tokens: 2, output_tokens: 3 },
      mlo: { cache: { live: 0, retained: 2, disk: 0, evaluated: 5 } },
    });
  });

  test("what was not known of the cache at the start is said at the end", async () => {
    const { post, inference } = createTestApp();
    inference.cacheAtStart = null;
    const events = await readEvents(await post(MESSAGES, { ...HELLO, stream: true }));
    expect(events[0].message.usage).toMatchObject({ input_tokens: 7, cache_read_input_tokens: 0 });
    expect(events.at(-2).usage).toMatchObject({ input_tokens: 5, cache_read_input_tokens: 2 });
  });

  test("thoughts that nobody asked for leave no block, omitted ones leave one without text", async () => {
    const { post, inference } = createTestApp();
    const blocksWith = async (changes: object) => {
      inference.script = TOOL_SCRIPT;
      const events = await readEvents(await post(MESSAGES, { ...HELLO, ...changes, stream: true }));
      return events.flatMap(({ content_block, delta }) => content_block?.type ?? delta?.type ?? []);
    };
    expect((await blocksWith({})).slice(0, 2)).toEqual(["text", "text_delta"]);
    const omitted = await blocksWith({ thinking: { type: "adaptive", display: "omitted" } });
    expect(omitted.slice(0, 3)).toEqual(["thinking", "signature_delta", "text"]);
  });

  test("text behind a call is a block of its own", async () => {
    const { post, inference } = createTestApp();
    inference.script = playEvents(
      { type: "delta", text: "a" },
      { type: "delta", toolCalls: [{ index: 0, name: "f", arguments: "{}" }] },
      { type: "delta", text: "b" },
      done({ finishReason: "tool_calls" }),
    );
    const events = await readEvents(await post(MESSAGES, { ...HELLO, stream: true }));
    const starts = events.filter(({ type }) => type === "content_block_start");
    expect(starts.map(({ index, content_block }) => [index, content_block.type])).toEqual([
      [0, "text"],
      [1, "tool_use"],
      [2, "text"],
    ]);
  });

  test("silence is filled with pings", async () => {
    const { post, inference, clock } = createTestApp({ keepAliveMs: 15_000 });
    const answer = Promise.withResolvers<GenerationEvent>();
    inference.script = async function* () {
      yield await answer.promise;
    };
    const response = await post(MESSAGES, { ...HELLO, stream: true });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    const silent = reader.read();
    await settle();
    clock.advance(15_000);
    expect(new TextDecoder().decode((await silent).value)).toBe('event: ping\ndata: {"type":"ping"}\n\n');
    answer.resolve(DONE_EVENT);
    await reader.cancel();
  });

  test("thoughts that are not sent are silence too", async () => {
    const { post, inference, clock } = createTestApp({ keepAliveMs: 15_000 });
    inference.script = async function* () {
      for (let thought = 0; thought < 40; thought++) {
        clock.advance(1000);
        yield { type: "delta", reasoning: "x" };
      }
      yield DONE_EVENT;
    };
    const events = await readEvents(await post(MESSAGES, { ...HELLO, stream: true }));
    const types = events.map(({ type }) => type);
    expect(types).toEqual(["message_start", "ping", "ping", "ping", "message_delta", "message_stop"]);
  });

  test("a client that leaves ends its generation", async () => {
    const { post, inference } = createTestApp();
    inference.script = async function* () {
      for (;;) yield { type: "delta", text: "x" };
    };
    const response = await post(MESSAGES, { ...HELLO, stream: true });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    await reader.cancel();
    expect(inference.generateCalls[0]?.signal.aborted).toBe(true);
  });
});

describe("cache_control", () => {
  const MARK = { cache_control: { type: "ephemeral" } };
  const ask = (changes: object, headers = {}) => {
    const made = createTestApp();
    made.inference.script = playText("x");
    return made.post(MESSAGES, { ...HELLO, ...changes }, { headers }).then(async (response) => ({
      session: made.inference.lastRequest.session,
      usage: (await readJson(response)).usage,
    }));
  };
  const userSays = (text: string, mark = {}) => ({ role: "user", content: [{ type: "text", text, ...mark }] });

  test("names the conversation, and what was computed counts as written", async () => {
    expect((await ask({})).session).toBeUndefined();
    const { session, usage } = await ask({ ...MARK });
    expect(session).toMatch(/^cached-[0-9a-f]{16}$/);
    expect(usage).toMatchObject({
      input_tokens: 0,
      cache_creation_input_tokens: 5,
      cache_read_input_tokens: 2,
      cache_creation: { ephemeral_5m_input_tokens: 5, ephemeral_1h_input_tokens: 0 },
    });
  });

  test.each([
    [{ system: [{ type: "text", text: "Be brief.", ...MARK }] }],
    [{ tools: [{ name: "f", input_schema: {}, ...MARK }] }],
    [{ messages: [userSays("Hello!", MARK)] }],
    [
      {
        messages: [
          {
            role: "user",
            content: [{ type: "tool_result", tool_use_id: "a", content: [{ type: "text", text: "x", ...MARK }] }],
          },
        ],
      },
    ],
  ])("is found in %j", async (changes) => {
    expect((await ask(changes)).session).toStartWith("cached-");
  });

  test("the name is the same in every turn, whatever the marks and the accounting line", async () => {
    const system = (nonce: string) => [
      { type: "text", text: `x-anthropic-billing-header: cc_version=2; cch=${nonce};` },
      { type: "text", text: "You are an agent.", ...MARK },
    ];
    const first = await ask({ system: system("aaaaa"), messages: [userSays("Hi", MARK)] });
    const later = [userSays("Hi"), { role: "assistant", content: "Hello" }, userSays("More", MARK)];
    const second = await ask({ system: system("bbbbb"), messages: later });
    expect(second.session).toBe(first.session as string);
    expect((await ask({ system: system("ccccc"), messages: [userSays("Other")] })).session).not.toBe(first.session);
  });

  test("the client's own name, header and lifetime count", async () => {
    const named = await ask({ ...MARK, metadata: { user_id: "someone" } });
    const other = await ask({ ...MARK, metadata: { user_id: "someone" }, messages: [userSays("Other")] });
    expect(named.session).toBe(other.session as string);
    expect((await ask({ ...MARK, metadata: { user_id: null } })).session).not.toBe(named.session);
    expect((await ask({ ...MARK }, { "X-MLO-Session": "mine" })).session).toBe("mine");
    const hour = await ask({ cache_control: { type: "ephemeral", ttl: "1h" } });
    expect(hour.usage.cache_creation.ephemeral_1h_input_tokens).toBe(5);
    expect((await ask({ ...MARK }, { "X-MLO-KV": "off" })).usage.cache_creation_input_tokens).toBe(0);
  });
});
