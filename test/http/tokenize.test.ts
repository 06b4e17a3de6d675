import { expect, test } from "bun:test";
import { AppError } from "../../src/protocol/errors.ts";
import { createTestApp, readError, readJson } from "../support/http-app.ts";

test("a text's tokens, with llama.cpp's defaults", async () => {
  const { post, inference } = createTestApp();
  expect(await readJson(await post("/tokenize", { content: "ab" }))).toEqual({ tokens: [97, 98] });
  expect(inference.tellCalls[0]?.question).toEqual({
    ask: "tokens",
    content: ["ab"],
    addSpecial: false,
    parseSpecial: true,
    withPieces: false,
  });
});

test("every option reaches the model, and texts and ids may follow each other", async () => {
  const { post, inference } = createTestApp();
  const body = { model: "demo", content: ["a", 7, "b"], add_special: true, parse_special: false, unknown: 1 };
  expect(await readJson(await post("/tokenize", body))).toEqual({ tokens: [97, 7, 98] });
  expect(inference.tellCalls[0]).toMatchObject({
    model: "demo",
    question: { content: ["a", 7, "b"], addSpecial: true, parseSpecial: false },
  });
});

test("a piece is text where it is UTF-8, and bytes where it is a part of a character", async () => {
  const { post } = createTestApp();
  expect(await readJson(await post("/tokenize", { content: "aé", with_pieces: true }))).toEqual({
    tokens: [
      { id: 97, piece: "a" },
      { id: 195, piece: [195] },
      { id: 169, piece: [169] },
    ],
  });
});

test("an empty text has no tokens, and no tokens have an empty text", async () => {
  const { post } = createTestApp();
  expect(await readJson(await post("/tokenize", { content: "" }))).toEqual({ tokens: [] });
  expect(await readJson(await post("/tokenize", { content: [] }))).toEqual({ tokens: [] });
  expect(await readJson(await post("/detokenize", { tokens: [] }))).toEqual({ content: "" });
});

test("tokens become their text, byte for byte", async () => {
  const { post } = createTestApp();
  const tokens = [0xef, 0xbb, 0xbf, 0xc3, 0xa9, 0xff, 97];
  expect(await readJson(await post("/detokenize", { tokens }))).toEqual({ content: "\uFEFFé\uFFFDa" });
});

test("a conversation is shown as the template writes it, tools and all", async () => {
  const { post, inference } = createTestApp();
  const messages = [
    { role: "developer", content: "Be brief." },
    { role: "user", content: [{ type: "text", text: "Hi" }] },
  ];
  const tools = [{ type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } }];
  const response = await post("/apply-template", { messages, tools, chat_template_kwargs: { x: null }, max_tokens: 1 });
  expect(response.status).toBe(200);
  expect(inference.tellCalls[0]?.question).toMatchObject({
    ask: "prompt",
    prompt: {
      kind: "chat",
      messages: [{ role: "system", content: "Be brief." }, { role: "user" }],
      tools: [{ function: { name: "f" } }],
      templateArgs: { x: null },
    },
  });
  const plain = await post("/apply-template", { messages: [{ role: "user", content: "Hi\nyou" }] });
  expect(await readJson(plain)).toEqual({ prompt: "Hi\nyou" });
});

test.each([
  ["/tokenize", {}, "content"],
  ["/tokenize", { content: 5 }, "content"],
  ["/tokenize", { content: [[1]] }, "content"],
  ["/tokenize", { content: [-1] }, "content"],
  ["/tokenize", { content: "a", with_pieces: "yes" }, "with_pieces"],
  ["/tokenize", { content: "a", add_special: 1 }, "add_special"],
  ["/tokenize", { content: "a".repeat(4 * 1024 * 1024 + 1) }, "content"],
  ["/detokenize", {}, "tokens"],
  ["/detokenize", { tokens: "a" }, "tokens"],
  ["/detokenize", { tokens: [1.5] }, "tokens[0]"],
  ["/detokenize", { tokens: [1, -1] }, "tokens[1]"],
  ["/apply-template", {}, "messages"],
  ["/apply-template", { messages: [] }, "messages"],
  ["/apply-template", { messages: [{ role: "user" }] }, "messages[0].content"],
] as const)("%s refuses a wrong body by the field's name: case %#", async (path, body, param) => {
  const { post, inference } = createTestApp();
  const error = await readError(await post(path, body));
  expect(error).toMatchObject({ status: 400, code: "invalid_request" });
  expect(error.param).toStartWith(param);
  expect(inference.tellCalls).toEqual([]);
});

test.each(["/tokenize", "/detokenize", "/apply-template"])(
  "%s: a model that is not there, and one that refuses",
  async (path) => {
    const { post, inference } = createTestApp();
    const body = { content: "a", tokens: [1], messages: [{ role: "user", content: "a" }] };
    expect(await readError(await post(path, { ...body, model: "none" }))).toMatchObject({
      status: 404,
      param: "model",
    });
    inference.refusal = new AppError({ code: "model_loading", message: "wait" });
    expect(await readError(await post(path, body))).toMatchObject({ status: 503, code: "model_loading" });
    const got = createTestApp();
    expect((await got.get(path)).status).toBe(405);
  },
);

test("who leaves, or takes too long, ends the question", async () => {
  const { post, inference, clock } = createTestApp({ requestTimeoutMs: 1000 });
  inference.tell = (_model, _question, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const late = post("/tokenize", { content: "a" });
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  clock.advance(1000);
  expect(await readError(await late)).toMatchObject({ status: 504, code: "timeout" });
  const leaving = new AbortController();
  const left = post("/detokenize", { tokens: [1] }, { signal: leaving.signal });
  leaving.abort();
  expect((await left).status).toBe(499);
});
