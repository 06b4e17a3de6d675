// Log probabilities over llama.cpp, for each kind of memory: those of a prompt, which is read in chunks of rows with
// output, are those of as many requests for one token each.

import { describe, expect, test } from "bun:test";
import type { GenerationRequest, TokenScore } from "../../src/protocol/generation.ts";
import { completeReference, postJson } from "../support/completions.ts";
import { DrivenEngine, type Story } from "../support/engine-run.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { GEMMA_SPEC, LFM2_SPEC, LLAMA_SPEC, MAMBA_SPEC, type ModelSpec } from "../support/model-specs.ts";
import { startPair } from "../support/ours-and-peer.ts";
import { isPeerMissing } from "../support/peer.ts";

/** Quiet: attention is rounded to float16, and by the number of rows in another way. */
const small = (spec: ModelSpec): ModelSpec => ({ ...spec, tokenizer: "llama-spm", attentionGain: 0.05 });
const SHAPES: [name: string, spec: ModelSpec][] = [
  ["Llama-like", small(LLAMA_SPEC)],
  ["Gemma-like", small(GEMMA_SPEC)],
  ["Mamba-like", MAMBA_SPEC],
  ["LFM2-like", small(LFM2_SPEC)],
];
const TEXT =
  "An agent edits code, and answers in one short sentence. It says nothing that was not asked for; when it is asked " +
  "for the sum of two and three, it names the number, and then a colour, and then a tale of the old sea.";
const TOLERANCE = 1e-3;
const TIMEOUT_MS = 120_000;

const scoresOf = ({ events }: Story): TokenScore[] =>
  events.flatMap((event) => (event.type === "delta" ? (event.scores ?? []) : []));

test.skipIf(!HAS_NATIVE).each(SHAPES)(
  "of a prompt are those of its rows one by one: %s",
  async (_name, spec) => {
    using backend = await loadModelFile(cacheModel(spec), { parallel: 4 });
    using run = new DrivenEngine(backend);
    const tokens = await readTokens(backend, TEXT);
    // More than one batch's rows with output.
    expect(tokens.length).toBeGreaterThan(backend.outputsMax + 2);
    const common = { sampling: { temperature: 0 }, stop: [], logprobs: 2 } satisfies Partial<GenerationRequest>;
    run.generate(0, { ...common, prompt: { kind: "text", text: TEXT }, echo: true, maxTokens: 0 });
    for (let i = 1; i < tokens.length; i++) {
      // The bias makes the prompt's own token the one that is sampled; it is not in what the row said.
      const sampling = { temperature: 0, logitBias: [[tokens[i] ?? 0, 1000]] as [number, number][] };
      run.generate(i, { ...common, prompt: { kind: "tokens", tokens: tokens.slice(0, i) }, sampling, maxTokens: 1 });
    }
    run.finish();
    const scores = scoresOf(run.story(0));
    expect(run.story(0).text).toBe(TEXT);
    expect(scores).toHaveLength(tokens.length);
    expect(scores[0]?.logprob).toBeNull();
    for (let i = 1; i < tokens.length; i++) {
      const [alone] = scoresOf(run.story(i));
      expect(alone?.text).toBe(scores[i]?.text as string);
      expect(difference(alone?.logprob, scores[i]?.logprob)).toBeLessThan(TOLERANCE);
      expect(difference(alone?.top[0]?.[1], scores[i]?.top[0]?.[1])).toBeLessThan(TOLERANCE);
    }
    // They stand where their text is, the space before the first word aside.
    for (const { text, offset } of scores.slice(2)) expect(TEXT.slice(offset)).toStartWith(text);
  },
  TIMEOUT_MS,
);

/** Relative for what is large: logits of improbable tokens are rounded as much as they are large. */
function difference(a: number | null | undefined, b: number | null | undefined): number {
  return typeof a === "number" && typeof b === "number" ? Math.abs(a - b) / Math.max(1, Math.abs(b)) : Number.NaN;
}

async function readTokens(backend: Awaited<ReturnType<typeof loadModelFile>>, text: string): Promise<number[]> {
  using task = backend.preparePrompt({ kind: "text", text }, null);
  while (task.poll().kind === "running") await Bun.sleep(1);
  using prompt = task.take();
  return [...prompt.tokens];
}

describe.skipIf(isPeerMissing())("beside llama-server", () => {
  test(
    "an answer's are the same",
    async () => {
      const pair = await startPair(cacheModel(small(LLAMA_SPEC)), { ctx: 1024, parallel: 2 });
      try {
        const { steps } = await completeReference(pair.peer.url, TEXT, 12);
        const asked = { prompt: TEXT, max_tokens: 12, temperature: 0, ignore_eos: true, logprobs: 5 };
        const response = await postJson(`${pair.ours.url}/v1/completions`, asked);
        const { choices } = (await response.json()) as { choices: { logprobs: Lists }[] };
        const lists = choices[0]?.logprobs as Lists;
        expect(lists.tokens).toHaveLength(12);
        for (const [i, { text, candidates }] of steps.entries()) {
          expect(lists.tokens[i]).toBe(text);
          expect(difference(lists.token_logprobs[i], candidates[0]?.logprob)).toBeLessThan(TOLERANCE);
          const top = Object.values(lists.top_logprobs[i] ?? {}).slice(0, 5);
          for (const [rank, { logprob }] of candidates.entries()) {
            expect(difference(top[rank], logprob)).toBeLessThan(TOLERANCE);
          }
        }
      } finally {
        await pair.stop();
      }
    },
    TIMEOUT_MS,
  );
});

interface Lists {
  tokens: string[];
  token_logprobs: number[];
  top_logprobs: Record<string, number>[];
}
