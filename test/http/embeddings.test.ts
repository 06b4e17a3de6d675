import { expect, test } from "bun:test";
import { AppError } from "../../src/protocol/errors.ts";
import { createTestApp, readError, readJson } from "../support/http-app.ts";

const PATH = "/v1/embeddings";

test.each([
  ["one text", ["one text"]],
  [
    ["a", "b"],
    ["a", "b"],
  ],
  [[1, 2], [[1, 2]]],
  [
    [[1], [2, 3]],
    [[1], [2, 3]],
  ],
] as const)("the input %j is understood", async (input, expected) => {
  const { post, inference } = createTestApp();
  const body = await readJson(await post(PATH, { input }));
  expect(inference.embedCalls[0]?.inputs).toEqual(expected as never);
  expect(body).toMatchObject({ object: "list", model: "demo", usage: { prompt_tokens: 2 * expected.length } });
  expect(body.data).toHaveLength(expected.length);
  expect(body.data[0]).toEqual({ object: "embedding", index: 0, embedding: [0.5, -0.25, 0.125] });
});

test("base64 is little-endian float32", async () => {
  const { post } = createTestApp();
  const body = await readJson(await post(PATH, { input: "a", encoding_format: "base64" }));
  const bytes = Buffer.from(body.data[0].embedding, "base64");
  expect([0, 4, 8].map((at) => bytes.readFloatLE(at))).toEqual([0.5, -0.25, 0.125]);
});

test("dimensions may name the model's own number only", async () => {
  const { post } = createTestApp();
  expect((await post(PATH, { input: "a", dimensions: 3 })).status).toBe(200);
  expect(await readError(await post(PATH, { input: "a", dimensions: 2 }))).toEqual({
    status: 400,
    code: "not_supported",
    param: "dimensions",
  });
});

test.each([
  [{}, "input"],
  [{ input: "" }, "input"],
  [{ input: [] }, "input"],
  [{ input: ["a", ""] }, "input[1]"],
  [{ input: [[]] }, "input[0]"],
  [{ input: [1, "a"] }, "input"],
  [{ input: Array(2049).fill("a") }, "input"],
  [{ input: "a", encoding_format: "hex" }, "encoding_format"],
])("%j is refused by name", async (body, param) => {
  const { post } = createTestApp();
  expect(await readError(await post(PATH, body))).toEqual({ status: 400, code: "invalid_request", param });
});

test("2048 inputs and a long token list are accepted", async () => {
  const { post } = createTestApp();
  expect((await post(PATH, { input: Array(2048).fill("a") })).status).toBe(200);
  expect((await post(PATH, { input: Array(5000).fill(7) })).status).toBe(200);
});

test("a refusal keeps its status; an unknown model is 404", async () => {
  const { post, inference } = createTestApp();
  expect(await readError(await post(PATH, { input: "a", model: "nope" }))).toMatchObject({ status: 404 });
  inference.refusal = new AppError({ code: "context_length_exceeded", message: "9 tokens, at most 8" });
  expect(await readError(await post(PATH, { input: "a" }))).toMatchObject({ code: "context_length_exceeded" });
});
