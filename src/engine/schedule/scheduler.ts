// Decides how many tokens of which sequence the next step runs, who may start, and who has to leave. Pure: facts in, a
// plan out. Policy: decode rows always ride; prompts fill the rest in order, as far as the streams' gaps allow.

import type { Priority } from "../../protocol/generation.ts";

/** A place in the order: when it came, later by a handicap for batch work, so that waiting long enough wins. */
export interface Ranked {
  rankMs: number;
  /** Order of arrival, among equals. */
  arrival: number;
}

export interface Runnable extends Ranked {
  id: number;
  /** Tokens whose KV is missing. 1 for a sequence that decodes. */
  missing: number;
  /** All of its rows have output, not the last one alone. */
  needsAllOutput?: boolean;
}

export interface Budget {
  /** Rows of one batch. */
  batchSize: number;
  /** Rows of prompt that may ride in a batch beside decode rows: see rates.ts. */
  promptRows: number;
  /** Free KV cells. */
  freeCells: number;
  /** Sequences that decode in other steps, which come between this one and the next. */
  decodingElsewhere?: number;
  /** Prompts that may be complete with this step, see prompt-spread.ts; absent: all. */
  prompts?: number;
  /** Rows with output of one batch, as many at least as there are sequences; absent: as many as rows. */
  outputs?: number;
}

/** `fits`: rows per sequence. `full`: not even the decode rows have cells; somebody has to leave. */
export type Plan = { kind: "fits"; rows: { id: number; count: number }[] } | { kind: "full" };

/** A batch request stands behind interactive ones that come up to this much later. */
const BATCH_HANDICAP_MS = 30_000;

export function rankOf(receivedMs: number, priority: Priority): number {
  return priority === "batch" ? receivedMs + BATCH_HANDICAP_MS : receivedMs;
}

export function compareRanks(a: Ranked, b: Ranked): number {
  return a.rankMs - b.rankMs || a.arrival - b.arrival;
}

export function plan(running: readonly Runnable[], budget: Budget): Plan {
  const inOrder = [...running].sort(compareRanks);
  const decoding = inOrder.filter((sequence) => sequence.missing === 1);
  if (decoding.length > budget.freeCells) return { kind: "full" };

  const rows = decoding.slice(0, budget.batchSize).map(({ id }) => ({ id, count: 1 }));
  const isAlone = decoding.length === 0 && (budget.decodingElsewhere ?? 0) === 0;
  const promptRows = isAlone ? budget.batchSize : budget.promptRows;
  // One row of every other sequence may have output, so that none of them has to wait for those whose rows all have it.
  const others = running.filter(({ missing, needsAllOutput }) => missing === 1 || needsAllOutput !== true).length;
  let outputs = (budget.outputs ?? Number.POSITIVE_INFINITY) - others;
  let prompts = budget.prompts ?? Number.POSITIVE_INFINITY;
  let left = Math.min(promptRows, budget.batchSize - rows.length, budget.freeCells - rows.length);
  for (const { id, missing, needsAllOutput } of inOrder) {
    if (missing === 1) continue;
    if (left <= 0) break;
    const count = Math.min(missing, left, needsAllOutput === true ? outputs : left);
    // Others may go on with rows that need no output.
    if (count <= 0) continue;
    // Those behind it wait with it: nobody is overtaken.
    if (count === missing && prompts-- <= 0) break;
    rows.push({ id, count });
    left -= count;
    if (needsAllOutput === true) outputs -= count;
  }
  if (rows.length === 0 && inOrder.length > 0) return { kind: "full" };
  return { kind: "fits", rows };
}

/** Cells that every running sequence should find free after an admission, so that it is not undone at once. */
const HEADROOM_CELLS = 16;

/** May a sequence that needs this many cells start beside those that run? Alone it always may: its length was checked. */
export function admits(cells: number, runningCount: number, freeCells: number): boolean {
  if (runningCount === 0) return cells <= freeCells;
  return cells + HEADROOM_CELLS * (runningCount + 1) <= freeCells;
}

export interface Candidate extends Ranked {
  id: number;
  paused: boolean;
}

/** Who leaves when the cells run out: a paused sequence before others, then the last in order. */
export function chooseVictim(running: readonly Candidate[]): number | null {
  const worst = [...running].sort((a, b) => Number(b.paused) - Number(a.paused) || compareRanks(b, a))[0];
  return worst === undefined ? null : worst.id;
}

/** Batch work that gives its place to an interactive request, when no place is free; null when nobody has to. */
export function chooseYielding(
  running: readonly (Candidate & { priority: Priority })[],
  waiting: (Ranked & { priority: Priority }) | undefined,
): number | null {
  if (waiting === undefined || waiting.priority === "batch") return null;
  const batch = running.filter((sequence) => sequence.priority === "batch" && compareRanks(sequence, waiting) > 0);
  return chooseVictim(batch);
}
