// `best_of`: more answers are generated than are sent, and the likeliest are. How likely one is: the mean log probability
// of its tokens, before any sampling setting, as OpenAI has it. Pure.

import type { Answer } from "../generate.ts";
import { invalidField } from "./limits.ts";
import type { CompletionRequest } from "./schema.ts";

/** Answers that are generated to each prompt. */
export function readCandidates({ n = 1, best_of = n, stream }: CompletionRequest): number {
  if (best_of < n) throw invalidField("best_of", `must not be less than \`n\` (${n}), got ${best_of}`);
  if (best_of > n && stream === true) {
    throw invalidField("best_of", `can't be more than \`n\` (${n}) of a stream: the best are known at the end`);
  }
  return best_of;
}

export interface Choice {
  candidates: number;
  /** How many of them are sent. */
  choices: number;
  /** The prompt's tokens come first in the log probabilities. */
  echo: boolean;
  /** Log probabilities are wanted in the answer, too. */
  scored: boolean;
}

/** `answers` are all of the first prompt, then all of the second; what is left is in that order too, the best first. */
export function chooseBest(answers: readonly Answer[], choice: Choice): readonly Answer[] {
  const { candidates, choices, echo, scored } = choice;
  if (candidates === choices) return answers;
  const best: Answer[] = [];
  for (let at = 0; at < answers.length; at += candidates) {
    const ranked = answers
      .slice(at, at + candidates)
      .map((answer) => ({ answer, mean: rate(answer, echo) }))
      .sort((a, b) => b.mean - a.mean);
    best.push(...ranked.slice(0, choices).map(({ answer }) => answer));
  }
  return scored ? best : best.map((answer) => ({ ...answer, scores: [] }));
}

/** One without a token says nothing for itself. */
function rate({ scores, usage }: Answer, echo: boolean): number {
  const own = echo ? scores.slice(usage.promptTokens) : scores;
  if (own.length === 0) return Number.NEGATIVE_INFINITY;
  return own.reduce((sum, { logprob }) => sum + (logprob ?? 0), 0) / own.length;
}
