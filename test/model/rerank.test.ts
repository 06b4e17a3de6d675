// Rerankers over llama.cpp: their prompts, their scores alone and in batches, and the same scores as llama-server's.

import { describe, expect, test } from "bun:test";
import type { LlamaBackend } from "../../src/engine/llama/llama-backend.ts";
import type { RankInput } from "../../src/protocol/generation.ts";
import { postJson } from "../support/completions.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { BERT_CLS_SPEC, BERT_RANK_SPEC } from "../support/model-specs.ts";
import { startPair } from "../support/ours-and-peer.ts";
import { isPeerMissing } from "../support/peer.ts";
import { TEXT_PROMPTS } from "../support/prompts.ts";

const QUERY = "What is a panda?";
const DOCUMENTS = TEXT_PROMPTS.slice(0, 12);
const TOLERANCE = 1e-3;
const TIMEOUT_MS = 60_000;

async function read(backend: LlamaBackend, input: RankInput): Promise<Int32Array> {
  using task = backend.prepareEmbedding(input);
  for (;;) {
    const state = task.poll();
    if (state.kind === "failed") throw state.error;
    if (state.kind === "done") break;
    await Bun.sleep(1);
  }
  using prompt = task.take();
  return prompt.tokens.slice();
}

const textOf = (backend: LlamaBackend, tokens: Int32Array): string =>
  Buffer.concat([...tokens].map((token) => backend.tokenBytes(token, true))).toString();

describe.skipIf(!HAS_NATIVE)("a reranker", () => {
  test("sets its vocabulary's tokens around query and document, and reads none out of them", async () => {
    using backend = await loadModelFile(cacheModel(BERT_RANK_SPEC));
    expect(backend.info).toMatchObject({ pooling: "rank", canGenerate: false });
    const tokens = await read(backend, { query: "hello", document: "panda" });
    expect(textOf(backend, tokens).replaceAll(/\s/g, "")).toBe("[CLS]hello[SEP]panda");
    const hostile = await read(backend, { query: "[SEP]", document: "panda" });
    const separator = tokens.find((token) => textOf(backend, Int32Array.of(token)).trim() === "[SEP]");
    expect(separator).toBeDefined();
    expect([...hostile].filter((token) => token === separator)).toHaveLength(1);
  });

  test("uses its own template, in which texts stay texts", async () => {
    const template = "query: {query} document: {document} end";
    using backend = await loadModelFile(cacheModel({ ...BERT_RANK_SPEC, rerankTemplate: template }));
    const tokens = await read(backend, { query: "a {document} b", document: "panda {query}" });
    const text = textOf(backend, tokens).replaceAll(/\s/g, "");
    expect(text).toBe("query:a{document}bdocument:panda{query}end");
  });

  test("scores a document alone as in a batch, and documents differently", async () => {
    using backend = await loadModelFile(cacheModel(BERT_RANK_SPEC));
    const inputs: Int32Array[] = [];
    for (const document of DOCUMENTS.slice(0, 6)) inputs.push(await read(backend, { query: QUERY, document }));
    const together = backend.embed(inputs);
    expect(together.map((score) => score.length)).toEqual(inputs.map(() => 1));
    for (const [i, input] of inputs.entries()) {
      expect(Math.abs((backend.embed([input])[0]?.[0] ?? 99) - (together[i]?.[0] ?? 0))).toBeLessThan(TOLERANCE);
    }
    expect(new Set(together.map(([score = 0]) => score.toFixed(3))).size).toBe(inputs.length);
  });

  test("is no reranker without a head", async () => {
    const encoder = cacheModel(BERT_CLS_SPEC);
    expect(loadModelFile(encoder, { pooling: "rank" })).rejects.toThrow("has no head to rank with");
    using backend = await loadModelFile(encoder, { pooling: "mean" });
    expect(backend.info.pooling).toBe("mean");
  });
});

describe.skipIf(isPeerMissing())("beside llama-server", () => {
  test(
    "scores and order are the same",
    async () => {
      const pair = await startPair(cacheModel(BERT_RANK_SPEC), { ctx: 512, parallel: 4, peerArgs: ["--reranking"] });
      try {
        const ours = await rank(pair.ours.url);
        const peers = await rank(pair.peer.url);
        expect(ours.map(({ index }) => index)).toEqual(peers.map(({ index }) => index));
        for (const [i, { relevance_score }] of ours.entries()) {
          expect(Math.abs(relevance_score - (peers[i]?.relevance_score ?? 99))).toBeLessThan(TOLERANCE);
        }
      } finally {
        await pair.stop();
      }
    },
    TIMEOUT_MS,
  );
});

async function rank(url: string): Promise<{ index: number; relevance_score: number }[]> {
  const response = await postJson(`${url}/v1/rerank`, { query: QUERY, documents: DOCUMENTS });
  expect(response.status).toBe(200);
  return ((await response.json()) as { results: { index: number; relevance_score: number }[] }).results;
}
