import { expect, test } from "bun:test";
import { AppError } from "../../src/protocol/errors.ts";
import { makeCard } from "../support/fake-inference.ts";
import { createTestApp, readError, readJson, type TestApp } from "../support/http-app.ts";

const ASKED = { query: "q", documents: ["one", { text: "two" }, "three"] };

function createRankApp(): TestApp {
  const app = createTestApp();
  app.inference.cards = [makeCard({ embeddingPooling: "rank" })];
  return app;
}

test.each(["/v1/rerank", "/rerank", "/v1/reranking", "/reranking"])("%s sorts the documents by score", async (path) => {
  const { post, inference } = createRankApp();
  const body = await readJson(await post(path, ASKED));
  expect(inference.embedCalls[0]?.inputs).toEqual([
    { query: "q", document: "one" },
    { query: "q", document: "two" },
    { query: "q", document: "three" },
  ]);
  expect(body).toEqual({
    object: "list",
    model: "demo",
    results: [
      { index: 2, relevance_score: 2.5 },
      { index: 1, relevance_score: 1.5 },
      { index: 0, relevance_score: 0.5 },
    ],
    usage: { prompt_tokens: 6, total_tokens: 6 },
  });
});

test("the best are answered with their texts when that is asked for", async () => {
  const { post } = createRankApp();
  const body = await readJson(await post("/v1/rerank", { ...ASKED, top_n: 2, return_documents: true }));
  expect(body.results).toEqual([
    { index: 2, relevance_score: 2.5, document: { text: "three" } },
    { index: 1, relevance_score: 1.5, document: { text: "two" } },
  ]);
  expect((await readJson(await post("/v1/rerank", { ...ASKED, top_n: 9 }))).results).toHaveLength(3);
});

test("a model that does not rank is refused before it is loaded", async () => {
  const { post, inference } = createTestApp();
  expect(await readError(await post("/v1/rerank", ASKED))).toEqual({
    status: 400,
    code: "not_supported",
    param: "model",
  });
  expect(inference.embedCalls).toEqual([]);
});

test.each([
  [{}, "query"],
  [{ query: "", documents: ["a"] }, "query"],
  [{ query: "q" }, "documents"],
  [{ query: "q", documents: [] }, "documents"],
  [{ query: "q", documents: ["a", ""] }, "documents[1]"],
  [{ query: "q", documents: ["a", { title: "x" }] }, "documents[1].text"],
  [{ query: "q", documents: Array(2049).fill("a") }, "documents"],
  [{ query: "q", documents: ["a"], top_n: 0 }, "top_n"],
])("%j is refused by name", async (body, param) => {
  const { post } = createRankApp();
  expect(await readError(await post("/v1/rerank", body))).toEqual({ status: 400, code: "invalid_request", param });
});

test("a query that would be sent thousands of times is refused by its length", async () => {
  const { post, inference } = createRankApp();
  const rank = (chars: number, documents: number) =>
    post("/v1/rerank", { query: "q".repeat(chars), documents: Array(documents).fill("a") });
  expect((await rank(2048, 2048)).status).toBe(200);
  inference.embedCalls = [];
  for (const [chars, documents] of [
    [2049, 2048],
    [1024 * 1024, 5],
  ] as const) {
    const refused = await readError(await rank(chars, documents));
    expect(refused).toEqual({ status: 400, code: "invalid_request", param: "query" });
  }
  expect(inference.embedCalls).toEqual([]);
});

test("a refusal of the engine keeps its status", async () => {
  const { post, inference } = createRankApp();
  inference.refusal = new AppError({ code: "context_length_exceeded", message: "9 tokens, at most 8" });
  expect(await readError(await post("/v1/rerank", ASKED))).toMatchObject({ code: "context_length_exceeded" });
});
