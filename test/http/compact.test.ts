// Conversations made shorter: what the model is asked, what the client gets, and how it goes on from there.

import { expect, test } from "bun:test";
import { AppError } from "../../src/protocol/errors.ts";
import { DONE_EVENT, playEvents, playText } from "../support/fake-inference.ts";
import { createTestApp, readError, readJson, type TestApp } from "../support/http-app.ts";

const PATH = "/v1/responses/compact";
const SUMMARY = "The user likes é and tea.";
const INPUT = [
  { role: "user", content: "Look into tea.txt." },
  { type: "function_call", call_id: "c1", name: "read", arguments: "{}" },
  { type: "function_call_output", call_id: "c1", output: "green" },
  { role: "assistant", content: "It says green." },
  { role: "user", content: "Good." },
];

function readMessages({ inference }: TestApp) {
  const { prompt } = inference.lastRequest;
  if (prompt.kind !== "chat") throw new Error("no chat");
  return prompt.messages;
}

function createApp(...texts: string[]): TestApp {
  const app = createTestApp();
  app.inference.script = playText(...texts);
  return app;
}

test("the user's messages stay, and the summary stands for the rest", async () => {
  const app = createApp("The user likes", " é and tea.\n");
  const compacted = await readJson(await app.post(PATH, { input: INPUT, instructions: "Be brief." }));
  const asked = readMessages(app);
  expect(asked.map(({ role }) => role)).toEqual(["system", "user", "assistant", "tool", "assistant", "user", "user"]);
  expect(asked.at(-1)?.content).toContain("summary");
  expect(app.inference.lastRequest).toMatchObject({ maxTokens: 80, cache: { keep: false }, whole: true });
  expect(compacted).toMatchObject({ object: "response.compaction", usage: { input_tokens: 7, output_tokens: 3 } });
  expect(compacted.id).toStartWith("resp_");
  const [first, second, compaction, ...more] = compacted.output;
  expect([first, second].map(({ content }) => content[0].text)).toEqual(["Look into tea.txt.", "Good."]);
  expect(more).toEqual([]);
  expect(Object.keys(compaction)).toEqual(["type", "id", "encrypted_content"]);
  expect(compaction.id).toStartWith("cmp_");

  const next = await readJson(
    await app.post("/v1/responses", { input: [...compacted.output, { role: "user", content: "And now?" }] }),
  );
  const texts = readMessages(app).map(({ role, content }) => [role, content]);
  expect(texts).toEqual([
    ["user", "Look into tea.txt."],
    ["user", "Good."],
    ["user", expect.stringMatching(new RegExp(`summary[^]*\n\n${SUMMARY}$`))],
    ["user", "And now?"],
  ]);
  // It is an item like others: kept, listed, continued.
  const items = await readJson(await app.get(`/v1/responses/${next.id}/input_items?order=asc`));
  expect(items.data[2]).toEqual(compaction);
  await app.post("/v1/responses", { input: "More.", previous_response_id: next.id });
  expect(readMessages(app)[2]?.content).toContain(SUMMARY);
});

test("what is stored is compacted by its name, and what was compacted again", async () => {
  const app = createApp(SUMMARY);
  const stored = await readJson(await app.post("/v1/responses", { input: "Hello!" }));
  const compacted = await readJson(await app.post(PATH, { previous_response_id: stored.id }));
  expect(compacted.output.map(({ type }: { type: string }) => type)).toEqual(["message", "compaction"]);
  const again = await readJson(await app.post(PATH, { input: compacted.output }));
  expect(readMessages(app)[1]?.content).toContain(SUMMARY);
  expect(again.output).toHaveLength(2);
  expect((await app.get(`/v1/responses/${compacted.id}`)).status).toBe(404);
});

test("a summary that was cut off says so", async () => {
  const app = createTestApp();
  const cut = { ...DONE_EVENT, finishReason: "length" } as typeof DONE_EVENT;
  app.inference.script = playEvents({ type: "delta", text: SUMMARY }, cut);
  const { mlo } = await readJson(await app.post(PATH, { input: INPUT }));
  expect(mlo.warnings).toMatchObject([{ code: "summary_cut", path: "output" }]);
});

test.each([
  [{}, { status: 400, code: "invalid_request", param: "input" }],
  [{ input: 7 }, { status: 400, code: "invalid_request", param: "input" }],
  [{ previous_response_id: "resp_0" }, { status: 404, code: "not_found", param: "previous_response_id" }],
  [
    { input: [{ type: "compaction", encrypted_content: "gAAAA" }] },
    { status: 400, code: "invalid_request", param: "input[0].encrypted_content" },
  ],
  [{ input: [{ type: "compaction" }] }, { status: 400, code: "invalid_request", param: "input[0].encrypted_content" }],
  [
    { input: INPUT, model: "no" },
    { status: 404, code: "model_not_found", param: "model" },
  ],
])("%j is refused", async (body, refused) => {
  const app = createApp(SUMMARY);
  expect(await readError(await app.post(PATH, body))).toEqual(refused as never);
});

test("a model that says nothing has made no summary", async () => {
  const app = createTestApp();
  app.inference.script = playEvents({ type: "delta", reasoning: "Hm." }, DONE_EVENT);
  expect(await readError(await app.post(PATH, { input: INPUT }))).toMatchObject({ status: 500, code: "internal" });
});

test("a conversation that is too long for it gets the numbers", async () => {
  const app = createApp(SUMMARY);
  app.inference.refusal = new AppError({
    code: "context_length_exceeded",
    message: "the prompt has 900 tokens",
    tokens: { prompt: 900, context: 320 },
  });
  expect(await readError(await app.post(PATH, { input: INPUT }))).toMatchObject({ code: "context_length_exceeded" });
});
