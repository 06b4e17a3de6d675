// The fake backend's logits: a hash of what a row sees and of the token, so that a wrong row changes every number.

import type { OutputRow, RowScores } from "../../src/engine/backend.ts";
import { assert } from "../../src/lib/assert.ts";
import { mix } from "./fake-sampler.ts";
import { FAKE_VOCABULARY } from "./fake-vocabulary.ts";

/** What these rows saw, of all that had output. */
export function findSeen(outputs: readonly number[][], rows: readonly OutputRow[]): number[] {
  return rows.map(({ part, row }) => {
    const seen = outputs[part]?.[row];
    assert(seen !== undefined, `row ${row} of part ${part} has output`);
    return seen;
  });
}

export function scoreFakeRows(seen: readonly number[], tokens: Int32Array, top: number): RowScores {
  const scores: RowScores = {
    logits: new Float32Array(seen.length),
    sums: new Float32Array(seen.length),
    topTokens: new Int32Array(seen.length * top),
    topLogits: new Float32Array(seen.length * top),
  };
  for (const [i, hash] of seen.entries()) {
    const all = Array.from({ length: FAKE_VOCABULARY }, (_, token) => ({ token, logit: fakeLogit(hash, token) }));
    const token = tokens[i] ?? -1;
    scores.logits[i] = token < 0 ? Number.NEGATIVE_INFINITY : fakeLogit(hash, token);
    scores.sums[i] = Math.log(all.reduce((sum, { logit }) => sum + Math.exp(logit), 0));
    const best = all.sort((a, b) => b.logit - a.logit || a.token - b.token).slice(0, top);
    scores.topTokens.set(
      best.map(({ token }) => token),
      i * top,
    );
    scores.topLogits.set(
      best.map(({ logit }) => logit),
      i * top,
    );
  }
  return scores;
}

function fakeLogit(seen: number, token: number): number {
  return (mix(mix(seen, token), 5) % 8000) / 1000;
}
