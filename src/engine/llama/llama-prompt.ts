// Prompts of every kind through llama.cpp's tokenizer and templates, as tasks. A part of the backend over llama.cpp.

import type { NativeModel } from "../../ffi/model.ts";
import { NativePrompt } from "../../ffi/prompt.ts";
import { assert } from "../../lib/assert.ts";
import { AppError } from "../../protocol/errors.ts";
import type { EmbeddingInput, Prompt, SamplingParams } from "../../protocol/generation.ts";
import type { PreparedPrompt, Task, TextFacts, TextSource } from "../backend.ts";

class LlamaPrompt implements PreparedPrompt {
  readonly tokens: Int32Array;
  readonly stops: readonly string[];
  readonly preserved: ReadonlySet<number>;
  readonly needsParser: boolean;
  readonly preambleLength: number;
  readonly turns: readonly number[];

  constructor(
    readonly native: NativePrompt,
    tokenOf: (text: string) => number | null,
  ) {
    const facts = native.facts();
    this.tokens = native.tokens();
    this.stops = facts.stops;
    this.needsParser = facts.needsParser;
    this.preambleLength = facts.preamble;
    this.turns = facts.turns;
    const preserved = facts.needsParser ? facts.preserved.map(tokenOf) : [];
    this.preserved = new Set(preserved.filter((token) => token !== null));
  }

  [Symbol.dispose](): void {
    this.native[Symbol.dispose]();
  }
}

/** How much a prompt with a gap may take. */
export interface PromptRoom {
  batchTokens: number;
  contextTokens: number;
}

/** Of a prompt with a gap, so much of the context at most is what surrounds the gap: the rest is for the answer. */
const INFILL_SHARE = 0.75;

export function readPrompt(
  model: NativeModel,
  prompt: Prompt,
  sampling: SamplingParams | null,
  room: PromptRoom,
): Task<PreparedPrompt> {
  if (prompt.kind !== "infill") return startTask(model, prompt, sampling);
  const batchTokens = Math.min(room.batchTokens, Math.floor(INFILL_SHARE * room.contextTokens));
  const task = startTask(model, { ...prompt, ...room, batchTokens }, sampling);
  return { ...task, poll: () => explainInfill(task.poll()), take: task.take };
}

export function readInput(model: NativeModel, input: EmbeddingInput): Task<PreparedPrompt> {
  if (typeof input === "string") return startTask(model, { kind: "embedding", text: input }, null);
  return startTask(
    model,
    Array.isArray(input) ? { kind: "tokens", tokens: input } : { kind: "rerank", ...input },
    null,
  );
}

export function readText(model: NativeModel, source: TextSource): Task<TextFacts> {
  const job = NativePrompt.read(model, source);
  return {
    poll: () => job.poll(),
    take: () => {
      using prompt = job.take();
      return { tokens: prompt.tokens(), text: prompt.facts().text };
    },
    [Symbol.dispose]: () => job[Symbol.dispose](),
  };
}

export function nativePrompt(prompt: PreparedPrompt): NativePrompt {
  assert(prompt instanceof LlamaPrompt, "a prompt goes back to the backend that made it");
  return prompt.native;
}

function startTask(model: NativeModel, request: object, sampling: SamplingParams | null): Task<PreparedPrompt> {
  const job = NativePrompt.read(model, request, sampling);
  return {
    poll: () => job.poll(),
    take: () => new LlamaPrompt(job.take(), (text) => model.tokenOf(text)),
    [Symbol.dispose]: () => job[Symbol.dispose](),
  };
}

/** A vocabulary without the tokens is the model's lack, and no mistake in the request. */
function explainInfill(state: ReturnType<Task<PreparedPrompt>["poll"]>): ReturnType<Task<PreparedPrompt>["poll"]> {
  if (state.kind !== "failed" || !state.error.message.includes("has no FIM_")) return state;
  const hint = "Use a model that was trained to fill in text, such as a Qwen coder model.";
  const body = { code: "not_supported", message: state.error.message, hint } as const;
  return { kind: "failed", error: new AppError(body, { cause: state.error }) };
}
