// How many prompts may be complete with one step while others wait for a place. Answers of one length that begin
// together end together: then prompts run in steps of their own and the tokens of all answers in others, and each costs
// what a step costs by itself. Spread over the steps, prompts ride with the answers' tokens. Pure, but for an average.

/** Weight of the answer that ended last: work changes, and a few answers tell what it is now. */
const WEIGHT = 0.2;

export class PromptSpread {
  /** Tokens of an answer, as a moving average; null: none has ended. */
  #answerTokens: number | null = null;

  /** An answer of so many tokens has ended, or whoever wanted it has left. */
  note(answerTokens: number): void {
    // A step gives each stream one token; one without a token had its prompt's step.
    const tokens = Math.max(1, answerTokens);
    this.#answerTokens =
      this.#answerTokens === null ? tokens : this.#answerTokens + WEIGHT * (tokens - this.#answerTokens);
  }

  /** As many as places are free again with each step, on average. Infinite: nobody waits, or nothing is known. */
  promptsPerStep(running: number, waiting: number): number {
    if (waiting === 0 || this.#answerTokens === null) return Number.POSITIVE_INFINITY;
    return Math.max(1, Math.ceil(running / this.#answerTokens));
  }
}
