// What a request of Anthropic's API can say reaches inference in the domain's words.

import { expect, test } from "bun:test";
import type { ChatPrompt } from "../../src/protocol/generation.ts";
import { createTestApp, readJson } from "../support/http-app.ts";
import { HELLO, MESSAGES } from "../support/messages.ts";

async function promptOf(changes: object): Promise<ChatPrompt> {
  const { post, inference } = createTestApp();
  const response = await post(MESSAGES, { ...HELLO, ...changes });
  if (response.status !== 200) throw new Error(await response.text());
  const { prompt } = inference.lastRequest;
  if (prompt.kind !== "chat") throw new Error("not a chat");
  return prompt;
}

const text = (content: string) => ({ type: "text", text: content });
const messagesOf = async (messages: object[]) => (await promptOf({ messages })).messages;

test("a whole conversation: system, thoughts, calls, results and documents", async () => {
  const prompt = await promptOf({
    system: [text("Be brief."), text("Be kind.")],
    messages: [
      {
        role: "user",
        content: [
          text("Read this."),
          { type: "document", title: "T", source: { type: "text", media_type: "text/plain", data: "Once." } },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "Hm.", signature: "x" },
          { type: "redacted_thinking", data: "xyz" },
          text("I look."),
          { type: "tool_use", id: "a", name: "look", input: { q: null } },
          { type: "tool_use", id: "b", name: "go", input: {} },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "a", content: [text("one"), text("two")] },
          { type: "tool_result", tool_use_id: "b", content: "gone", is_error: true },
          { type: "tool_result", tool_use_id: "c" },
          text("And now?"),
        ],
      },
    ],
  });
  expect(prompt.messages).toEqual([
    { role: "system", content: [text("Be brief."), text("Be kind.")] },
    { role: "user", content: [text("Read this."), text('<document title="T">\nOnce.\n</document>')] },
    {
      role: "assistant",
      content: "I look.",
      reasoning_content: "Hm.",
      tool_calls: [
        { id: "a", type: "function", function: { name: "look", arguments: '{"q":null}' } },
        { id: "b", type: "function", function: { name: "go", arguments: "{}" } },
      ],
    },
    { role: "tool", tool_call_id: "a", name: "look", content: "one\ntwo" },
    { role: "tool", tool_call_id: "b", name: "go", content: "Error: gone" },
    { role: "tool", tool_call_id: "c", content: "" },
    { role: "user", content: "And now?" },
  ]);
});

test("neighbours of one role are one message; an empty one is still a turn", async () => {
  expect(
    await messagesOf([
      { role: "user", content: "a" },
      { role: "user", content: [text("b")] },
      { role: "assistant", content: "c" },
      { role: "assistant", content: [{ type: "tool_use", id: "x", name: "f", input: {} }] },
      { role: "user", content: [] },
      { role: "system", content: "later" },
      { role: "user", content: "d" },
    ]),
  ).toEqual([
    { role: "user", content: [text("a"), text("b")] },
    {
      role: "assistant",
      content: "c",
      tool_calls: [{ id: "x", type: "function", function: { name: "f", arguments: "{}" } }],
    },
    { role: "user", content: "" },
    { role: "system", content: "later" },
    { role: "user", content: "d" },
  ]);
});

test("a system message at the beginning joins the system text", async () => {
  const messages = [{ role: "system", content: "b" }, ...HELLO.messages];
  expect((await promptOf({ system: "a", messages })).messages[0]).toEqual({
    role: "system",
    content: [text("a"), text("b")],
  });
});

test("an assistant that only called has no content", async () => {
  const content = [{ type: "tool_use", id: "x", name: "f", input: {} }];
  const messages = await messagesOf([
    ...HELLO.messages,
    { role: "assistant", content },
    { role: "user", content: "b" },
  ]);
  expect(messages[1]?.content).toBeNull();
});

test("search results and documents of blocks are texts that say what they are", async () => {
  const messages = await messagesOf([
    {
      role: "user",
      content: [
        { type: "search_result", source: "https://x.example", title: "X", content: [text("a"), text("b")] },
        { type: "document", context: "old", source: { type: "content", content: [text("c")] } },
        { type: "document", source: { type: "content", content: "d" } },
      ],
    },
  ]);
  expect(messages[0]?.content).toEqual([
    text('<search_result title="X" source="https://x.example">\na\nb\n</search_result>'),
    text('<document context="old">\nc\n</document>'),
    text("<document>\nd\n</document>"),
  ]);
});

test("the accounting line of Claude Code is no part of the prompt", async () => {
  const line = "x-anthropic-billing-header: cc_version=2.1.37.0d9; cc_entrypoint=cli; cch=fa690;";
  const systemOf = async (system: unknown) =>
    (await promptOf({ system })).messages.filter(({ role }) => role === "system");
  expect(await systemOf([text(line), text("You are an agent.")])).toEqual([
    { role: "system", content: "You are an agent." },
  ]);
  expect(await systemOf(`${line}\nYou are an agent.`)).toEqual([{ role: "system", content: "You are an agent." }]);
  expect(await systemOf([text(line)])).toEqual([]);
  expect(await systemOf([text("Quote it:"), text(line)])).toEqual([
    { role: "system", content: [text("Quote it:"), text(line)] },
  ]);
});

const TOOLS = [
  {
    name: "f",
    description: "F",
    input_schema: { type: "object", default: null },
    strict: true,
    eager_input_streaming: true,
  },
  { type: "custom", name: "g", input_schema: {}, cache_control: null },
];

test.each([
  [undefined, { parallelToolCalls: true }],
  [{ type: "auto" }, { parallelToolCalls: true }],
  [{ type: "auto", disable_parallel_tool_use: true }, { parallelToolCalls: false }],
  [{ type: "any" }, { parallelToolCalls: true, toolChoice: "required" }],
  [{ type: "none" }, { parallelToolCalls: true, toolChoice: "none" }],
])("tool_choice %j", async (choice, expected) => {
  const {
    tools,
    messages: _,
    templateArgs: _args,
    kind: _kind,
    ...rest
  } = await promptOf({ tools: TOOLS, tool_choice: choice });
  expect(tools).toEqual([
    {
      type: "function",
      function: {
        name: "f",
        description: "F",
        parameters: { type: "object", default: null },
        strict: true,
        ...(choice?.type === "none" ? {} : { grammarParameters: { type: "object" } }),
      },
    },
    { type: "function", function: { name: "g", parameters: {} } },
  ]);
  expect(rest).toEqual(expected as never);
});

test("deferred tools are shown once they are referred to, called or asked for", async () => {
  const tools = ["search", "a", "b", "c"].map((name) => {
    return { name, input_schema: {}, defer_loading: name !== "search" };
  });
  const said = (...content: object[]) => ({ role: "user", content });
  const namesOf = async (changes: object) =>
    (await promptOf({ tools, ...changes })).tools?.map((tool) => tool.function.name);
  expect(await namesOf({})).toEqual(["search"]);
  const found = { type: "tool_result", tool_use_id: "x", content: [{ type: "tool_reference", tool_name: "b" }] };
  expect(await namesOf({ messages: [said(found)] })).toEqual(["search", "b"]);
  expect((await promptOf({ tools, messages: [said(found)] })).messages).toEqual([
    { role: "tool", tool_call_id: "x", content: "The tool b can be called now." },
  ]);
  const called = { role: "assistant", content: [{ type: "tool_use", id: "x", name: "c", input: {} }] };
  expect(await namesOf({ messages: [called, said(text("x"))] })).toEqual(["search", "c"]);
  expect(await namesOf({ tool_choice: { type: "tool", name: "a" } })).toEqual(["a"]);
  expect(await namesOf({ tools: tools.slice(1) })).toBeUndefined();
});

test("a named tool is the only one, and required", async () => {
  const prompt = await promptOf({ tools: TOOLS, tool_choice: { type: "tool", name: "g" } });
  expect(prompt.toolChoice).toBe("required");
  expect(prompt.tools?.map((tool) => tool.function.name)).toEqual(["g"]);
});

test.each([
  [{}, { enable_thinking: false }, undefined],
  [{ thinking: { type: "disabled" } }, { enable_thinking: false }, 0],
  [{ thinking: { type: "enabled", budget_tokens: 2000 } }, { enable_thinking: true }, 2000],
  [
    { thinking: { type: "adaptive" }, output_config: { effort: "low" } },
    { enable_thinking: true, reasoning_effort: "low" },
    undefined,
  ],
  [{ output_config: { effort: "max" } }, { enable_thinking: false, reasoning_effort: "high" }, undefined],
  [{ thinking: { type: "enabled" }, reasoning_budget_tokens: 7 }, { enable_thinking: true }, 7],
])("%j is %j for the template", async (changes, args, budget) => {
  const { post, inference } = createTestApp();
  expect((await post(MESSAGES, { ...HELLO, ...changes })).status).toBe(200);
  const { prompt, sampling } = inference.lastRequest;
  expect(prompt.kind === "chat" && prompt.templateArgs).toEqual(args);
  expect(sampling.reasoningBudgetTokens).toBe(budget as never);
});

test("a JSON format is a schema, in its new place and its old one", async () => {
  const schema = { type: "object", properties: { a: { enum: [null, 1] } } };
  const format = { type: "json_schema", schema };
  for (const changes of [{ output_config: { format } }, { output_format: format }]) {
    const { jsonSchema, grammarSchema } = await promptOf(changes);
    expect(jsonSchema).toEqual(schema);
    expect(grammarSchema).toMatchObject({ type: "object", properties: { a: { enum: [null, 1] } } });
  }
  expect((await promptOf({ output_config: { format: null }, output_format: null })).jsonSchema).toBeUndefined();
});

test("sampling, limits and our own fields", async () => {
  const { post, inference } = createTestApp();
  const response = await post(
    MESSAGES,
    {
      ...HELLO,
      model: "default",
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      seed: 3,
      stop_sequences: ["a", "\n"],
      lora: [{ id: 0, scale: 1 }],
      mlo: { priority: "batch" },
      // Taken, and of no effect.
      service_tier: "auto",
      metadata: { user_id: "u" },
      container: null,
      context_management: { edits: [] },
      mcp_servers: [],
      inference_geo: "us",
      betas: ["x"],
    },
    { headers: { "anthropic-version": "2023-06-01", "anthropic-beta": "a,b", "x-api-key": "k" } },
  );
  expect(response.status).toBe(200);
  expect(inference.lastRequest).toEqual({
    prompt: { kind: "chat", messages: [{ role: "user", content: "Hello!" }], templateArgs: { enable_thinking: false } },
    sampling: { temperature: 0.5, topP: 0.9, topK: 40, seed: 3 },
    stop: ["a", "\n"],
    maxTokens: 64,
    lora: [{ id: 0, scale: 1 }],
    priority: "batch",
    whole: true,
  });
});

test("a last message of the assistant is a beginning", async () => {
  const begun = (...content: object[]) => promptOf({ messages: [...HELLO.messages, { role: "assistant", content }] });
  const prompt = await promptOf({ messages: [...HELLO.messages, { role: "assistant", content: "The answer is" }] });
  expect(prompt).toMatchObject({ continues: "content", messages: [{}, { content: "The answer is" }] });
  const thought = { type: "thinking", thinking: "Hm.", signature: "x" };
  expect((await begun(thought, text("So"))).continues).toBe("content");
  expect((await begun(thought)).continues).toBe("reasoning");
  expect(await begun(text(""))).toMatchObject({ messages: HELLO.messages });
  expect((await begun(text(""))).continues).toBeUndefined();
});

test("count_tokens makes the same prompt, and only counts it", async () => {
  const { post, inference, clock } = createTestApp({ requestTimeoutMs: 1000 });
  const system = [text("Be brief.")];
  const messages = [...HELLO.messages, { role: "assistant", content: "Hi" }];
  const body = { system, messages, tools: TOOLS, tool_choice: { type: "any" }, thinking: { type: "adaptive" } };
  const response = await post(`${MESSAGES}/count_tokens?beta=true`, body);
  expect(await readJson(response)).toEqual({ input_tokens: 7 });
  const { prompt, countOnly, maxTokens } = inference.lastRequest;
  expect([countOnly, maxTokens]).toEqual([true, undefined]);
  await post(MESSAGES, { ...body, max_tokens: 9, messages: [...messages, { role: "user", content: "x" }] });
  const sent = inference.lastRequest.prompt;
  if (prompt.kind !== "chat" || sent.kind !== "chat") throw new Error("not a chat");
  expect(sent.messages.slice(0, -1)).toEqual(prompt.messages);
  // There the answer begins with "Hi".
  const { continues, ...counted } = prompt;
  expect(continues).toBe("content");
  expect({ ...sent, messages: [] }).toEqual({ ...counted, messages: [] });
  expect(clock.pendingTimers).toBe(0);
});
