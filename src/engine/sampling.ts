// Samples the rows of a step, and notes log probabilities where they are wanted. It decides nothing about sequences.

import { type Delta, type Scores, toLogprob } from "./answer/scores.ts";
import type { Backend, OutputRow, Sampled, Sampler } from "./backend.ts";
import type { StepOutput } from "./stepper.ts";

/** What the rows of a step say of a prompt whose tokens are scored. */
export function scorePrompt(backend: Backend, { sequence, part, start, count }: StepOutput): Delta | null {
  if (sequence.scores === null) return null;
  const rows = Array.from({ length: count }, (_, row) => ({ part, row }));
  return sequence.scores.readPrompt(backend, sequence.tokens, start, rows);
}

/** One result each, from the row so many places behind the first one that is sampled. What fails as a whole fails for all. */
export function sampleOutputs(backend: Backend, outputs: readonly StepOutput[], row: number): Sampled[] {
  const rows = outputs.map(({ sequence: { sampler, scores }, part, count }) => {
    return { sampler, scores, part, row: count - 1 + row };
  });
  try {
    return sampleWithScores(backend, rows);
  } catch (thrown) {
    return outputs.map(() => ({ kind: "failed", error: thrown as Error }));
  }
}

/** A row to sample from, and whose it is. */
interface SampledRow extends OutputRow {
  sampler: Sampler;
  scores: Scores | null;
}

/**
 * Samples rows, and notes the log probabilities of those that want them. They are read before, because a sampler may mask
 * logits in place; the token's own logit is never masked, or it could not have been sampled.
 */
function sampleWithScores(backend: Backend, rows: readonly SampledRow[]): Sampled[] {
  const samplers = rows.map(({ sampler }) => sampler);
  const wanted = [...rows.entries()].filter(([, { scores }]) => scores !== null);
  if (wanted.length === 0) return backend.sample(samplers, rows);
  const scoredRows = wanted.map(([, row]) => row);
  const top = Math.max(...scoredRows.map(({ scores }) => scores?.top ?? 0));
  const heads = backend.scoreRows(scoredRows, new Int32Array(wanted.length).fill(-1), top);
  const sampled = backend.sample(samplers, rows);
  const tokens = Int32Array.from(wanted, ([i]) => tokenOf(sampled[i]));
  const logits = backend.rowLogits(scoredRows, tokens);
  for (const [i, row] of scoredRows.entries()) {
    const token = tokens[i] ?? -1;
    if (token < 0) continue;
    // The token that ends an answer too: clients that score prompts count on one entry for each token of `max_tokens`.
    row.scores?.note(token, toLogprob((logits[i] ?? 0) - (heads.sums[i] ?? 0)), heads, i);
  }
  return sampled;
}

function tokenOf(sampled: Sampled | undefined): number {
  return sampled?.kind === "token" ? sampled.token : -1;
}
