// Log probabilities of tokens → the shapes of OpenAI's completions and chats. Pure.

import type { TokenScore } from "../../protocol/generation.ts";
import type { ChatLogprobsReply, LogprobsReply } from "./reply-schema.ts";

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

/** Null where none were asked for. */
export function encodeChatLogprobs(scores: readonly TokenScore[], isAsked: boolean): ChatLogprobsReply | null {
  if (!isAsked) return null;
  const content = scores.map(({ text, logprob, top }) => ({
    ...describe(text, logprob ?? 0),
    top_logprobs: top.map(([name, value]) => describe(name, value)),
  }));
  return { content, refusal: null };
}

const PART_OF_CHARACTER = "bytes:";

function describe(token: string, logprob: number): { token: string; logprob: number; bytes: number[] } {
  const hex = token.startsWith(PART_OF_CHARACTER) ? token.slice(PART_OF_CHARACTER.length) : "";
  const isPart = /^(\\x[0-9a-f]{2})+$/.test(hex);
  const bytes = isPart ? Buffer.from(hex.replaceAll("\\x", ""), "hex") : Buffer.from(token);
  return { token, logprob, bytes: [...bytes] };
}
