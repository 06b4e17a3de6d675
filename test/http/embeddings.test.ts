import { expect, test } from "bun:test";
import { AppError } from "../../src/protocol/errors.ts";
import { makeCard } from "../support/fake-inference.ts";
import { FAKE_INFO } from "../support/fake-options.ts";
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

test("dimensions keep the first ones, at length 1", async () => {
  const { post } = createTestApp();
  const ask = async (dimensions: number): Promise<number[]> =>
    (await readJson(await post(PATH, { input: "a", dimensions }))).data[0].embedding;
  expect(await ask(3)).toEqual([0.5, -0.25, 0.125]);
  const [first = 0, second = 0, ...rest] = await ask(2);
  expect(rest).toEqual([]);
  expect(first / second).toBeCloseTo(-2, 6);
  expect(Math.hypot(first, second)).toBeCloseTo(1, 6);
  expect(await ask(1)).toEqual([1]);
  const body = await readJson(await post(PATH, { input: ["a", "b"], dimensions: 2, encoding_format: "base64" }));
  const vectors = body.data.map(({ embedding }: { embedding: string }) => Buffer.from(embedding, "base64"));
  expect(vectors.map((bytes: Buffer) => bytes.byteLength)).toEqual([8, 8]);
  expect(vectors[0].readFloatLE(4)).toBeCloseTo(second, 6);
});

test("a vector whose first dimensions are all 0 stays that", async () => {
  const { post, inference } = createTestApp();
  const whole = { vectors: [Float32Array.of(0, 0, 1)], dimensions: 3, promptTokens: 1 };
  inference.embed = async () => ({ ...whole, model: inference.resolveModel("demo") });
  const body = await readJson(await post(PATH, { input: "a", dimensions: 2 }));
  expect(body.data[0].embedding).toEqual([0, 0]);
});

test("more dimensions than the model has are refused with both numbers, before the work where they are known", async () => {
  const { post, inference } = createTestApp();
  const wanted = { status: 400, code: "invalid_request", param: "dimensions" };
  expect(await readError(await post(PATH, { input: "a", dimensions: 4 }))).toEqual(wanted);
  expect(inference.embedCalls).toHaveLength(1);
  inference.cards = [makeCard({ info: { ...FAKE_INFO, embeddingLength: 3 } })];
  const { error } = await readJson(await post(PATH, { input: "a", dimensions: 4 }));
  expect(error.message).toMatch(/asks for 4, .* have 3/);
  expect(inference.embedCalls).toHaveLength(1);
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
  [{ input: "a", dimensions: 0 }, "dimensions"],
  [{ input: "a", dimensions: 1.5 }, "dimensions"],
  [{ input: "a", dimensions: "8" }, "dimensions"],
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

test("Ollama's route takes as many dimensions", async () => {
  const { post } = createTestApp();
  const { embeddings } = await readJson(await post("/api/embed", { model: "demo", input: "a", dimensions: 2 }));
  expect(embeddings[0]).toHaveLength(2);
  expect(Math.hypot(...embeddings[0])).toBeCloseTo(1, 6);
});
