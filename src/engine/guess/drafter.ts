// What guessing with a smaller model, or with a model's own prediction layers, needs from the machine. Its slots hold
// tokens, not sequences: they are shown what a sequence consists of now, so nobody has to tell them of forks, cuts and
// restores.

export interface DraftPart {
  slot: number;
  /** Most tokens to guess. */
  limit: number;
}

/** Rows of a sequence in the step that has just run. */
export interface StepRows {
  /** Position of the first one. */
  start: number;
  tokens: Int32Array;
  /** How many of them are the sequence's own; those after them are a guess. */
  certain: number;
  /** Place of the first one in the batch. */
  row: number;
}

/** Whoever guesses from what the model itself computed can see only rows of steps that it watched. */
export interface RowTaker {
  watch(on: boolean): void;
  /** before: the sequence's tokens; the first `start` of them are those before the rows. */
  take(slot: number, before: Int32Array, rows: StepRows): void;
}

export interface Drafter extends Disposable {
  /** What a warning calls it. */
  readonly name: string;
  /** Null: it reads tokens by itself. */
  readonly rows: RowTaker | null;
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
   * guess, the last one included: 1 is up to date, and infinitely many that rows are missing which it can't read itself.
   */
  show(slot: number, tokens: Int32Array, rows: number): number;
  /** Guesses what follows the tokens that these different slots were shown last, each once. Empty: nothing is likely. */
  guess(parts: readonly DraftPart[]): Int32Array[];
}
