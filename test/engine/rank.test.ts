// Rankings over the fake backend: pairs of texts to one number each, and models that do something else.

import { expect, test } from "bun:test";
import type { EmbeddingInput } from "../../src/protocol/generation.ts";
import type { Pooling } from "../../src/protocol/model-info.ts";
import { EngineRun } from "../support/engine-run.ts";

const pair = (document: string): EmbeddingInput => ({ query: "what is a fox", document });

test("pairs come back as one number each", () => {
  using run = new EngineRun({ pooling: "rank" });
  run.embed(1, ["a fox is an animal", "a dog", "x", "a fox", "a fox jumps"].map(pair));
  run.settle();
  expect(run.embeddings.get(1)).toMatchObject({ type: "embeddings", count: 5, dimensions: 1 });
  run.checkEmpty();
});

test.each([
  ["mean", pair("a"), "not_supported", "model"],
  ["last", pair("a"), "not_supported", "model"],
  ["none", pair("a"), "not_supported", "model"],
  ["rank", "a", "not_supported", "model"],
  ["none", "a", "not_supported", "model"],
  ["none", [3, 4], "not_supported", "model"],
  ["rank", pair("x".repeat(80)), "context_length_exceeded", "documents[0]"],
] as [Pooling, EmbeddingInput, string, string][])("with pooling %s, %j is refused", (pooling, input, code, param) => {
  using run = new EngineRun({ pooling });
  run.embed(1, [input]);
  run.settle();
  expect(run.embeddings.get(1)).toMatchObject({ type: "refused", error: { code, param } });
  run.checkEmpty();
});
