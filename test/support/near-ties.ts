// When two greedy outputs may differ: batch size changes rounding, so where the two best logits lie closer
// than the rounding noise, either is right. Pure; the noise is measured by the caller, never assumed.

export interface Candidate {
  id: number;
  text: string;
  /** Before any sampling; differences of two are differences of logits. */
  logprob: number;
}

export interface Step {
  id: number;
  text: string;
  /** Best first. */
  candidates: Candidate[];
}

/** A greedy output of llama-server, token by token. */
export interface Reference {
  text: string;
  steps: Step[];
}

export type Verdict =
  | { kind: "equal" }
  | { kind: "near-tie"; step: number; gap: number }
  | { kind: "different"; step: number; gap: number | null; expected: string; actual: string };

export interface Tally {
  sequences: number;
  excused: number;
  /** One line per sequence that differs without an excuse. */
  failures: string[];
}

/** Of all sequences compared. */
export const EXCUSED_SHARE_MAX = 0.02;

/**
 * The largest change of the gap between the two best tokens, between two runs of one prompt in batches of
 * different sizes; taken only while both runs have the same tokens behind them.
 */
export function measureNoise(a: readonly Step[], b: readonly Step[]): number {
  let noise = 0;
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const [stepA, stepB] = [a[i], b[i]];
    if (stepA === undefined || stepB === undefined) break;
    const [best, second] = stepA.candidates;
    const bestB = stepB.candidates.find((candidate) => candidate.id === best?.id);
    const secondB = stepB.candidates.find((candidate) => candidate.id === second?.id);
    if (best !== undefined && second !== undefined && bestB !== undefined && secondB !== undefined) {
      noise = Math.max(noise, Math.abs(best.logprob - second.logprob - (bestB.logprob - secondB.logprob)));
    }
    if (stepA.id !== stepB.id) break;
  }
  return noise;
}

/**
 * Judges an output, known as text alone, against the reference. It is excused only if, where it left the
 * reference, it went on with a token that lay within the noise of the best one.
 */
export function judgeOutput(actual: string, reference: Reference, noise: number): Verdict {
  if (actual === reference.text) return { kind: "equal" };
  let offset = 0;
  let nearTie: { step: number; gap: number } | null = null;
  for (const [index, step] of reference.steps.entries()) {
    const best = step.candidates[0];
    for (const candidate of step.candidates.slice(1)) {
      const gap = (best?.logprob ?? 0) - candidate.logprob;
      const fits = candidate.text !== step.text && candidate.text !== "" && actual.startsWith(candidate.text, offset);
      // The texts of two tokens may begin alike, so the parting may show only some tokens later.
      if (fits && gap < noise) nearTie ??= { step: index, gap };
    }
    if (!actual.startsWith(step.text, offset)) {
      if (nearTie !== null) return { kind: "near-tie", ...nearTie };
      return describeDifference(actual, step, index, offset);
    }
    offset += step.text.length;
  }
  if (nearTie !== null) return { kind: "near-tie", ...nearTie };
  return { kind: "different", step: reference.steps.length, gap: null, expected: "", actual: actual.slice(offset) };
}

function describeDifference(actual: string, step: Step, index: number, offset: number): Verdict {
  const rest = actual.slice(offset, offset + 24);
  const taken = step.candidates.find((candidate) => candidate.id !== step.id && rest.startsWith(candidate.text));
  const gap = taken === undefined ? null : (step.candidates[0]?.logprob ?? 0) - taken.logprob;
  return { kind: "different", step: index, gap, expected: step.text, actual: rest };
}

export function makeTally(): Tally {
  return { sequences: 0, excused: 0, failures: [] };
}

export function countVerdict(tally: Tally, name: string, verdict: Verdict): void {
  tally.sequences += 1;
  if (verdict.kind === "near-tie") tally.excused += 1;
  if (verdict.kind !== "different") return;
  const gap = verdict.gap === null ? "not among the best tokens" : `gap ${verdict.gap.toExponential(2)}`;
  const [expected, actual] = [JSON.stringify(verdict.expected), JSON.stringify(verdict.actual)];
  tally.failures.push(`${name}: token ${verdict.step} should be ${expected}, the output goes on ${actual} (${gap})`);
}

export function isWithinAllowance(tally: Tally): boolean {
  return tally.excused <= tally.sequences * EXCUSED_SHARE_MAX;
}
