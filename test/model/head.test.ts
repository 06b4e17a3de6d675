// Guessing with a model's own prediction layer over llama.cpp: with one that is often right, and with one that never is.
// Outputs are those of requests alone (near-ties by the rule), whatever was forked, kept, given back or restored.

import { describe, expect, test } from "bun:test";
import type { LlamaBackend } from "../../src/engine/llama/llama-backend.ts";
import { toAppError } from "../../src/protocol/errors.ts";
import type { EngineSettings } from "../../src/protocol/messages.ts";
import type { EngineStats } from "../../src/protocol/model-info.ts";
import { makeStepsDear } from "../support/dear-steps.ts";
import { DrivenEngine } from "../support/engine-run.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { KvFolder } from "../support/kv-folder.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { HEAD_SPEC, type ModelSpec, RIGHT_HEAD_SPEC, SLIDING_HEAD_SPEC, TINY_SPEC } from "../support/model-specs.ts";
import { countVerdict, isWithinAllowance, judgeOutput, makeTally } from "../support/near-ties.ts";
import { SoloOutputs } from "../support/solo-outputs.ts";

const TOKENS = 48;
const TIMEOUT_MS = 180_000;
const HEAD = { tokensMax: 4, required: true, probabilityMin: 0 };
const ELSEWHERE_SPEC: ModelSpec = {
  ...HEAD_SPEC,
  head: { token: 0, hidden: 0, mixture: 1, branchGain: 1, isElsewhere: true },
};
const SYSTEM = "You are an agent that edits code, and every answer of yours is a patch that applies. ";
const PROMPTS = [
  `${SYSTEM}Who is there?`,
  `${SYSTEM}Name a colour, and then another one that is not the same colour.`,
  "Tell me a tale of the old sea",
  "What is the sum of two and three?",
  "Du bist ein Dichter am Meer, und jede Antwort ist ein Vers, der sich reimt.",
  "You give titles to conversations.",
];

/** All prompts, some at once and again when they are kept, against what each gives alone. */
async function compare(spec: ModelSpec, settings = HEAD): Promise<EngineStats> {
  using backend = await loadModelFile(cacheModel(spec), { contextLength: 1024, retainedMax: 4, head: settings });
  return comparePrompts(backend, new SoloOutputs(backend, PROMPTS, TOKENS));
}

function comparePrompts(backend: LlamaBackend, solo: SoloOutputs, folder?: KvFolder): EngineStats {
  const tally = makeTally();
  const warnings: string[] = [];
  const store = folder === undefined ? {} : { store: folder.opener() };
  using run = new DrivenEngine(backend, { warn: (message) => warnings.push(message), ...store });
  using _dear = makeStepsDear(backend, run);
  const prompts = [...PROMPTS, ...PROMPTS.toReversed()];
  const sampling = { temperature: 0, ignoreEos: true };
  for (const [id, text] of prompts.entries()) {
    run.generate(id, { prompt: { kind: "text", text }, sampling, stop: [], maxTokens: TOKENS });
  }
  run.finish();
  for (const [id, text] of prompts.entries()) {
    countVerdict(tally, `request ${id}`, judgeOutput(run.story(id).text, solo.expect(text, TOKENS), solo.noise));
  }
  expect(tally.failures).toEqual([]);
  expect(tally.sequences).toBe(prompts.length);
  expect(tally.excused <= 1 || isWithinAllowance(tally)).toBe(true);
  expect(warnings).toEqual([]);
  if (folder !== undefined) run.flush();
  const stats = run.engine.stats();
  const { draftedTokens, acceptedTokens, decodedTokens, steps } = stats;
  console.log(JSON.stringify({ draftedTokens, acceptedTokens, decodedTokens, steps, excused: tally.excused }));
  return stats;
}

describe.skipIf(!HAS_NATIVE)("a model's own prediction layer", () => {
  test(
    "saves steps where it is often right",
    async () => {
      const { draftedTokens, acceptedTokens, decodedTokens, steps } = await compare(RIGHT_HEAD_SPEC);
      expect(acceptedTokens / draftedTokens).toBeGreaterThan(0.5);
      expect(steps).toBeLessThan(decodedTokens / 5);
    },
    TIMEOUT_MS,
  );

  test.each([
    ["plain", HEAD_SPEC],
    ["sliding", SLIDING_HEAD_SPEC],
  ])(
    "rests where it is never right, and the outputs are the same: %s memory",
    async (_name, spec) => {
      const { draftedTokens, acceptedTokens, decodedTokens } = await compare(spec);
      expect(draftedTokens).toBeGreaterThan(0);
      expect(acceptedTokens / draftedTokens).toBeLessThan(0.3);
      expect(draftedTokens).toBeLessThan(decodedTokens / 2);
    },
    TIMEOUT_MS,
  );

  test(
    "guesses for prompts that come from disk after a restart",
    async () => {
      using folder = new KvFolder();
      const path = cacheModel(RIGHT_HEAD_SPEC);
      const load = () => loadModelFile(path, { contextLength: 1024, retainedMax: 4, head: HEAD });
      using first = await load();
      const solo = new SoloOutputs(first, PROMPTS, TOKENS);
      const before = comparePrompts(first, solo, folder).evaluatedTokens;
      using second = await load();
      const { evaluatedTokens, draftedTokens, acceptedTokens } = comparePrompts(second, solo, folder);
      expect(evaluatedTokens).toBeLessThan(before / 2);
      expect(acceptedTokens / draftedTokens).toBeGreaterThan(0.5);
      expect(folder.warnings).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test("says what it uses, and takes nothing where it rests", async () => {
    const path = cacheModel(RIGHT_HEAD_SPEC);
    using withHead = await loadModelFile(path, { head: HEAD });
    using without = await loadModelFile(path, {});
    expect(withHead.info.head).toMatchObject({ layers: 1, rests: null });
    expect(withHead.info.head?.contextBytes).toBeGreaterThan(0);
    expect([without.drafter, without.info.head?.contextBytes]).toEqual([null, 0]);
  });

  test("rests where it is not asked for, a draft model guesses, or the file only mentions it", async () => {
    const path = cacheModel(RIGHT_HEAD_SPEC);
    const restsOf = async (changes: Partial<EngineSettings>, spec = RIGHT_HEAD_SPEC) => {
      using backend = await loadModelFile(cacheModel(spec), changes);
      return backend.info.head?.rests ?? null;
    };
    const head = { ...HEAD, required: false };
    expect(await restsOf({})).toBe("--speculate does not ask for them");
    expect(await restsOf({ head, draft: { modelPath: path, tokensMax: 4 } })).toBe("a draft model guesses instead");
    expect(await restsOf({ head }, ELSEWHERE_SPEC)).toBe("the file has no tensors of them");
    using plain = await loadModelFile(cacheModel(TINY_SPEC), { head });
    expect([plain.info.head, plain.drafter]).toEqual([null, null]);
  });

  test.each([
    ["has none", TINY_SPEC, "the file has none"],
    ["only mentions it", ELSEWHERE_SPEC, "the file has no tensors of them"],
  ])("a model that must guess with one and %s is refused", async (_name, spec, reason) => {
    const refused = loadModelFile(cacheModel(spec), { head: HEAD });
    expect(await refused.then(() => null, toAppError)).toMatchObject({
      code: "format_unsupported",
      message: `This model can't guess with prediction layers of its own: ${reason}.`,
    });
  });
});
