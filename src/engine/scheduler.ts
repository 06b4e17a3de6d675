// Decides how many tokens of which sequence the next step runs. Pure: facts in, a plan out.
// Policy: decode rows always ride; what is left of the batch goes to prompts in order of arrival.

export interface Runnable {
  id: number;
  /** Tokens whose KV is missing. 1 for a sequence that decodes. */
  missing: number;
  /** Order of arrival. */
  arrival: number;
}

export interface Budget {
  /** Rows of one batch. */
  batchSize: number;
  /** Free KV cells. */
  freeCells: number;
}

/** `fits`: rows per sequence. `full`: not even the decode rows have cells; somebody has to leave. */
export type Plan = { kind: "fits"; rows: { id: number; count: number }[] } | { kind: "full" };

export function plan(running: readonly Runnable[], budget: Budget): Plan {
  const inOrder = [...running].sort((a, b) => a.arrival - b.arrival);
  const decoding = inOrder.filter((sequence) => sequence.missing === 1);
  if (decoding.length > budget.freeCells) return { kind: "full" };

  const rows = decoding.slice(0, budget.batchSize).map(({ id }) => ({ id, count: 1 }));
  let left = Math.min(budget.batchSize, budget.freeCells) - rows.length;
  for (const { id, missing } of inOrder) {
    if (missing === 1) continue;
    const count = Math.min(missing, left);
    if (count <= 0) break;
    rows.push({ id, count });
    left -= count;
  }
  if (rows.length === 0 && inOrder.length > 0) return { kind: "full" };
  return { kind: "fits", rows };
}

/** Cells that every running sequence should find free after an admission, so that it is not undone at once. */
const HEADROOM_CELLS = 16;

/** May a sequence of this many tokens start beside those that run? Alone it always may: its length was checked. */
export function admits(tokens: number, runningCount: number, freeCells: number): boolean {
  if (runningCount === 0) return tokens <= freeCells;
  return tokens + HEADROOM_CELLS * (runningCount + 1) <= freeCells;
}

export interface Candidate {
  id: number;
  arrival: number;
  paused: boolean;
}

/** Who leaves when the cells run out: a paused sequence before others, then the latest arrival. */
export function chooseVictim(running: readonly Candidate[]): number | null {
  const worst = [...running].sort((a, b) => Number(b.paused) - Number(a.paused) || b.arrival - a.arrival)[0];
  return worst === undefined ? null : worst.id;
}
