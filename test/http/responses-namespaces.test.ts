// Functions in namespaces, as Codex sends those of MCP servers: the model knows each by one name, the client by two.

import { expect, test } from "bun:test";
import { DONE_EVENT, playEvents } from "../support/fake-inference.ts";
import { createTestApp, readError, readJson, type TestApp } from "../support/http-app.ts";
import { readEvents } from "../support/response-events.ts";

const PATH = "/v1/responses";
const parameters = { type: "object", properties: { q: { type: "string" } } };
const find = { type: "function", name: "find", parameters, strict: false };
const TOOLS = [
  { ...find, name: "plain" },
  { type: "namespace", name: "docs", description: "Documents.", tools: [find, { type: "web_search" }] },
];
const CALL = playEvents(
  { type: "delta", toolCalls: [{ index: 0, id: "c1", name: "docs__find", arguments: '{"q":"x"}' }] },
  { ...DONE_EVENT, finishReason: "tool_calls" } as typeof DONE_EVENT,
);

function lastPrompt({ inference }: TestApp) {
  const { prompt } = inference.lastRequest;
  if (prompt.kind !== "chat") throw new Error("no chat");
  return prompt;
}
const namesOf = (app: TestApp) => lastPrompt(app).tools?.map((tool) => tool.function.name);

test("the model sees one name, the client gets its two back, and what was called is remembered", async () => {
  const app = createTestApp();
  app.inference.script = CALL;
  const body = await readJson(await app.post(PATH, { input: "x", tools: TOOLS }));
  expect(namesOf(app)).toEqual(["plain", "docs__find"]);
  expect(lastPrompt(app).tools?.[1]?.function.grammarParameters).toMatchObject({ type: "object" });
  expect(body.output).toMatchObject([
    { type: "function_call", name: "find", namespace: "docs", arguments: '{"q":"x"}' },
  ]);
  expect(body.tools).toEqual(TOOLS);
  expect(body.mlo.warnings).toMatchObject([{ code: "tool_left_out", path: "tools[1].tools[1]" }]);
  const output = { type: "function_call_output", call_id: "c1", output: "found" };
  await app.post(PATH, { input: [output], previous_response_id: body.id, tools: TOOLS });
  expect(lastPrompt(app).messages[1]?.tool_calls?.[0]?.function.name).toBe("docs__find");
  const [call] = body.output;
  await app.post(PATH, { input: [call, output], tools: TOOLS });
  expect(lastPrompt(app).messages[0]?.tool_calls?.[0]?.function.name).toBe("docs__find");
});

test("a stream has both names from the first event of the call on", async () => {
  const app = createTestApp();
  app.inference.script = CALL;
  const events = await readEvents(await app.post(PATH, { input: "x", tools: TOOLS, stream: true }));
  const items = events.flatMap(({ item }) => item ?? []);
  expect(items).toHaveLength(2);
  for (const item of items) expect(item).toMatchObject({ name: "find", namespace: "docs" });
});

test("a choice may name one of them", async () => {
  const app = createTestApp();
  const one = { type: "function", name: "find", namespace: "docs" };
  for (const tool_choice of [one, { type: "allowed_tools", mode: "required", tools: [one] }]) {
    expect((await app.post(PATH, { input: "x", tools: TOOLS, tool_choice })).status).toBe(200);
    expect(namesOf(app)).toEqual(["docs__find"]);
    expect(lastPrompt(app).toolChoice).toBe("required");
  }
});

test.each([
  [{ type: "namespace", tools: [find] }, "tools[0].name"],
  [{ type: "namespace", name: "docs", tools: [{ type: "function" }] }, "tools[0].tools[0].name"],
  [{ type: "namespace", name: "docs", tools: [{ ...find, strict: true, parameters: { minProperties: 2 } }] }, null],
])("%j is refused by its path", async (tool, param) => {
  const app = createTestApp();
  const refused = await readError(await app.post(PATH, { input: "x", tools: [tool] }));
  expect(refused).toMatchObject({ status: 400, param: param ?? "tools[0].tools[0].parameters" });
});

test("functions are counted wherever they are", async () => {
  const app = createTestApp();
  const many = Array.from({ length: 300 }, (_, at) => ({ ...find, name: `f${at}` }));
  const tools = ["a", "b"].map((name) => ({ type: "namespace", name, tools: many }));
  const refused = { status: 400, code: "invalid_request", param: "tools" };
  expect(await readError(await app.post(PATH, { input: "x", tools }))).toEqual(refused);
});
