// Where the reading of a prompt stops for a checkpoint, in models whose state is that of its end alone. Pure. Each stop
// costs a step that is cut short and a copy of the state, so there are few.

export interface PromptFacts {
  /** Tokens of the prompt, and those of them that are there already. */
  promptLength: number;
  computed: number;
  /** Leading tokens that are system text and tools; 0 where that is not known. */
  preambleLength: number;
  /** Where the last messages begin; see PreparedPrompt. */
  turns: readonly number[];
  /** Leading tokens with which another prompt begins too, as far as anybody remembers. */
  sharedLength: number;
}

/** Reading fewer tokens anew costs less than the copy. */
export const STOP_TOKENS_MIN = 16;

/**
 * In order of the prompt. Of places that lie close together the one that more can be gone on from: the end of the system
 * text, where the next turn of the conversation leaves this prompt, where another prompt left it, the turn before.
 */
export function chooseStops(facts: PromptFacts): number[] {
  const { promptLength, computed, preambleLength, turns, sharedLength } = facts;
  // The last token is always computed: its row gives the first token of the answer.
  const end = promptLength - 1;
  const wanted = [preambleLength, turns.at(-1) ?? end, sharedLength, ...turns.slice(0, -1)];
  const stops: number[] = [];
  for (const at of wanted) {
    const isFar = [0, computed, ...stops].every((other) => Math.abs(at - other) >= STOP_TOKENS_MIN);
    if (at > computed && at <= end && isFar) stops.push(at);
  }
  return stops.sort((a, b) => a - b);
}
