// What the engine may rely on in a backend's log probabilities: one suite, run against the fake and against llama.cpp.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Backend, PreparedPrompt } from "../../src/engine/backend.ts";
import { FakeBackend } from "../support/fake-backend.ts";
import { HAS_NATIVE, loadDemo } from "../support/llama-library.ts";

const SETTINGS = { contextLength: 256, parallel: 4, batchSize: 64 };

function prepare(backend: Backend, tokens: number[]): PreparedPrompt {
  using task = backend.preparePrompt({ kind: "tokens", tokens }, null);
  while (task.poll().kind === "running") Bun.sleepSync(1);
  return task.take();
}

const subjects: [string, () => Promise<Backend>][] = [["the fake", async () => new FakeBackend(SETTINGS)]];
if (HAS_NATIVE) subjects.push(["llama.cpp", () => loadDemo(SETTINGS)]);

describe.each(subjects)("log probabilities: %s", (_name, make) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await make();
  });
  afterAll(() => backend[Symbol.dispose]());

  const TOKENS = [5, 9, 4, 12, 7, 3, 11, 6, 10, 8];

  /** Rows 4 to 9 of the tokens have output. */
  function decode(): { part: number; row: number }[] {
    using prompt = prepare(backend, TOKENS);
    const drafted = 5;
    expect(backend.decode([{ seqId: 1, tokens: prompt.tokens, start: 0, output: true, drafted }])).toBe("done");
    backend.removeSequence(1);
    return Array.from({ length: drafted + 1 }, (_, row) => ({ part: 0, row }));
  }

  test("the whole vocabulary's are a distribution, best first", () => {
    const rows = decode();
    const all = backend.info.vocabularySize;
    const scores = backend.scoreRows(rows, new Int32Array(rows.length).fill(-1), all);
    for (const row of rows.keys()) {
      const logits = scores.topLogits.subarray(row * all, (row + 1) * all);
      const sum = scores.sums[row] ?? Number.NaN;
      expect(logits.reduce((total, logit) => total + Math.exp(logit - sum), 0)).toBeCloseTo(1, 4);
      expect([...logits]).toEqual([...logits].sort((a, b) => b - a));
      expect(new Set(scores.topTokens.subarray(row * all, (row + 1) * all)).size).toBe(all);
      expect(scores.logits[row]).toBe(Number.NEGATIVE_INFINITY);
    }
  });

  test("a token's logit is the one in the list, asked for in either way, in any order of rows", () => {
    const rows = decode();
    const all = backend.info.vocabularySize;
    const tokens = Int32Array.from(rows, (_, i) => TOKENS[i + 2] ?? 0);
    const scores = backend.scoreRows(rows, tokens, all);
    const listed = rows.map((_, i) => {
      const at = scores.topTokens.subarray(i * all, (i + 1) * all).indexOf(tokens[i] ?? -1);
      return scores.topLogits[i * all + at];
    });
    expect([...scores.logits]).toEqual(listed as number[]);
    expect([...backend.rowLogits(rows.toReversed(), tokens.toReversed())]).toEqual([...scores.logits].reverse());
    const few = backend.scoreRows(rows.slice(2, 4), tokens.slice(2, 4), 2);
    expect([...few.sums]).toEqual([...scores.sums.subarray(2, 4)]);
    expect([...few.topTokens.subarray(2)]).toEqual([...scores.topTokens.subarray(3 * all, 3 * all + 2)]);
    expect(new Set(scores.sums).size).toBe(rows.length);
  });
});
