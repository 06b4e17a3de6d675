// What comes with an answer in Ollama's shapes: what was relaxed of its schemas and where it breaks them, and the log
// probabilities of its tokens.

import { expect, test } from "bun:test";
import { DONE_EVENT, playEvents, playText } from "../support/fake-inference.ts";
import { createTestApp, type Json, readJson } from "../support/http-app.ts";

const HELLO = [{ role: "user", content: "Hello!" }];
const EVEN = { type: "object", properties: { n: { type: "integer", multipleOf: 2 } }, required: ["n"] };
const EVEN_TOOL = { type: "function", function: { name: "even", parameters: EVEN } };

async function readLines(response: Response): Promise<Json[]> {
  return (await response.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const paths = ({ mlo }: Json): string[] => (mlo.warnings ?? []).map(({ path }: { path: string }) => path);

test.each([
  ["/api/chat", { messages: HELLO }, "message.content"],
  ["/api/generate", { prompt: "Hello!" }, "response"],
])("%s: an answer is checked against `format`, whole and streamed", async (path, body, place) => {
  const { post, inference } = createTestApp();
  inference.script = playText('{"n"', ": 3}");
  const whole = await post(path, { ...body, format: EVEN, stream: false });
  expect(whole.headers.get("X-MLO-Relaxed")).toBe("format#/properties/n (multipleOf)");
  expect(paths(await readJson(whole))).toEqual(["format#/properties/n", `${place}#/n`]);
  const streamed = await post(path, { ...body, format: EVEN });
  expect(streamed.headers.get("X-MLO-Relaxed")).toBe("format#/properties/n (multipleOf)");
  const lines = await readLines(streamed);
  expect(lines.map((line) => line.mlo !== undefined)).toEqual([false, false, true]);
  expect(paths(lines.at(-1))).toEqual(["format#/properties/n", `${place}#/n`]);
});

test("a call is checked against its tool's schema, and the grammar follows the lowered one", async () => {
  const { post, inference } = createTestApp();
  inference.script = playEvents(
    { type: "delta", toolCalls: [{ index: 0, id: "a", name: "even", arguments: '{"n": 3}' }] },
    { ...DONE_EVENT, finishReason: "tool_calls" } as typeof DONE_EVENT,
  );
  const response = await post("/api/chat", { messages: HELLO, tools: [EVEN_TOOL], stream: false });
  expect(response.headers.get("X-MLO-Relaxed")).toBe("even#/properties/n (multipleOf)");
  expect(paths(await readJson(response))).toEqual([
    "tools[0].function.parameters#/properties/n",
    "message.tool_calls[0].function.arguments#/n",
  ]);
  const { prompt } = inference.lastRequest as Json;
  expect(prompt.tools[0].function.parameters).toEqual(EVEN);
  expect(prompt.tools[0].function.grammarParameters.properties.n).not.toContainKey("multipleOf");
});

test("an odd schema degrades itself alone; `strict` refuses what can't be kept", async () => {
  const { post } = createTestApp();
  const odd = { ...EVEN_TOOL, function: { name: "odd", parameters: { type: "banana" } } };
  const response = await post("/api/chat", { messages: HELLO, tools: [odd, EVEN_TOOL], stream: false });
  expect(response.status).toBe(200);
  expect(response.headers.get("X-MLO-Relaxed")).toContain("odd");
  const strict = { ...EVEN_TOOL, function: { ...EVEN_TOOL.function, strict: true } };
  const refused = await post("/api/chat", { messages: HELLO, tools: [strict] });
  const { error, code, param } = await readJson(refused);
  expect([refused.status, code, param]).toEqual([400, "not_supported", "tools[0].function.parameters"]);
  expect(error).toContain("`multipleOf`");
});

test("log probabilities come with the text that they make", async () => {
  const { post, inference } = createTestApp();
  const score = (text: string, logprob: number) => ({ text, logprob, offset: 0, top: [[text, logprob]] }) as const;
  inference.script = playEvents(
    { type: "delta", text: "Hé", scores: [score("H", -0.5), score("bytes:\\xc3", -1)] } as never,
    { type: "delta", scores: [score("<end>", -2)] } as never,
    DONE_EVENT,
  );
  const scored = (token: string, logprob: number, bytes: number[]) => ({
    token,
    logprob,
    bytes,
    top_logprobs: [{ token, logprob, bytes }],
  });
  const expected = [
    scored("H", -0.5, [72]),
    scored("bytes:\\xc3", -1, [0xc3]),
    scored("<end>", -2, [60, 101, 110, 100, 62]),
  ];
  const body = { messages: HELLO, logprobs: true, top_logprobs: 1 };
  const whole = await readJson(await post("/api/chat", { ...body, stream: false }));
  expect(whole.logprobs).toEqual(expected);
  const lines = await readLines(await post("/api/chat", body));
  expect(lines.map(({ logprobs }) => logprobs?.length)).toEqual([2, 1, undefined]);
  expect(lines.flatMap(({ logprobs = [] }) => logprobs)).toEqual(expected);
  expect(await readJson(await post("/api/chat", { messages: HELLO, stream: false }))).toMatchObject({ done: true });
  expect(inference.lastRequest).not.toContainKey("logprobs");
});
