// Requests whose prompts begin alike, and a run of one of them that is judged at once: what it gives is what it gives
// alone, and where its tokens came from is returned.

import { expect } from "bun:test";
import type { CacheReport, GenerationRequest } from "../../src/protocol/generation.ts";
import { type EngineRun, outcome, type RunOptions, runAlone } from "./engine-run.ts";

/** What the prompts begin with. A letter is a token. */
export const SYSTEM = "a system text of some length, as agents have it, with rules and tools and more rules";

/** As prefix-choice.ts has it. */
export const WAIT_TOKENS = 32;

export const ask = (text: string, changes: Partial<GenerationRequest> = {}): GenerationRequest => ({
  prompt: { kind: "text", text },
  sampling: { temperature: 0, ignoreEos: true },
  stop: [],
  maxTokens: 8,
  ...changes,
});

/** Runs the request to its end; it must give what it gives alone, in an engine with these options. */
export function runOne(run: EngineRun, id: number, request: GenerationRequest, alone: RunOptions = {}): CacheReport {
  run.generate(id, request);
  run.settle();
  const { end } = run.story(id);
  if (end?.type !== "done") throw new Error(`ended with ${JSON.stringify(end)}`);
  expect(outcome(run.story(id))).toEqual(outcome(runAlone(request, alone)));
  return end.cache;
}

export const evaluated = (run: EngineRun): number => run.engine.stats().evaluatedTokens;
