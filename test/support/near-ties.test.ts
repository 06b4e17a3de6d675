// The rule for greedy outputs that differ: what it excuses and, above all, what it does not.

import { describe, expect, test } from "bun:test";
import {
  type Candidate,
  countVerdict,
  isWithinAllowance,
  judgeOutput,
  makeTally,
  measureNoise,
  type Step,
} from "./near-ties.ts";

const NOISE = 0.01;

/** One step: the texts of the candidates, best first, and the gaps of the others to the best. */
function step(texts: string[], gaps: number[]): Step {
  const candidates: Candidate[] = texts.map((text, i) => ({
    id: id(text),
    text,
    logprob: i === 0 ? -1 : -1 - (gaps[i - 1] ?? 9),
  }));
  return { id: id(texts[0] ?? ""), text: texts[0] ?? "", candidates };
}

function id(text: string): number {
  return Bun.hash.crc32(text);
}

const steps = [step([" a", " b"], [2]), step([" c", " d", " e"], [0.005, 0.02]), step([" f", " g"], [1])];
const reference = { text: " a c f", steps };

describe("judgeOutput", () => {
  test("equal text is equal", () => {
    expect(judgeOutput(" a c f", reference, NOISE)).toEqual({ kind: "equal" });
  });

  test("the runner-up within the noise is excused, whatever follows it", () => {
    const verdict = judgeOutput(" a d zzz", reference, NOISE);
    expect(verdict.kind).toBe("near-tie");
    if (verdict.kind === "near-tie") expect(verdict.gap).toBeCloseTo(0.005);
  });

  test("a candidate outside the noise is not", () => {
    expect(judgeOutput(" a e f", reference, NOISE)).toMatchObject({ kind: "different", step: 1, expected: " c" });
    expect(judgeOutput(" b c f", reference, NOISE)).toMatchObject({ kind: "different", step: 0 });
    expect(judgeOutput(" a c g", reference, NOISE)).toMatchObject({ kind: "different", step: 2, gap: 1 });
  });

  test("a token that is no candidate is not, even where two others tie", () => {
    expect(judgeOutput(" a x f", reference, NOISE)).toMatchObject({ kind: "different", step: 1, gap: null });
  });

  test("nothing is excused without noise, and neither a short output nor a long one", () => {
    expect(judgeOutput(" a d f", reference, 0).kind).toBe("different");
    expect(judgeOutput(" a c", reference, NOISE).kind).toBe("different");
    expect(judgeOutput(" a c f and on", reference, NOISE).kind).toBe("different");
    expect(judgeOutput("", reference, NOISE).kind).toBe("different");
  });

  test("two tied tokens that begin alike part later", () => {
    const tied = { text: " ab c", steps: [step([" ab", " a"], [0.001]), step([" c"], [])] };
    expect(judgeOutput(" abc", tied, NOISE).kind).toBe("near-tie");
  });
});

describe("measureNoise", () => {
  test("is the largest change of the gap of the two best", () => {
    const other = [step([" a", " b"], [2.03]), step([" c", " d"], [0.004]), step([" f", " g"], [1])];
    expect(measureNoise(steps, other)).toBeCloseTo(0.03);
  });

  test("counts the step where the two runs part, and nothing behind it", () => {
    const other = [step([" a", " b"], [2]), step([" d", " c"], [0.003]), step([" f", " g"], [5])];
    expect(measureNoise(steps, other)).toBeCloseTo(0.008);
  });
});

test("a tally allows 2 % of near-ties and no other difference", () => {
  const tally = makeTally();
  for (let i = 0; i < 99; i++) countVerdict(tally, `${i}`, { kind: "equal" });
  countVerdict(tally, "tie", { kind: "near-tie", step: 1, gap: 0.001 });
  countVerdict(tally, "tie", { kind: "near-tie", step: 1, gap: 0.001 });
  expect([tally.sequences, tally.excused, isWithinAllowance(tally)]).toEqual([101, 2, true]);
  countVerdict(tally, "tie", { kind: "near-tie", step: 1, gap: 0.001 });
  expect(isWithinAllowance(tally)).toBe(false);
  expect(tally.failures).toEqual([]);
  countVerdict(tally, "broken", { kind: "different", step: 3, gap: 0.5, expected: " a", actual: " b" });
  expect(tally.failures).toEqual(['broken: token 3 should be " a", the output goes on " b" (gap 5.00e-1)']);
});
