// How long this model takes on this machine, measured step by step, and how much prompt may ride beside streams so that
// their gap stays within the limit. Moving averages: attention grows with the context, and clocks change.

export interface StepFacts {
  promptRows: number;
  decodeRows: number;
  ms: number;
}

/** The largest chunk that may ride although the gap's limit is passed: larger ones gain the kernels nothing. */
const CHUNK_ROWS = 64;
/** The least chunk, however strict the limit: prompts must get on. */
const CHUNK_ROWS_MIN = 8;
/** A step costs this much less than its rows, at least: what it costs by itself (the weights are read) hardly counts. */
const STEP_SHARE = 10;
/** Kernels compute rows in vectors of this many: the last one should be full. */
const ROWS_OF_VECTOR = 16;
/** Without a limit of the user's, gaps up to this are free: nobody reads faster. */
const GAP_MS_UNNOTICED = 40;
/** Weight of the latest step. */
const WEIGHT = 0.2;
/** Steps with less prompt say little about the cost of a row. */
const ROWS_MEASURED_MIN = 8;

export class Rates {
  #decodeMs: number | null = null;
  #rowMs: number | null = null;

  record({ promptRows, decodeRows, ms }: StepFacts): void {
    if (promptRows === 0) {
      if (decodeRows > 0) this.#decodeMs = blend(this.#decodeMs, ms);
    } else if (promptRows >= ROWS_MEASURED_MIN) {
      const decodeMs = decodeRows > 0 ? (this.#decodeMs ?? 0) : 0;
      this.#rowMs = blend(this.#rowMs, Math.max(0, ms - decodeMs) / promptRows);
    }
  }

  get measured(): { stepMs: number; promptRowMs: number } | null {
    if (this.#rowMs === null || this.#decodeMs === null) return null;
    return { stepMs: this.#decodeMs, promptRowMs: this.#rowMs };
  }

  /** Rows of prompt for a step in which others decode so many rows. `itlMsMax` 0: as few as the kernels like. */
  promptRows(itlMsMax: number, decodeRows: number): number {
    if (this.#rowMs === null || this.#rowMs === 0) return CHUNK_ROWS;
    const decodeMs = this.#decodeMs ?? 0;
    const gapMs = itlMsMax > 0 ? itlMsMax : GAP_MS_UNNOTICED;
    const fitting = Math.floor((gapMs - decodeMs) / this.#rowMs);
    if (itlMsMax > 0) return Math.max(fitting, CHUNK_ROWS_MIN);
    const efficient = Math.min(CHUNK_ROWS, Math.ceil((STEP_SHARE * decodeMs) / this.#rowMs));
    return Math.max(fitting, fillVectors(efficient + decodeRows) - decodeRows);
  }
}

function fillVectors(rows: number): number {
  return ROWS_OF_VECTOR * Math.max(1, Math.ceil(rows / ROWS_OF_VECTOR));
}

function blend(average: number | null, value: number): number {
  return average === null ? value : average + WEIGHT * (value - average);
}
