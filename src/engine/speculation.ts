// How far one sequence guesses ahead. A guess costs rows of a step and saves steps as far as it is right: what pays is
// measured, and where it does not, guessing rests and is tried again later. Pure but for its own memory.

export interface StepCosts {
  /** What a token costs without guessing: a step's time over those who decode in it. */
  tokenMs: number;
  /** What one more row in a step costs. */
  rowMs: number;
}

/** The first guess, and the least: shorter ones are not worth a look (see native/shim/draft.cpp). */
const LENGTH_MIN = 6;
const LENGTH_MAX = 24;
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
  #rate = RATE_AT_FIRST;
  #length = LENGTH_MIN;
  #rest = REST_TOKENS_MIN;
  #restUntil = 0;

  /** Most tokens to guess now, for a sequence of this length; 0 = none. */
  limit(sequenceLength: number, costs: StepCosts): number {
    if (sequenceLength < this.#restUntil) return 0;
    const rateToPay = costs.rowMs / costs.tokenMs;
    if (this.#rate > rateToPay) return this.#length;
    this.#restUntil = sequenceLength + this.#rest;
    this.#rest = Math.min(2 * this.#rest, REST_TOKENS_MAX);
    this.#rate = Math.min(RATE_AT_FIRST, TRIAL_MARGIN * rateToPay);
    this.#length = LENGTH_MIN;
    return 0;
  }

  /** A guess of `drafted` tokens was right for the first `accepted`. */
  note(drafted: number, accepted: number): void {
    this.#rate += WEIGHT * (accepted / drafted - this.#rate);
    this.#length = accepted === drafted ? Math.min(2 * drafted, LENGTH_MAX) : Math.max(LENGTH_MIN, accepted);
    if (2 * accepted >= drafted) this.#rest = REST_TOKENS_MIN;
  }
}
