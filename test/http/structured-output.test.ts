// Schemas of tools and of answers: what goes to the engine, what is said of what was relaxed, and what `strict` refuses.

import { expect, test } from "bun:test";
import type { ChatPrompt, GenerationEvent } from "../../src/protocol/generation.ts";
import { DONE_EVENT, playEvents, playText } from "../support/fake-inference.ts";
import { createTestApp, readError, readFrames, readJson, type TestApp } from "../support/http-app.ts";

const PATH = "/v1/chat/completions";
const HELLO = [{ role: "user", content: "Hello!" }];
const text = { type: "string" };

const tool = (name: string, parameters: unknown, strict?: boolean) => ({
  type: "function",
  function: { name, parameters, ...(strict === undefined ? {} : { strict }) },
});
const format = (schema: unknown, strict?: boolean) => ({
  type: "json_schema",
  json_schema: { name: "answer", schema, ...(strict === undefined ? {} : { strict }) },
});
const EVEN = { type: "object", properties: { n: { type: "integer", multipleOf: 2 } }, required: ["n"] };

function lastPrompt({ inference }: TestApp): ChatPrompt {
  const { prompt } = inference.lastRequest;
  if (prompt.kind !== "chat") throw new Error("no chat");
  return prompt;
}

function callEvents(name: string, text: string): GenerationEvent[] {
  const half = Math.floor(text.length / 2);
  return [
    { type: "delta", toolCalls: [{ index: 0, id: "c1", name, arguments: text.slice(0, half) }] },
    { type: "delta", toolCalls: [{ index: 0, arguments: text.slice(half) }] },
    { ...DONE_EVENT, finishReason: "tool_calls" } as typeof DONE_EVENT,
  ];
}

test("the model is shown the schema as it came; the grammar follows the lowered one", async () => {
  const app = createTestApp();
  const parameters = { $ref: "#/$defs/P", $defs: { P: { type: "object", properties: { a: text }, title: "P" } } };
  await app.post(PATH, { messages: HELLO, tools: [tool("f", parameters)], response_format: format(EVEN) });
  const prompt = lastPrompt(app);
  expect(prompt.tools?.[0]?.function.parameters).toEqual(parameters);
  expect(prompt.tools?.[0]?.function.grammarParameters).toEqual({
    type: "object",
    properties: { a: text },
    additionalProperties: false,
  });
  expect(prompt.jsonSchema).toEqual(EVEN);
  expect(prompt.grammarSchema?.required).toEqual(["n"]);
});

test("definitions of two tools have names of their own", async () => {
  const app = createTestApp();
  const tree = { type: "object", properties: { next: { $ref: "#" }, kind: text } };
  await app.post(PATH, { messages: HELLO, tools: [tool("f", tree), tool("g", tree)] });
  const names = lastPrompt(app).tools?.map((each) => Object.keys(each.function.grammarParameters?.$defs ?? {}));
  expect(names?.flat().length).toBe(2);
  expect(new Set(names?.flat()).size).toBe(2);
});

test("what was relaxed is in the header, and with what was broken in the warnings", async () => {
  const app = createTestApp();
  app.inference.script = playEvents(...callEvents("even", '{"n": 3}'));
  const response = await app.post(PATH, { messages: HELLO, tools: [tool("even", EVEN), tool("any", {})] });
  expect(response.headers.get("X-MLO-Relaxed")).toBe("even#/properties/n (multipleOf)");
  const { mlo } = await readJson(response);
  expect(mlo.warnings).toEqual([
    {
      code: "schema_relaxed",
      tool: "even",
      path: "tools[0].function.parameters#/properties/n",
      message: "`multipleOf` is not kept by the grammar: a grammar does not divide",
    },
    {
      code: "schema_mismatch",
      tool: "even",
      path: "choices[0].message.tool_calls[0].function.arguments#/n",
      message: "is no multiple of 2",
    },
  ]);
});

test("a stream says the same in its last chunk", async () => {
  const app = createTestApp();
  app.inference.script = playText('{"n"', ": 3}");
  for (const include_usage of [false, true]) {
    const response = await app.post(PATH, {
      messages: HELLO,
      response_format: format(EVEN),
      stream: true,
      stream_options: { include_usage },
    });
    expect(response.headers.get("X-MLO-Relaxed")).toBe("response_format#/properties/n (multipleOf)");
    const chunks = (await readFrames(response)).slice(0, -1);
    expect(chunks.filter((chunk) => chunk.mlo !== undefined)).toHaveLength(1);
    expect(chunks.at(-1).mlo.warnings.map((warning: { path: string }) => warning.path)).toEqual([
      "response_format.json_schema.schema#/properties/n",
      "choices[0].message.content#/n",
    ]);
  }
});

test("right answers, cut ones and other tools have no warnings", async () => {
  const app = createTestApp();
  const schema = { type: "object", properties: { a: { type: "integer", minimum: 1 } } };
  const ask = async () => {
    const body = { messages: HELLO, tools: [tool("f", schema)], response_format: format(schema) };
    const response = await app.post(PATH, body);
    expect(response.headers.get("X-MLO-Relaxed")).toBeNull();
    return (await readJson(response)).mlo.warnings;
  };
  app.inference.script = playText('{"a": 1}');
  expect(await ask()).toBeUndefined();
  app.inference.script = playEvents({ type: "delta", text: '{"a"' }, {
    ...DONE_EVENT,
    finishReason: "length",
  } as typeof DONE_EVENT);
  expect(await ask()).toBeUndefined();
  app.inference.script = playEvents(...callEvents("f", '{"a": 2}'));
  expect(await ask()).toBeUndefined();
  app.inference.script = playEvents(...callEvents("f", '{"a": 0}'));
  expect(await ask()).toMatchObject([{ code: "schema_mismatch", message: "is below the minimum 1" }]);
  app.inference.script = playText("Sorry.");
  expect(await ask()).toMatchObject([{ code: "schema_mismatch", message: "is no JSON" }]);
});

test("an invalid tool schema degrades that tool alone", async () => {
  const app = createTestApp();
  const broken = [
    17,
    "object",
    [],
    false,
    { type: "nonsense" },
    { $ref: "#/nowhere" },
    { type: "array" },
    { properties: 3 },
  ];
  const response = await app.post(PATH, {
    messages: HELLO,
    tools: [tool("good", EVEN), ...broken.map((schema, i) => tool(`bad${i}`, schema))],
  });
  expect(response.status).toBe(200);
  const [good, ...bad] = lastPrompt(app).tools ?? [];
  expect(good?.function.grammarParameters?.required).toEqual(["n"]);
  for (const each of bad) expect(each.function.grammarParameters?.type).toBe("object");
  const { warnings } = (await readJson(response)).mlo;
  const tools = new Set(warnings.map((warning: { tool: string }) => warning.tool));
  for (const name of ["bad0", "bad1", "bad2", "bad3", "bad4", "bad5", "bad6"]) expect(tools).toContain(name);
});

test("an invalid response schema allows any JSON", async () => {
  const app = createTestApp();
  for (const schema of [17, { type: "nonsense" }, {}, true]) {
    const response = await app.post(PATH, { messages: HELLO, response_format: format(schema) });
    expect(response.status).toBe(200);
    expect(Object.keys(lastPrompt(app).grammarSchema ?? {})).toEqual(["description"]);
  }
});

test("`strict` refuses what can't be guaranteed, with its place", async () => {
  const { post } = createTestApp();
  const strictTool = await post(PATH, { messages: HELLO, tools: [tool("a", EVEN), tool("b", EVEN, true)] });
  const body = await readJson(strictTool.clone());
  expect(await readError(strictTool)).toEqual({
    status: 400,
    code: "not_supported",
    param: "tools[1].function.parameters",
  });
  expect(body.error.message).toContain("tools[1].function.parameters#/properties/n");
  expect(body.error.message).toContain("multipleOf");
  const strictFormat = await post(PATH, { messages: HELLO, response_format: format(EVEN, true) });
  expect(await readError(strictFormat)).toMatchObject({ status: 400, param: "response_format.json_schema.schema" });
  const kept = { type: "object", properties: { a: text }, required: ["a"], additionalProperties: false };
  const fine = await post(PATH, {
    messages: HELLO,
    tools: [tool("c", kept, true)],
    response_format: format(kept, true),
  });
  expect(fine.status).toBe(200);
});

test("tools that may not be called are not looked at", async () => {
  const app = createTestApp();
  const response = await app.post(PATH, { messages: HELLO, tools: [tool("a", EVEN, true)], tool_choice: "none" });
  expect(response.status).toBe(200);
  expect(lastPrompt(app).tools?.[0]?.function.grammarParameters).toBeUndefined();
});

test("the header stays short and ASCII, the warnings few", async () => {
  const { post } = createTestApp();
  const properties = Object.fromEntries(
    Array.from({ length: 500 }, (_, i) => [`näme "${i}",\n`, { type: "array", uniqueItems: true }]),
  );
  const response = await post(PATH, { messages: HELLO, tools: [tool("f", { type: "object", properties })] });
  const header = response.headers.get("X-MLO-Relaxed") ?? "";
  expect(header.length).toBeLessThan(700);
  expect(header).toMatch(/^[\x20-\x7e]+ more$/);
  const { warnings } = (await readJson(response)).mlo;
  expect(warnings).toHaveLength(51);
  expect(warnings.at(-1).message).toBe("450 more warnings are left out");
});

test("hostile schemas take bounded time", async () => {
  const { post } = createTestApp();
  const alternatives = {
    anyOf: Array.from({ length: 90 }, () => ({ type: "string", enum: Array.from({ length: 900 }, (_, i) => `v${i}`) })),
  };
  const nested = {
    $defs: { alternatives },
    anyOf: Array.from({ length: 90 }, () => ({ $ref: "#/$defs/alternatives" })),
    enum: Array.from({ length: 50_000 }, (_, i) => i),
  };
  const wide = {
    type: "object",
    properties: Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`p${i}`, text])),
  };
  const patterns = {
    type: "object",
    patternProperties: Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`(a+)+${i}$`, text])),
    properties: Object.fromEntries(Array.from({ length: 300 }, (_, i) => ["a".repeat(400) + i, text])),
  };
  const refs = {
    $defs: Object.fromEntries(
      Array.from({ length: 300 }, (_, i) => [
        `d${i}`,
        { anyOf: [{ $ref: `#/$defs/d${i + 1}` }, { items: { $ref: `#/$defs/d${(i * 7) % 300}` } }] },
      ]),
    ),
    $ref: "#/$defs/d0",
  };
  for (const schema of [nested, wide, patterns, refs]) {
    const start = performance.now();
    const response = await post(PATH, { messages: HELLO, tools: [tool("f", schema)], response_format: format(schema) });
    expect(response.status).toBe(200);
    expect(performance.now() - start).toBeLessThan(5000);
  }
});
