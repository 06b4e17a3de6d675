// Conversations with models whose state is that of its end alone, over llama.cpp: a turn reads what is new in it, also
// when others came between, after a restart, and for another conversation with the same system text.

import { describe, expect, test } from "bun:test";
import type { LlamaBackend } from "../../src/engine/llama/llama-backend.ts";
import type { ChatMessage, GenerationRequest } from "../../src/protocol/generation.ts";
import { DrivenEngine } from "../support/engine-run.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { KvFolder } from "../support/kv-folder.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { LFM2_SPEC, MAMBA_SPEC, type ModelSpec } from "../support/model-specs.ts";

/** Its tokenizer has tokens of their own for where messages begin, as chat models do: else nobody could tell the places. */
const chatting = (spec: ModelSpec): ModelSpec => ({ ...spec, tokenizer: "qwen2" });
const SHAPES: [name: string, spec: ModelSpec][] = [
  ["Mamba-like", chatting(MAMBA_SPEC)],
  ["LFM2-like", chatting(LFM2_SPEC)],
];

const SETTINGS = { contextLength: 4096, parallel: 2, retainedMax: 2, batchSize: 128, microBatchSize: 128 };
const SYSTEM: ChatMessage = {
  role: "system",
  content: "You are an agent that edits code, and says nothing that was not asked for. ".repeat(8),
};
const QUESTIONS = ["Who is there?", "And who is that behind the door?", "What do they want of us?", "Then let us go."];
/** As the issue has it: beside the new tokens. */
const REREAD_MAX = 64;
const TIMEOUT_MS = 120_000;

const ask = (messages: ChatMessage[]): GenerationRequest => ({
  prompt: { kind: "chat", messages },
  sampling: { temperature: 0, ignoreEos: true },
  stop: [],
  maxTokens: 24,
});

interface Turn {
  promptTokens: number;
  evaluated: number;
  disk: number;
}

describe.skipIf(!HAS_NATIVE)("conversations", () => {
  function runOne(run: DrivenEngine<LlamaBackend>, id: number, messages: ChatMessage[]): Turn {
    const before = run.engine.stats().evaluatedTokens;
    run.generate(id, ask(messages));
    run.stepUntil(() => run.story(id).end !== null);
    const { end } = run.story(id);
    if (end?.type !== "done") throw new Error(`ended with ${JSON.stringify(end)}`);
    const evaluated = run.engine.stats().evaluatedTokens - before;
    return { promptTokens: end.usage.promptTokens, evaluated, disk: end.cache.disk };
  }

  /** What the model said goes back in other words, as templates and clients do it. */
  const goOn = (messages: ChatMessage[], turn: number): ChatMessage[] => [
    ...messages,
    { role: "assistant", content: `It is as it is, and has been so for ${turn} years.` },
    { role: "user", content: QUESTIONS[turn] ?? "" },
  ];

  test.each(SHAPES)(
    "%s: each turn reads what is new, and after a restart as well",
    async (_name, spec) => {
      using backend = await loadModelFile(cacheModel(spec), SETTINGS);
      using folder = new KvFolder();
      const options = { store: folder.opener() };
      let messages: ChatMessage[] = [SYSTEM, { role: "user", content: QUESTIONS[0] ?? "" }];
      let last = 0;
      {
        using run = new DrivenEngine(backend, options);
        for (let turn = 0; turn < QUESTIONS.length; turn++) {
          if (turn > 0) messages = goOn(messages, turn);
          const { promptTokens, evaluated } = runOne(run, 10 * turn, messages);
          expect(evaluated).toBeLessThanOrEqual(promptTokens - last + REREAD_MAX);
          if (turn > 0) expect(evaluated).toBeLessThan(promptTokens / 2);
          console.log(`${spec.shape}: turn ${turn + 1} read ${evaluated} of ${promptTokens} tokens`);
          last = promptTokens;
          run.clock.advance(1000);
          runOne(run, 10 * turn + 1, [{ role: "user", content: `Number ${turn} passes by.` }]);
        }
        const other = runOne(run, 100, [SYSTEM, { role: "user", content: "Quite another conversation." }]);
        expect(other.evaluated).toBeLessThan(other.promptTokens / 3);
        run.flush();
      }
      for (let seqId = 0; seqId < SETTINGS.parallel + SETTINGS.retainedMax; seqId++) backend.removeSequence(seqId);
      expect(backend.cells().every(({ used }) => used === 0)).toBe(true);
      using run = new DrivenEngine(backend, options);
      expect(run.cacheEntries().some(({ state, tokens }) => state === "disk" && tokens > last / 2)).toBe(true);
      const { promptTokens, evaluated, disk } = runOne(run, 1, goOn(messages, 2));
      expect(evaluated).toBe(promptTokens - disk);
      console.log(`${spec.shape}: after a restart ${evaluated} of ${promptTokens} tokens were read`);
      expect(evaluated).toBeLessThanOrEqual(promptTokens - last + REREAD_MAX);
      expect(folder.warnings).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
