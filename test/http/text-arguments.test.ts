// Models whose calls are not JSON: what their format does not keep of a tool's schema is refused under `strict`, in each
// dialect's own envelope, and said without it.

import { expect, test } from "bun:test";
import type { ArgumentFormat } from "../../src/protocol/model-info.ts";
import { DONE_EVENT, makeCard, playEvents, SOME_CACHE } from "../support/fake-inference.ts";
import { FAKE_INFO } from "../support/fake-options.ts";
import { createTestApp, readError, readJson, type TestApp } from "../support/http-app.ts";

const HELLO = [{ role: "user", content: "Hello!" }];
const parameters = {
  type: "object",
  properties: { path: { type: "string", minLength: 2 }, unit: { type: "string", enum: ["m", "km"] } },
  required: ["path", "unit"],
};
const chatTool = (strict: boolean) => ({ type: "function", function: { name: "f", parameters, strict } });
const responseTool = (strict: boolean) => ({ type: "function", name: "f", parameters, strict });

function appOf(argumentFormat: ArgumentFormat): TestApp {
  const app = createTestApp();
  app.inference.cards = [makeCard({ info: { ...FAKE_INFO, argumentFormat } })];
  app.inference.script = playEvents(
    { type: "started", promptTokens: 7, cache: SOME_CACHE },
    { type: "delta", toolCalls: [{ index: 0, id: "c1", name: "f", arguments: '{"path": "a", "unit": "m"}' }] },
    { ...DONE_EVENT, finishReason: "tool_calls" } as typeof DONE_EVENT,
  );
  return app;
}

test.each([false, true])("Chat Completions refuses what `strict` asks for, streamed %p", async (stream) => {
  const app = appOf("text");
  const response = await app.post("/v1/chat/completions", { messages: HELLO, tools: [chatTool(true)], stream });
  expect(response.status).toBe(400);
  const { error } = await readJson(response);
  expect(error).toMatchObject({ code: "not_supported", param: "tools[0].function.parameters" });
  expect(error.message).toContain("`tools[0].function.parameters#/properties/path`: `minLength`");
});

test("Responses and Messages refuse it too", async () => {
  const responses = await appOf("text").post("/v1/responses", { input: "Hello!", tools: [responseTool(true)] });
  expect(responses.status).toBe(400);
  expect(await readError(responses)).toMatchObject({ code: "not_supported", param: "tools[0].parameters" });
  const messages = await appOf("text").post("/v1/messages", {
    model: "demo",
    max_tokens: 10,
    messages: HELLO,
    tools: [{ name: "f", input_schema: parameters, strict: true }],
  });
  expect(messages.status).toBe(400);
  const body = await readJson(messages);
  expect(body).toMatchObject({ type: "error", error: { type: "invalid_request_error" } });
  expect(body.error.message).toContain("#/properties/path");
});

test("without `strict` it is named, and checked afterwards", async () => {
  const calls: [path: string, body: object, at: string][] = [
    [
      "/v1/chat/completions",
      { messages: HELLO, tools: [chatTool(false)] },
      "choices[0].message.tool_calls[0].function.arguments#/path",
    ],
    ["/v1/responses", { input: "Hello!", tools: [responseTool(false)] }, "output[0].arguments#/path"],
  ];
  for (const [path, body, at] of calls) {
    const response = await appOf("text").post(path, body);
    expect(response.headers.get("X-MLO-Relaxed")).toBe("f#/properties/path (minLength)");
    const { mlo } = await readJson(response);
    expect(mlo.warnings).toMatchObject([{ code: "schema_relaxed" }, { code: "schema_mismatch", path: at }]);
  }
});

test("a format that holds to nothing refuses all but any object", async () => {
  const post = (format: ArgumentFormat, tool: object) =>
    appOf(format).post("/v1/chat/completions", { messages: HELLO, tools: [tool] });
  const plain = { type: "function", function: { name: "f", strict: true, parameters: { type: "object" } } };
  expect((await post("loose", chatTool(true))).status).toBe(400);
  expect((await post("loose", plain)).status).toBe(200);
  expect((await post("json", chatTool(true))).status).toBe(200);
});

test("a refusal ends the generation that was begun", async () => {
  const app = appOf("text");
  const response = await app.post("/v1/chat/completions", { messages: HELLO, tools: [chatTool(true)] });
  expect(response.status).toBe(400);
  expect(app.inference.generateCalls.map(({ signal }) => signal.aborted)).toEqual([true]);
});
