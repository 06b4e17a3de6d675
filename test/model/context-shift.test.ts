// A full context over llama.cpp that drops its middle: the answer is that of the tokens that stayed, read anew, for
// each kind of memory, and also beside one that shares the beginning.

import { expect, test } from "bun:test";
import { planShift } from "../../src/engine/answer/context-shift.ts";
import type { LlamaBackend } from "../../src/engine/llama/llama-backend.ts";
import type { GenerationRequest } from "../../src/protocol/generation.ts";
import { DrivenEngine } from "../support/engine-run.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { GEMMA_SPEC, LFM2_SPEC, LLAMA_SPEC, MAMBA_SPEC, type ModelSpec } from "../support/model-specs.ts";

const small = (spec: ModelSpec): ModelSpec => ({ ...spec, tokenizer: "llama-spm" });
const SHAPES: [name: string, spec: ModelSpec][] = [
  ["Llama-like", small(LLAMA_SPEC)],
  ["Gemma-like", small(GEMMA_SPEC)],
  ["Mamba-like", MAMBA_SPEC],
  ["LFM2-like", LFM2_SPEC],
];
/** The context of a sequence: here it is the trained one. */
const CONTEXT = 64;
const KEEP = 6;
const ANSWER = 120;
const TEXT = "An agent edits code, and answers in one short sentence.";
const TIMEOUT_MS = 120_000;

test.skipIf(!HAS_NATIVE).each(SHAPES)(
  "%s",
  async (_name, spec) => {
    const path = cacheModel({ ...spec, contextLength: CONTEXT });
    using backend = await loadModelFile(path, { contextLength: 256, retainedMax: 2 });
    expect(backend.info.sequenceContextLength).toBe(CONTEXT);
    const expected = await simulate(backend);
    using run = new DrivenEngine(backend);
    const request: GenerationRequest = {
      prompt: { kind: "text", text: TEXT },
      sampling: { temperature: 0, ignoreEos: true },
      stop: [],
      maxTokens: ANSWER,
      contextShift: true,
      keepTokens: KEEP,
    };
    run.generate(1, request);
    run.finish();
    run.generate(2, request);
    run.generate(3, { ...request, maxTokens: 20, contextShift: false });
    run.finish();
    expect(run.story(1).text).toBe(expected);
    expect(run.story(1).end).toMatchObject({ usage: { completionTokens: ANSWER } });
    expect(run.story(3).text.length).toBeGreaterThan(0);
    expect(expected.startsWith(run.story(3).text.slice(0, 12))).toBe(true);
  },
  TIMEOUT_MS,
);

/** The same by hand, with every token read anew after each shift. */
async function simulate(backend: LlamaBackend): Promise<string> {
  using task = backend.preparePrompt({ kind: "text", text: TEXT }, null);
  while (task.poll().kind === "running") await Bun.sleep(1);
  using prompt = task.take();
  using sampler = backend.makeSampler({ temperature: 0, ignoreEos: true }, prompt);
  let tokens = [...prompt.tokens];
  let computed = 0;
  const bytes: Uint8Array[] = [];
  while (bytes.length < ANSWER) {
    const part = { seqId: 0, tokens: Int32Array.from(tokens.slice(computed)), start: computed, output: true };
    expect(backend.decode([part])).toBe("done");
    computed = tokens.length;
    const [sampled] = backend.sample([sampler]);
    if (sampled?.kind !== "token") throw new Error("nothing was sampled");
    tokens.push(sampled.token);
    bytes.push(backend.tokenBytes(sampled.token, false));
    if (tokens.length < CONTEXT) continue;
    const { head, dropped } = planShift(tokens.length, KEEP, prompt.tokens.length, CONTEXT);
    tokens = [...tokens.slice(0, head), ...tokens.slice(head + dropped)];
    backend.removeSequence(0);
    computed = 0;
  }
  backend.removeSequence(0);
  return Buffer.concat(bytes).toString();
}
