// What guessing with a smaller model needs from the machine. Its slots hold tokens, not sequences: they are shown what a
// sequence consists of now, so nobody has to tell them of forks, cuts and restores.

export interface DraftPart {
  slot: number;
  /** Most tokens to guess. */
  limit: number;
}

export interface Drafter extends Disposable {
  /** How many sequences it can hold at once. */
  readonly slots: number;
  /** Most rows of one of its steps. */
  readonly batchSize: number;
  /** Longest sequence that it can guess for, the guess included. */
  readonly lengthMax: number;
  /** Longest guess. */
  readonly tokensMax: number;
  /**
   * Shows a slot all tokens of a sequence and reads at most `rows` of them. Returns how many are left to run before a
   * guess, the last one included: 1 is up to date.
   */
  show(slot: number, tokens: Int32Array, rows: number): number;
  /** Guesses what follows the tokens that these different slots were shown last, each once. Empty: nothing is likely. */
  guess(parts: readonly DraftPart[]): Int32Array[];
}
