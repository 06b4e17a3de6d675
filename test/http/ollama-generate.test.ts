import { expect, test } from "bun:test";
import { createTestApp, type Json, readJson } from "../support/http-app.ts";

const lone = (body: object) => ({ model: "demo", stream: false, ...body });

test.each([
  [{ prompt: "Hi" }, { kind: "chat", messages: [{ role: "user", content: "Hi" }] }],
  [
    { prompt: "Hi", system: "Be brief.", context: [1, 2], template: "", format: "json" },
    {
      kind: "chat",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hi" },
      ],
      jsonSchema: { type: "object" },
      grammarSchema: { type: "object" },
    },
  ],
  [
    { prompt: "Hi", raw: true, context: [] },
    { kind: "text", text: "Hi" },
  ],
  [
    { prompt: "a(", suffix: ")", options: { num_predict: 5 } },
    { kind: "infill", prefix: "a(", suffix: ")", prompt: "", extra: [], answerTokens: 5 },
  ],
  [
    { suffix: ")", raw: true },
    { kind: "infill", prefix: "", suffix: ")", prompt: "", extra: [], answerTokens: 0 },
  ],
])("%j is this prompt", async (body, prompt) => {
  const { post, inference } = createTestApp();
  const answer = await readJson(await post("/api/generate", lone(body)));
  expect(answer).toMatchObject({ model: "demo", response: "Hello", done: true, done_reason: "stop", eval_count: 3 });
  expect(inference.lastRequest.prompt).toEqual(prompt as Json);
});

test("a stream has `response` in every line", async () => {
  const { post } = createTestApp();
  const text = await (await post("/api/generate", { model: "demo", prompt: "Hi" })).text();
  const lines = text.trim().split("\n");
  expect(lines.map((line) => JSON.parse(line).response)).toEqual(["Hel", "lo", ""]);
});

test("without a prompt the model is loaded, or unloaded", async () => {
  const { post, inference } = createTestApp();
  expect(await readJson(await post("/api/generate", { model: "demo" }))).toMatchObject({
    response: "",
    done: true,
    done_reason: "load",
  });
  expect((await readJson(await post("/api/generate", { model: "demo", keep_alive: 0 }))).done_reason).toBe("unload");
  expect([inference.loadCalls, inference.keepCalls]).toEqual([["demo"], [["demo", 0]]]);
});

test("embeddings of one text and of several, and the old route", async () => {
  const { post, inference } = createTestApp();
  expect(await readJson(await post("/api/embed", { model: "demo", input: ["a", "b"], keep_alive: "5m" }))).toEqual({
    model: "demo",
    embeddings: [
      [0.5, -0.25, 0.125],
      [1.5, -0.25, 0.125],
    ],
    total_duration: 0,
    load_duration: 0,
    prompt_eval_count: 4,
  });
  expect(inference.keepCalls).toEqual([["demo", 300_000]]);
  expect((await readJson(await post("/api/embed", { input: "a" }))).embeddings).toHaveLength(1);
  expect(await readJson(await post("/api/embeddings", { model: "demo", prompt: "a" }))).toEqual({
    embedding: [0.5, -0.25, 0.125],
  });
  expect(inference.embedCalls.map(({ inputs }) => inputs)).toEqual([["a", "b"], ["a"], ["a"]]);
});

test("nothing to embed loads the model", async () => {
  const { post, inference } = createTestApp();
  for (const input of ["", [], undefined]) {
    expect((await readJson(await post("/api/embed", { model: "demo", input }))).embeddings).toEqual([]);
  }
  expect(await readJson(await post("/api/embeddings", { model: "demo" }))).toEqual({ embedding: [] });
  expect([inference.loadCalls.length, inference.embedCalls.length]).toEqual([4, 0]);
});
