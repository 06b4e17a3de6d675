// How far one sequence guesses ahead, from its own text or with a smaller model. A guess costs rows of a step and saves steps as far as it is right: what pays is
// measured, and where it does not, guessing rests and is tried again later. Pure but for its own memory.

export interface StepCosts {
  /** What a token costs without guessing: a step's time over those who decode in it. */
  tokenMs: number;
  /** What one more row in a step costs, and the guess of it. */
  rowMs: number;
}

/** Tokens of the first guess, which is the shortest, and of the longest. */
export interface GuessLengths {
  lengthMin: number;
  lengthMax: number;
}

/** Of guesses from a sequence's own text: shorter ones are not worth a look (see native/shim/draft.cpp). */
const LOOKUP_LENGTHS: GuessLengths = { lengthMin: 6, lengthMax: 24 };
/** Share of a guess that is assumed right before anything is measured. */
const RATE_AT_FIRST = 0.7;
/** Weight of the latest guess. */
const WEIGHT = 0.3;
/** Tokens without a guess after guessing did not pay; twice as many each time that it still does not. */
const REST_TOKENS_MIN = 64;
const REST_TOKENS_MAX = 1024;
/** After a rest one more guess is tried: it is assumed to be right somewhat more often than it has to be. */
const TRIAL_MARGIN = 1.2;

export class Speculation {
  readonly #lengths: GuessLengths;
  #rate: number;
  #isNew = true;
  #length: number;
  #rest = REST_TOKENS_MIN;
  #restUntil = 0;

  /** rate: how much of a guess was right for others like this one. */
  constructor(lengths: GuessLengths = LOOKUP_LENGTHS, rate = RATE_AT_FIRST) {
    this.#lengths = lengths;
    this.#rate = rate;
    this.#length = lengths.lengthMin;
  }

  /** The share of guesses that is right, as far as is known. */
  get rate(): number {
    return this.#rate;
  }

  /** It does without a guess for now. */
  rests(sequenceLength: number): boolean {
    return sequenceLength < this.#restUntil;
  }

  /** Most tokens to guess now, for a sequence that had so many tokens in all; 0 = none. */
  limit(sequenceLength: number, costs: StepCosts): number {
    if (this.rests(sequenceLength)) return 0;
    const rateToPay = costs.rowMs / costs.tokenMs;
    // Whatever others were like, one guess is tried.
    if (this.#isNew) this.#rate = Math.max(this.#rate, trialRate(rateToPay));
    this.#isNew = false;
    if (this.#rate > rateToPay) return this.#length;
    this.#restUntil = sequenceLength + this.#rest;
    this.#rest = Math.min(2 * this.#rest, REST_TOKENS_MAX);
    this.#rate = trialRate(rateToPay);
    this.#length = this.#lengths.lengthMin;
    return 0;
  }

  /** A guess of `drafted` tokens was right for the first `accepted`. */
  note(drafted: number, accepted: number): void {
    this.#rate += WEIGHT * (accepted / drafted - this.#rate);
    const { lengthMin, lengthMax } = this.#lengths;
    // A guess may have ended early because it was unsure, so being right throughout never shortens the next one.
    const next = accepted === drafted ? Math.max(this.#length, 2 * drafted) : accepted;
    this.#length = Math.min(Math.max(next, lengthMin), lengthMax);
    if (2 * accepted >= drafted) this.#rest = REST_TOKENS_MIN;
  }

  /** Nothing was likely enough to guess: that cost about one token of a guess. */
  noteNothing(): void {
    this.#rate -= (WEIGHT / this.#length) * this.#rate;
  }
}

function trialRate(rateToPay: number): number {
  return Math.min(RATE_AT_FIRST, TRIAL_MARGIN * rateToPay);
}
