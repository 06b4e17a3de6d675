// Guessing with a smaller model over llama.cpp: with the model itself as its own draft, with a stranger of the same
// vocabulary, and with one that does not fit. Outputs are those of requests alone (near-ties by the rule).

import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LlamaBackend } from "../../src/engine/llama/llama-backend.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { EngineStats, LoadedModelInfo } from "../../src/protocol/model-info.ts";
import { makeStepsDear } from "../support/dear-steps.ts";
import { DrivenEngine } from "../support/engine-run.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { GEMMA_SPEC, LLAMA_SPEC, MAMBA_SPEC, type ModelSpec } from "../support/model-specs.ts";
import { countVerdict, isWithinAllowance, judgeOutput, makeTally, type Reference } from "../support/near-ties.ts";
import { SoloOutputs } from "../support/solo-outputs.ts";

const DEMO = join(import.meta.dir, "../../src/demo/demo.gguf");
const TOKENS = 48;
const WIDTH = 4;
const TIMEOUT_MS = 180_000;
const small = (spec: ModelSpec): ModelSpec => ({ ...spec, tokenizer: "llama-spm" });
const PROMPTS = [
  "You are an agent that edits code. Who is there?",
  "You are an agent that edits code. Name a colour, and then another one that is not the same colour.",
  "Tell me a tale of the old sea",
  "What is the sum of two and three?",
  "Du bist ein Dichter am Meer, und jede Antwort ist ein Vers, der sich reimt.",
  "You give titles to conversations.",
];

interface Outcome {
  stats: EngineStats;
  info: LoadedModelInfo;
}

/** All prompts, some at once and again when they are kept, against what each gives alone. */
async function compare(target: string, draft: string, probabilityMin: number): Promise<Outcome> {
  using backend = await loadModelFile(target, {
    contextLength: 1024,
    parallel: WIDTH,
    retainedMax: 4,
    draft: { modelPath: draft, tokensMax: 8, probabilityMin },
  });
  const solo = new SoloOutputs(backend, PROMPTS, TOKENS);
  const tally = makeTally();
  using run = new DrivenEngine(backend);
  using _dear = makeStepsDear(backend, run);
  const prompts = [...PROMPTS, ...PROMPTS.toReversed()];
  for (const [id, text] of prompts.entries()) {
    run.generate(id, { prompt: { kind: "text", text }, sampling: { temperature: 0 }, stop: [], maxTokens: TOKENS });
  }
  run.finish();
  for (const [id, text] of prompts.entries()) {
    const reference = cutAtEnd(solo.expect(text, TOKENS), backend);
    countVerdict(tally, `request ${id}`, judgeOutput(run.story(id).text, reference, solo.noise));
  }
  expect(tally.failures).toEqual([]);
  expect(tally.sequences).toBe(prompts.length);
  // Of so few sequences one may be a near-tie.
  expect(tally.excused <= 1 || isWithinAllowance(tally)).toBe(true);
  const stats = run.engine.stats();
  const { draftedTokens, acceptedTokens, decodedTokens, steps } = stats;
  console.log(JSON.stringify({ draftedTokens, acceptedTokens, decodedTokens, steps, excused: tally.excused }));
  return { stats, info: backend.info };
}

function cutAtEnd({ steps }: Reference, backend: LlamaBackend): Reference {
  const end = steps.findIndex(({ id }) => backend.isEnd(id));
  const said = end < 0 ? steps : steps.slice(0, end);
  return { text: said.map(({ text }) => text).join(""), steps: said };
}

async function refusalOf(target: string, draft: string): Promise<AppError> {
  try {
    using _backend = await loadModelFile(target, { draft: { modelPath: draft, tokensMax: 8 } });
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown;
    throw thrown;
  }
  throw new Error("it loaded");
}

describe.skipIf(!HAS_NATIVE)("a draft model", () => {
  test.each([
    ["Llama-like", small(LLAMA_SPEC)],
    ["Gemma-like", small(GEMMA_SPEC)],
  ])(
    "%s, the model itself: nearly every guess is right",
    async (_name, spec) => {
      const path = cacheModel(spec);
      const { stats, info } = await compare(path, path, 0);
      expect(stats.draftedTokens).toBeGreaterThan(PROMPTS.length * TOKENS);
      expect(stats.acceptedTokens / stats.draftedTokens).toBeGreaterThan(0.9);
      expect(stats.steps).toBeLessThan(stats.decodedTokens / 6);
      expect(info.draft?.sizeBytes).toBe(info.sizeBytes);
      expect(info.draft?.contextBytes).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  test(
    "the trained demo model itself, with a floor under probabilities",
    async () => {
      const { stats } = await compare(DEMO, DEMO, 0.5);
      expect(stats.acceptedTokens).toBeGreaterThan(20);
      expect(stats.acceptedTokens / stats.draftedTokens).toBeGreaterThan(0.9);
    },
    TIMEOUT_MS,
  );

  test(
    "a stranger of the same vocabulary: it rests, and the outputs are the same",
    async () => {
      const stranger = small({ ...LLAMA_SPEC, seed: 7, layers: 1 });
      const { stats } = await compare(cacheModel(small(LLAMA_SPEC)), cacheModel(stranger), 0);
      expect(stats.draftedTokens).toBeGreaterThan(0);
      expect(stats.acceptedTokens / stats.draftedTokens).toBeLessThan(0.3);
      expect(stats.draftedTokens).toBeLessThan(stats.decodedTokens / 2);
    },
    TIMEOUT_MS,
  );

  test("a vocabulary that is another one is refused at load", async () => {
    const refusal = await refusalOf(cacheModel(small(LLAMA_SPEC)), cacheModel(LLAMA_SPEC));
    expect(refusal.code).toBe("format_unsupported");
    expect(refusal.message).toContain("its vocabulary is of type BPE, the model's is SPM");
    expect(refusal.hint).toContain("--draft-model");
  });

  test("so is one of the same type and size, by the first token that differs", async () => {
    const bytes = new Uint8Array(readFileSync(DEMO));
    // The vocabulary's entry for " the", with its length before it.
    const entry = [5, 0, 0, 0, 0, 0, 0, 0, 0xc4, 0xa0, 0x74, 0x68, 0x65];
    const at = bytes.findIndex((_, i) => entry.every((byte, k) => bytes[i + k] === byte));
    expect(at).toBeGreaterThan(0);
    bytes[at + entry.length - 1] = 0x7a;
    const folder = mkdtempSync(join(tmpdir(), "mlo-draft-"));
    try {
      const path = join(folder, "other.gguf");
      writeFileSync(path, bytes);
      expect((await refusalOf(DEMO, path)).message).toMatch(
        /^other\.gguf can't guess for this model: its token \d+ is ' thz', the model's is ' the'/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("a memory that can't take back a guess is refused, on either side", async () => {
    const [plain, recurrent] = [cacheModel(small(LLAMA_SPEC)), cacheModel(MAMBA_SPEC)];
    expect((await refusalOf(plain, recurrent)).message).toContain(
      "can't take back a wrong guess: its memory is recurrent",
    );
    expect((await refusalOf(recurrent, plain)).message).toContain("This model can't take back a wrong guess");
  });

  test("a file that is none is refused by its name", async () => {
    expect((await refusalOf(cacheModel(small(LLAMA_SPEC)), import.meta.path)).message).toContain("draft-model.test.ts");
  });
});
