// Schemas of tools and of `text.format` in Responses: lowered for the grammar, checked after the answer, with the places of
// the response's items.

import { expect, test } from "bun:test";
import { DONE_EVENT, playEvents, playText } from "../support/fake-inference.ts";
import { createTestApp, readError, readJson, type TestApp } from "../support/http-app.ts";
import { readEvents } from "../support/response-events.ts";

const PATH = "/v1/responses";
const EVEN = { type: "object", properties: { n: { type: "integer", multipleOf: 2 } }, required: ["n"] };
const tool = (name: string, parameters: unknown, strict?: boolean | null) => ({
  type: "function",
  name,
  parameters,
  ...(strict === undefined ? {} : { strict }),
});
const format = (schema: unknown, strict?: boolean) => ({
  text: { format: { type: "json_schema", name: "answer", schema, ...(strict === undefined ? {} : { strict }) } },
});

const RELAXED = {
  code: "schema_relaxed",
  tool: "even",
  path: "tools[1].parameters#/properties/n",
  message: "`multipleOf` is not kept by the grammar: a grammar does not divide",
};

const CALL = playEvents(
  { type: "delta", reasoning: "Hm." },
  { type: "delta", text: "I call." },
  { type: "delta", toolCalls: [{ index: 0, id: "a", name: "even", arguments: '{"n":' }] },
  { type: "delta", toolCalls: [{ index: 0, arguments: " 3}" }] },
  { ...DONE_EVENT, finishReason: "tool_calls" } as typeof DONE_EVENT,
);

function lastPrompt({ inference }: TestApp) {
  const { prompt } = inference.lastRequest;
  if (prompt.kind !== "chat") throw new Error("no chat");
  return prompt;
}

test("the model is shown the schemas as they came; the grammar follows the lowered ones", async () => {
  const app = createTestApp();
  const parameters = { $ref: "#/$defs/P", $defs: { P: { type: "object", properties: { a: { enum: [null, 1] } } } } };
  await app.post(PATH, { input: "x", tools: [tool("f", parameters), tool("g", null, null)], ...format(EVEN) });
  const prompt = lastPrompt(app);
  expect(prompt.tools?.[0]?.function.parameters).toEqual(parameters);
  expect(prompt.tools?.[0]?.function.grammarParameters).toMatchObject({ properties: { a: { enum: [null, 1] } } });
  expect(prompt.tools?.[1]).toEqual({ type: "function", function: { name: "g" } });
  expect(prompt.jsonSchema).toEqual(EVEN);
  expect(prompt.grammarSchema?.required).toEqual(["n"]);
});

test("a tool's relaxed constraint is in the header, and with what was broken in the warnings", async () => {
  const app = createTestApp();
  app.inference.script = CALL;
  const tools = [{ type: "web_search" }, tool("even", EVEN)];
  const warnings = [
    { code: "tool_left_out", path: "tools[0]", message: 'it is left out: there are no "web_search" tools here' },
    RELAXED,
    { code: "schema_mismatch", tool: "even", path: "output[2].arguments#/n", message: "is no multiple of 2" },
  ];
  const response = await app.post(PATH, { input: "x", tools });
  expect(response.headers.get("X-MLO-Relaxed")).toBe("even#/properties/n (multipleOf)");
  expect((await readJson(response)).mlo.warnings).toEqual(warnings);
  const streamed = await app.post(PATH, { input: "x", tools, stream: true });
  expect(streamed.headers.get("X-MLO-Relaxed")).toBe("even#/properties/n (multipleOf)");
  expect((await readEvents(streamed)).at(-1).response.mlo.warnings).toEqual(warnings);
});

test("an answer that breaks its schema is named with its item, also in the background", async () => {
  const app = createTestApp();
  app.inference.script = playEvents(
    { type: "delta", reasoning: "Hm." },
    { type: "delta", text: '{"n"' },
    { type: "delta", text: ": 3}" },
    DONE_EVENT,
  );
  const paths = ["text.format.schema#/properties/n", "output[1].content[0].text#/n"];
  const pathsOf = (body: { mlo: { warnings: { path: string }[] } }) => body.mlo.warnings.map(({ path }) => path);
  const response = await app.post(PATH, { input: "x", ...format(EVEN) });
  expect(response.headers.get("X-MLO-Relaxed")).toBe("text.format#/properties/n (multipleOf)");
  expect(pathsOf(await readJson(response))).toEqual(paths);
  const streamed = await app.post(PATH, { input: "x", ...format(EVEN), background: true, stream: true });
  const { response: ended } = (await readEvents(streamed)).at(-1);
  expect(pathsOf(ended)).toEqual(paths);
  expect(pathsOf(await readJson(await app.get(`${PATH}/${ended.id}`)))).toEqual(paths);
});

test("right answers, and those that were cut off, have no warnings", async () => {
  const app = createTestApp();
  const schema = { type: "object", properties: { n: { type: "integer" } } };
  const ask = async () => (await readJson(await app.post(PATH, { input: "x", ...format(schema) }))).mlo.warnings;
  app.inference.script = playText('{"n": 3}');
  expect(await ask()).toBeUndefined();
  app.inference.script = playEvents({ type: "delta", text: '{"n"' }, {
    ...DONE_EVENT,
    finishReason: "length",
  } as typeof DONE_EVENT);
  expect(await ask()).toBeUndefined();
});

test.each([
  [{ tools: [{ type: "web_search" }, tool("even", EVEN, true)] }, "tools[1].parameters"],
  [format(EVEN, true), "text.format.schema"],
])("`strict` refuses what the grammar can't keep: %j", async (changes, param) => {
  const app = createTestApp();
  const refused = { status: 400, code: "not_supported", param };
  for (const more of [{}, { stream: true }, { background: true }]) {
    expect(await readError(await app.post(PATH, { input: "x", ...changes, ...more }))).toEqual(refused);
  }
  expect(await readError(await app.post(`${PATH}/input_tokens`, { input: "x", ...changes }))).toEqual(refused);
  expect(app.inference.generateCalls).toHaveLength(0);
});

test("what is no schema degrades its own tool alone", async () => {
  const app = createTestApp();
  const parameters = { type: "object", properties: { a: { type: "string" } } };
  const response = await app.post(PATH, { input: "x", tools: [tool("bad", [1]), tool("good", parameters)] });
  expect(response.status).toBe(200);
  expect(response.headers.get("X-MLO-Relaxed")).toStartWith("bad");
  const [bad, good] = lastPrompt(app).tools ?? [];
  expect(bad?.function.parameters).toBeUndefined();
  expect(good?.function.grammarParameters).toMatchObject({ properties: { a: { type: "string" } } });
});
