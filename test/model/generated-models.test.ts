// The generated models are fit for parity tests: outputs differ between prompts, do not repeat one token,
// and hang on every earlier token (so that a wrong KV row shows). Judged by llama-server alone.

import { describe, expect, test } from "bun:test";
import { completeReference } from "../support/completions.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { GEMMA_SPEC, LLAMA_SPEC, type ModelSpec, QWEN3_SPEC } from "../support/model-specs.ts";
import { isPeerMissing, startPeer } from "../support/peer.ts";
import { TEXT_PROMPTS, TOKEN_PROMPTS } from "../support/prompts.ts";

const TOKENS = 32;
const TIMEOUT_MS = 60_000;

describe.skipIf(isPeerMissing())("a generated model", () => {
  for (const spec of [LLAMA_SPEC, QWEN3_SPEC, GEMMA_SPEC]) {
    test(`${spec.shape} answers variedly and remembers`, () => examine(spec), TIMEOUT_MS);
  }
});

async function examine(spec: ModelSpec): Promise<void> {
  const peer = await startPeer(cacheModel(spec));
  try {
    const outputs: number[][] = [];
    for (const prompt of TEXT_PROMPTS) outputs.push(await listTokens(peer.url, prompt));
    expect(new Set(outputs.map(String)).size).toBe(TEXT_PROMPTS.length);
    const distinct = outputs.map((tokens) => new Set(tokens).size).toSorted((a, b) => a - b);
    expect(distinct[Math.floor(distinct.length / 2)] ?? 0).toBeGreaterThan(TOKENS / 3);

    // One token of each prompt, bent to another. A model may lose an early word on its way; it must not often.
    const bent = TOKEN_PROMPTS.filter((prompt) => prompt.length > 1).flatMap((prompt) => [
      { prompt, at: 1 },
      { prompt, at: Math.floor(prompt.length / 2) },
      { prompt, at: prompt.length - 2 },
    ]);
    let unseen = 0;
    for (const { prompt, at } of bent) {
      const straight = await listTokens(peer.url, prompt);
      if (String(straight) === String(await listTokens(peer.url, prompt.with(at, 4_321)))) unseen += 1;
    }
    expect(unseen).toBeLessThanOrEqual(Math.floor(bent.length / 5));
  } finally {
    await peer.stop();
  }
}

async function listTokens(url: string, prompt: string | number[]): Promise<number[]> {
  const { steps } = await completeReference(url, prompt, TOKENS);
  expect(steps.length).toBe(TOKENS);
  return steps.map((step) => step.id);
}
