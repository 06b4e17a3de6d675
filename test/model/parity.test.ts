// Greedy output of our server equals that of llama-server, built from the same source, for three model
// shapes and the demo model: one sequence and eight at once. Where two tokens lie closer than the rounding noise between batch
// sizes, which is measured here, either is right; at most 2 % of the sequences may need that excuse.

import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { completeGreedily, completeReference, mapConcurrently, type PromptInput } from "../support/completions.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { GEMMA_SPEC, LLAMA_SPEC, QWEN3_SPEC } from "../support/model-specs.ts";
import {
  countVerdict,
  isWithinAllowance,
  judgeOutput,
  makeTally,
  measureNoise,
  type Reference,
} from "../support/near-ties.ts";
import { type Pair, startPair } from "../support/ours-and-peer.ts";
import { isPeerMissing } from "../support/peer.ts";
import { DEMO_PROMPTS, TEXT_PROMPTS, TOKEN_PROMPTS } from "../support/prompts.ts";

const MAX_TOKENS = 32;
const WIDTH = 8;
/** Random weights in three shapes, and the trained demo model, whose weights are quantised (Q8_0). */
const PROMPTS: readonly PromptInput[] = [...TEXT_PROMPTS, ...TOKEN_PROMPTS];
const MODELS: { name: string; locate: () => string; prompts: readonly PromptInput[] }[] = [
  { name: "Llama-like", locate: () => cacheModel(LLAMA_SPEC), prompts: PROMPTS },
  { name: "Qwen3-like", locate: () => cacheModel(QWEN3_SPEC), prompts: PROMPTS },
  { name: "Gemma-like", locate: () => cacheModel(GEMMA_SPEC), prompts: PROMPTS },
  { name: "demo", locate: () => join(import.meta.dir, "../../src/demo/demo.gguf"), prompts: DEMO_PROMPTS },
];
/** Every third prompt is enough to see the noise of small micro-batches. */
const NOISE_STRIDE = 3;
/** Model build, three server starts and about 4000 tokens; a busy machine gets its time. */
const MODEL_TIMEOUT_MS = 120_000;

const tally = makeTally();

describe.skipIf(isPeerMissing())("greedy output beside llama-server", () => {
  for (const { name, locate, prompts } of MODELS) {
    test(`${name}: one sequence, and eight at once`, () => compareModel(name, locate(), prompts), MODEL_TIMEOUT_MS);
  }

  test("at most 2 % of the sequences are near-ties", () => {
    expect(tally.sequences).toBe(2 * MODELS.reduce((sum, { prompts }) => sum + prompts.length, 0));
    expect(isWithinAllowance(tally)).toBe(true);
  });

  afterAll(() => console.log(`near-ties: ${tally.excused} of ${tally.sequences} sequences excused`));
});

async function compareModel(name: string, path: string, prompts: readonly PromptInput[]): Promise<void> {
  const pair = await startPair(path, { ctx: 4096, parallel: WIDTH });
  try {
    const references: Reference[] = [];
    for (const prompt of prompts) references.push(await completeReference(pair.peer.url, prompt, MAX_TOKENS));
    const noise = await measurePeerNoise(pair, prompts, references);
    console.log(`${name}: rounding noise between batch sizes ${noise.toExponential(2)} (gap of the two best logits)`);

    const alone: string[] = [];
    for (const prompt of prompts) alone.push(await completeGreedily(pair.ours.url, prompt, MAX_TOKENS));
    const together = await mapConcurrently(prompts, WIDTH, (prompt) =>
      completeGreedily(pair.ours.url, prompt, MAX_TOKENS),
    );
    const failures = [
      ...judgeAll(`${name}, alone`, alone, references, noise),
      ...judgeAll(`${name}, ${WIDTH} at once`, together, references, noise),
    ];
    expect(failures).toEqual([]);
  } finally {
    await pair.stop();
  }
}

/** The peer against itself: alone, eight at once, and in micro-batches of 8 tokens. */
async function measurePeerNoise(
  pair: Pair,
  prompts: readonly PromptInput[],
  references: readonly Reference[],
): Promise<number> {
  const together = await mapConcurrently(prompts, WIDTH, (prompt) =>
    completeReference(pair.peer.url, prompt, MAX_TOKENS),
  );
  let noise = 0;
  references.forEach((reference, index) => {
    noise = Math.max(noise, measureNoise(reference.steps, together[index]?.steps ?? []));
  });
  const variant = await pair.startVariant(["--ubatch-size", "8"]);
  try {
    for (const [index, prompt] of prompts.entries()) {
      if (index % NOISE_STRIDE !== 0) continue;
      const steps = (await completeReference(variant.url, prompt, MAX_TOKENS)).steps;
      noise = Math.max(noise, measureNoise(references[index]?.steps ?? [], steps));
    }
  } finally {
    await variant.stop();
  }
  return noise;
}

function judgeAll(label: string, outputs: string[], references: readonly Reference[], noise: number): string[] {
  const before = tally.failures.length;
  outputs.forEach((output, index) => {
    const reference = references[index];
    if (reference === undefined) throw new Error("an output without a reference");
    countVerdict(tally, `${label}, prompt ${index}`, judgeOutput(output, reference, noise));
  });
  return tally.failures.slice(before);
}
