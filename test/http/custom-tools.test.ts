// Custom tools of chats and responses: the model sees a function with one argument, the client a text, in pieces and whole,
// and what is not kept of a format is said.

import { describe, expect, test } from "bun:test";
import { DONE_EVENT, playEvents } from "../support/fake-inference.ts";
import { createTestApp, type Json, readError, readFrames, readJson, type TestApp } from "../support/http-app.ts";
import { readEvents, typesOf } from "../support/response-events.ts";

const CHAT = "/v1/chat/completions";
const RESPONSES = "/v1/responses";
const HELLO = [{ role: "user", content: "Hello!" }];
const PATCH = '*** Begin Patch\n"x"\n';
const ARGUMENTS = JSON.stringify({ input: PATCH });
const CALLS_DONE = { ...DONE_EVENT, finishReason: "tool_calls" } as typeof DONE_EVENT;
const CALL = playEvents(
  { type: "delta", toolCalls: [{ index: 0, id: "c1", name: "patch", arguments: ARGUMENTS.slice(0, 20) }] },
  { type: "delta", toolCalls: [{ index: 0, arguments: ARGUMENTS.slice(20) }] },
  { type: "delta", toolCalls: [{ index: 1, id: "c2", name: "f", arguments: "{}" }] },
  CALLS_DONE,
);
const INPUT_SCHEMA = {
  type: "object",
  properties: { input: { type: "string" } },
  required: ["input"],
  additionalProperties: false,
};
const LARK = { syntax: "lark", definition: 'start: "*** Begin Patch" LF' };
const REGEX = { syntax: "regex", definition: "[a-c]+|x" };
const F = { type: "function", function: { name: "f", parameters: { type: "object" } } };
const chatTool = (format?: object) => ({ type: "custom", custom: { name: "patch", description: "Edits.", format } });
const tool = (format?: object) => ({ type: "custom", name: "patch", description: "Edits.", format });

function readPrompt({ inference }: TestApp) {
  const { prompt } = inference.lastRequest;
  if (prompt.kind !== "chat") throw new Error("no chat");
  return prompt;
}

describe("chats", () => {
  const ask = (more: object = {}) => ({ messages: HELLO, tools: [chatTool(), F], ...more });
  const begun = { id: "c1", type: "custom", custom: { name: "patch", input: PATCH } };

  test("whole, and as an earlier answer", async () => {
    const app = createTestApp();
    app.inference.script = CALL;
    const { choices } = await readJson(await app.post(CHAT, ask()));
    const shown = readPrompt(app).tools?.[0]?.function;
    expect(shown).toMatchObject({ name: "patch", description: "Edits.", parameters: INPUT_SCHEMA });
    expect(choices[0].message.tool_calls).toEqual([
      begun,
      { id: "c2", type: "function", function: { name: "f", arguments: "{}" } },
    ]);
    const answer = { role: "assistant", content: null, tool_calls: [begun] };
    const result = { role: "tool", tool_call_id: "c1", content: "done" };
    await app.post(CHAT, ask({ messages: [...HELLO, answer, result] }));
    const called = { name: "patch", arguments: ARGUMENTS };
    expect(readPrompt(app).messages[1]?.tool_calls).toEqual([{ id: "c1", type: "function", function: called }]);
  });

  test("streamed", async () => {
    const app = createTestApp();
    app.inference.script = CALL;
    const frames = await readFrames(await app.post(CHAT, ask({ stream: true })));
    const calls: Json[] = frames.slice(0, -1).flatMap(({ choices }) => choices[0].delta.tool_calls ?? []);
    expect(calls[0]).toMatchObject({ index: 0, id: "c1", type: "custom", custom: { name: "patch" } });
    const input = calls.filter(({ index }) => index === 0).map(({ custom }) => custom.input);
    expect(input.join("")).toBe(PATCH);
    expect(input.every((piece) => !piece.includes("input"))).toBe(true);
    expect(calls.at(-1)).toMatchObject({ index: 1, type: "function" });
  });

  test("a call that is no JSON is told before the end", async () => {
    const app = createTestApp();
    app.inference.script = playEvents(
      { type: "delta", toolCalls: [{ index: 0, name: "patch", arguments: "*** Begin" }] },
      CALLS_DONE,
    );
    const frames = await readFrames(await app.post(CHAT, ask({ stream: true })));
    const deltas = frames.slice(0, -1).map(({ choices }) => choices[0].delta.tool_calls?.[0].custom.input);
    expect(deltas).toEqual([undefined, "", "*** Begin", undefined]);
  });

  test.each([
    [{ type: "custom", custom: { name: "patch" } }, "required"],
    [{ type: "allowed_tools", allowed_tools: { mode: "auto", tools: [chatTool()] } }, "auto"],
    [{ type: "allowed_tools", allowed_tools: { mode: "required", tools: [chatTool()] } }, "required"],
  ])("the choice %j leaves it alone", async (tool_choice, mode) => {
    const app = createTestApp();
    expect((await app.post(CHAT, ask({ tool_choice }))).status).toBe(200);
    expect(readPrompt(app).tools?.map(({ function: { name } }) => name)).toEqual(["patch"]);
    expect(readPrompt(app).toolChoice).toBe(mode as "auto");
  });

  test.each([
    [{ tool_choice: { type: "custom", custom: { name: "g" } } }, "tool_choice.custom.name"],
    [{ tool_choice: { type: "custom" } }, "tool_choice.custom"],
    [{ tool_choice: { type: "allowed_tools" } }, "tool_choice.allowed_tools"],
    [
      { tool_choice: { type: "allowed_tools", allowed_tools: { mode: "auto", tools: [] } } },
      "tool_choice.allowed_tools.tools",
    ],
    [{ tools: [{ type: "custom", custom: { name: "" } }] }, "tools[0].custom.name"],
    [{ messages: [{ role: "assistant", tool_calls: [{ type: "custom" }] }] }, "messages[0].tool_calls[0].custom"],
    [{ messages: [{ role: "assistant", tool_calls: [{ id: "x" }] }] }, "messages[0].tool_calls[0].function"],
  ])("%j is refused by name", async (fields, param) => {
    const app = createTestApp();
    const refused = await readError(await app.post(CHAT, ask(fields)));
    expect(refused).toEqual({ status: 400, code: "invalid_request", param });
  });

  test("an expression is kept, and checked; another grammar is shown and said not to be kept", async () => {
    const app = createTestApp();
    app.inference.script = CALL;
    const kept = await app.post(CHAT, ask({ tools: [chatTool({ type: "grammar", grammar: REGEX })] }));
    expect(kept.headers.get("X-MLO-Relaxed")).toBeNull();
    const { description, grammarParameters } = readPrompt(app).tools?.[0]?.function ?? {};
    expect(description).toContain(REGEX.definition);
    expect(JSON.stringify(grammarParameters)).toContain('"pattern"');
    const [warning] = (await readJson(kept)).mlo.warnings;
    expect(warning).toMatchObject({
      code: "schema_mismatch",
      tool: "patch",
      path: "choices[0].message.tool_calls[0].custom#/input",
    });
    const shown = await app.post(CHAT, ask({ tools: [chatTool({ type: "grammar", grammar: LARK })] }));
    expect(shown.headers.get("X-MLO-Relaxed")).toBe("patch (grammar)");
    expect(readPrompt(app).tools?.[0]?.function.description).toContain(LARK.definition);
    expect((await readJson(shown)).mlo.warnings).toMatchObject([
      { code: "schema_relaxed", tool: "patch", path: "tools[0].custom.format" },
    ]);
  });

  test("an expression that is none takes no other's place", async () => {
    const app = createTestApp();
    const format = { type: "grammar", grammar: { syntax: "regex", definition: "a)|(b" } };
    const response = await app.post(CHAT, ask({ tools: [chatTool(format)] }));
    expect([response.status, response.headers.get("X-MLO-Relaxed")]).toEqual([200, expect.stringContaining("pattern")]);
  });
});

describe("responses", () => {
  const f = { type: "function", name: "f", parameters: { type: "object" } };
  const ask = (more: object = {}) => ({ input: "Hello!", tools: [tool(), f], ...more });

  test("whole, continued, and listed", async () => {
    const app = createTestApp();
    app.inference.script = CALL;
    const body = await readJson(await app.post(RESPONSES, ask()));
    expect(readPrompt(app).tools?.[0]?.function).toMatchObject({ name: "patch", parameters: INPUT_SCHEMA });
    expect(body.tools).toEqual([{ type: "custom", name: "patch", description: "Edits." }, f]);
    expect(body.output).toMatchObject([
      { type: "custom_tool_call", call_id: "c1", name: "patch", input: PATCH, status: "completed" },
      { type: "function_call", call_id: "c2", name: "f", arguments: "{}" },
    ]);
    expect(body.output[0].id).toStartWith("ctc_");
    const output = { type: "custom_tool_call_output", call_id: "c1", output: "done" };
    const continued = await readJson(
      await app.post(RESPONSES, ask({ input: [output], previous_response_id: body.id })),
    );
    const called = { name: "patch", arguments: ARGUMENTS };
    const [, answer, result] = readPrompt(app).messages;
    expect(answer?.tool_calls?.[0]).toEqual({ id: "c1", type: "function", function: called });
    expect(result).toEqual({ role: "tool", tool_call_id: "c1", content: "done" });
    const items = await readJson(await app.get(`${RESPONSES}/${continued.id}/input_items`));
    expect(items.data).toMatchObject([{ ...output, id: expect.stringMatching(/^ctco_/) }]);
    await app.post(RESPONSES, ask({ input: [body.output[0], output] }));
    expect(readPrompt(app).messages[0]?.tool_calls?.[0]?.function).toEqual(called);
  });

  test("streamed, and replayed", async () => {
    const app = createTestApp();
    app.inference.script = CALL;
    const events = await readEvents(await app.post(RESPONSES, ask({ stream: true })));
    const own = events.filter(({ output_index: index }) => index === 0);
    expect(typesOf(own)).toEqual([
      "output_item.added",
      "custom_tool_call_input.delta",
      "custom_tool_call_input.delta",
      "custom_tool_call_input.done",
      "output_item.done",
    ]);
    expect(own[0].item).toMatchObject({ type: "custom_tool_call", name: "patch", input: "" });
    expect(own.map(({ delta = "" }) => delta).join("")).toBe(PATCH);
    expect([own[3].input, own[4].item.input]).toEqual([PATCH, PATCH]);
    const { id, output } = events.at(-1).response;
    const again = await readEvents(await app.get(`${RESPONSES}/${id}?stream=true`));
    expect(again.filter(({ type }) => type.endsWith("custom_tool_call_input.done"))).toMatchObject([{ input: PATCH }]);
    expect(again.at(-1).response.output).toEqual(output);
  });

  test("in a namespace, chosen by name, with a grammar", async () => {
    const app = createTestApp();
    app.inference.script = playEvents(
      { type: "delta", toolCalls: [{ index: 0, id: "c1", name: "docs__patch", arguments: ARGUMENTS }] },
      CALLS_DONE,
    );
    const tools = [{ type: "namespace", name: "docs", tools: [tool({ type: "grammar", ...LARK })] }, f];
    const tool_choice = { type: "custom", name: "patch", namespace: "docs" };
    const response = await app.post(RESPONSES, ask({ tools, tool_choice }));
    expect(response.headers.get("X-MLO-Relaxed")).toBe("docs__patch (grammar)");
    expect(readPrompt(app).tools?.map(({ function: { name } }) => name)).toEqual(["docs__patch"]);
    const body = await readJson(response);
    expect(body.output).toMatchObject([{ type: "custom_tool_call", name: "patch", namespace: "docs", input: PATCH }]);
    expect(body.mlo.warnings).toMatchObject([{ code: "schema_relaxed", path: "tools[0].tools[0].format" }]);
  });

  test.each([
    [{ tools: [{ type: "custom" }] }, "tools[0].name"],
    [{ input: [{ type: "custom_tool_call", call_id: "x", name: "patch" }] }, "input[0].input"],
    [{ input: [{ type: "custom_tool_call_output", call_id: "x", output: "" }] }, "input[0].call_id"],
    [{ tool_choice: { type: "custom", name: "g" } }, "tool_choice.name"],
  ])("%j is refused by name", async (fields, param) => {
    const app = createTestApp();
    const refused = await readError(await app.post(RESPONSES, ask(fields)));
    expect(refused).toEqual({ status: 400, code: "invalid_request", param });
  });
});
