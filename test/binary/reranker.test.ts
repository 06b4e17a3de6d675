// A reranker's folder is converted and ranks, with the compiled binary alone: its scores are those of the reference for
// query and document in the frame that XLM-RoBERTa was trained with.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { homeEnvironment, makeFolder, runBinary, startBinary } from "../support/binary.ts";
import { computeScore } from "../support/reference-encoder.ts";
import { TINY_ENCODERS, type TinyEncoderCase } from "../support/tiny-encoder-models.ts";
import { makeEncoderTensors, writeEncoderFolder } from "../support/tiny-encoders.ts";
import { tinyUnigram } from "../support/unigram-tokenizers.ts";

/** Scores are about one in size; weights are F16, as in the source, and activations are rounded with them. */
const DIFFERENCE_MAX = 2e-2;

test("a reranker is converted and ranks", async () => {
  using home = makeFolder();
  const { model, files } = TINY_ENCODERS["xlm-roberta-reranker"] as TinyEncoderCase;
  const source = join(home.path, "Reranker");
  writeEncoderFolder(source, model, files);
  const env = homeEnvironment(home.path);
  const converted = await runBinary(["convert", source], { env, cwd: home.path });
  expect(converted).toMatchObject({ code: 0 });
  const server = await startBinary({ args: ["--model", converted.stdout.trim()] });
  try {
    const response = await fetch(`${server.url}/v1/rerank`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ query: "the", documents: ["b", "a", "日本", "the a, 1"] }),
    });
    expect(response.status).toBe(200);
    const { results } = (await response.json()) as { results: { index: number; relevance_score: number }[] };
    const texts = [["▁", "b"], ["▁a"], ["▁", "日", "本"], ["▁the", "▁a", ",", "▁", "1"]];
    const tensors = makeEncoderTensors(model);
    const idOf = (token: string) => tinyUnigram().tokens.indexOf(token);
    const expected = texts.map((document) => {
      const framed = ["<s>", "▁the", "</s>", "</s>", ...document, "</s>"];
      return computeScore(model, tensors, framed.map(idOf));
    });
    expect(results).toHaveLength(texts.length);
    for (const { index, relevance_score } of results) {
      expect(Math.abs(relevance_score - (expected[index] ?? Number.NaN))).toBeLessThan(DIFFERENCE_MAX);
    }
    expect(new Set(expected.map((score) => score.toFixed(1))).size).toBeGreaterThan(1);
  } finally {
    await server.stop();
  }
}, 120_000);
