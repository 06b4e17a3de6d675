// Embeddings of our server agree with llama-server's within 1e-4: encoders with mean and cls pooling, and a
// chat model, which gets `last` pooling in a context of its own. Several inputs in one request may share a
// batch, whose size changes rounding: there, twice llama-server's own difference is allowed where it is more.

import { describe, expect, test } from "bun:test";
import { embedInputs, type PromptInput } from "../support/completions.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { BERT_CLS_SPEC, BERT_MEAN_SPEC, type ModelSpec, WIDE_SPEC } from "../support/model-specs.ts";
import { startPair } from "../support/ours-and-peer.ts";
import { isPeerMissing } from "../support/peer.ts";
import { TEXT_PROMPTS, TOKEN_PROMPTS } from "../support/prompts.ts";

const TOLERANCE = 1e-4;
const TEXTS = TEXT_PROMPTS.slice(0, 12);
const TIMEOUT_MS = 60_000;

const CASES: [name: string, spec: ModelSpec, pooling: string][] = [
  ["an encoder with mean pooling", BERT_MEAN_SPEC, "mean"],
  ["an encoder with cls pooling", BERT_CLS_SPEC, "cls"],
  ["a chat model with last pooling", WIDE_SPEC, "last"],
];

describe.skipIf(isPeerMissing())("embeddings beside llama-server", () => {
  for (const [name, spec, pooling] of CASES) {
    test(name, () => compareEmbeddings(spec, pooling), TIMEOUT_MS);
  }
});

async function compareEmbeddings(spec: ModelSpec, pooling: string): Promise<void> {
  const ctx = Math.min(spec.contextLength, 2048);
  const peerArgs = ["--embeddings", "--pooling", pooling];
  const pair = await startPair(cacheModel(spec), { ctx, parallel: 4, peerArgs });
  try {
    for (const inputs of [TEXTS, TOKEN_PROMPTS] as (readonly PromptInput[])[]) {
      const expected = await embedEach(pair.peer.url, inputs);
      const noise = largestDifference(await embedInputs(pair.peer.url, inputs), expected);
      const together = await embedInputs(pair.ours.url, inputs);
      console.log(`${pooling} pooling: llama-server differs from itself by ${noise.toExponential(1)} in batches`);

      expect(largestDifference(await embedEach(pair.ours.url, inputs), expected)).toBeLessThan(TOLERANCE);
      expect(largestDifference(together, expected)).toBeLessThan(Math.max(TOLERANCE, 2 * noise));
      expect(countDistinct(together)).toBe(inputs.length);
      for (const vector of together) expect(Math.hypot(...vector)).toBeCloseTo(1, 4);
    }
  } finally {
    await pair.stop();
  }
}

async function embedEach(url: string, inputs: readonly PromptInput[]): Promise<number[][]> {
  const vectors: number[][] = [];
  for (const input of inputs) vectors.push(...(await embedInputs(url, [input])));
  return vectors;
}

function largestDifference(a: readonly number[][], b: readonly number[][]): number {
  let largest = 0;
  expect(a.length).toBe(b.length);
  a.forEach((vector, row) => {
    expect(vector.length).toBe(b[row]?.length ?? 0);
    vector.forEach((value, column) => {
      largest = Math.max(largest, Math.abs(value - (b[row]?.[column] ?? Number.NaN)));
    });
  });
  return largest;
}

/** A model that gave one vector for every input would agree with anything. */
function countDistinct(vectors: readonly number[][]): number {
  return new Set(vectors.map((vector) => vector.map((value) => value.toFixed(3)).join(" "))).size;
}
