// What of a full context stays when an answer may go on beyond it: some of its beginning, and the latter half of the
// rest. What stays is read anew where positions changed, so no cell is ever moved, and shared ones are left alone. Pure.

/** Of the context, so much at most is its beginning: else there would be a shift every few tokens. */
const HEAD_SHARE = 0.5;

/** In less, nothing would stay behind the beginning, and the token that was just made would have to go. */
export const SHIFTING_CONTEXT_MIN = 3;

/** An answer that nobody limits ends after so many contexts: a model that repeats itself would go on for ever. */
const CONTEXTS_MAX = 64;

export interface Shift {
  /** Leading tokens that stay where they are: one at least, which models lean on. */
  head: number;
  /** Tokens behind them that go. */
  dropped: number;
}

/**
 * In a context of `SHIFTING_CONTEXT_MIN` the newest token stays, since the next one is made from its row. `keep`: how
 * many leading tokens are wanted; negative = the prompt's.
 */
export function planShift(length: number, keep: number, promptLength: number, contextLength: number): Shift {
  const wanted = Math.max(1, keep < 0 ? promptLength : keep);
  const head = Math.min(wanted, Math.max(1, Math.floor(HEAD_SHARE * contextLength)), length - 1);
  return { head, dropped: Math.ceil((length - head) / 2) };
}

/** Most tokens of an answer that may shift. */
export function limitShifted(maxTokens: number | undefined, contextLength: number): number {
  return maxTokens ?? CONTEXTS_MAX * contextLength;
}
