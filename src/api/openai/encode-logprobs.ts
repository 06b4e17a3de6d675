// Log probabilities of tokens → the shape of OpenAI's completions. Pure.

import type { TokenScore } from "../../protocol/generation.ts";
import type { LogprobsReply } from "./reply-schema.ts";

/** Four lists of the same length, a token each. */
export function encodeLogprobs(scores: readonly TokenScore[]): LogprobsReply {
  return {
    tokens: scores.map(({ text }) => text),
    token_logprobs: scores.map(({ logprob }) => logprob),
    top_logprobs: scores.map(encodeTop),
    text_offset: scores.map(({ offset }) => offset),
  };
}

/** Null for the first token of a prompt, like its own. Of two tokens with one text the likelier one is listed. */
function encodeTop({ text, logprob, top }: TokenScore): Record<string, number> | null {
  if (logprob === null) return null;
  const listed = new Map<string, number>();
  // As OpenAI has it, the token itself is always in the list.
  for (const [name, value] of [...top, [text, logprob] as const]) {
    if (!listed.has(name)) listed.set(name, value);
  }
  return Object.fromEntries(listed);
}
