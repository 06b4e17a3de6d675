// Domain → Anthropic's messages, in one piece. Pure: no clock, no randomness, no HTTP. Streams are in stream.ts, which
// shares what is here.

import type { GenerationEvent } from "../../protocol/generation.ts";
import { countCached, encodeMlo } from "../cache-report.ts";
import type { Ending } from "../ending.ts";
import type { Answer } from "../generate.ts";
import type { BlockReply, DeltaUsage, MessageReply, StopReason, UsageReply } from "./reply-schema.ts";
import type { CacheLifetime } from "./retention.ts";

/** What the request said that its answer hangs on. */
export interface MessageTerms {
  /** Unique part of the message's id, and of those of its calls. */
  id: string;
  model: string;
  stopSequences: readonly string[];
  maxTokens: number;
  /** `omitted`: there are blocks, without their text. */
  thinking: "shown" | "omitted" | "none";
  /** Prompt tokens that were computed count as written to the cache for so long; null: they count as input. */
  cacheLifetime: CacheLifetime | null;
}

/** Clients send it back with the block, and some want one that is not empty. Thoughts of local models need no proof. */
export const SIGNATURE = "ml-offload";

export function encodeMessage(terms: MessageTerms, answer: Answer, total: Ending): MessageReply {
  const content: BlockReply[] = [];
  if (terms.thinking !== "none" && answer.reasoning !== "") {
    const thinking = terms.thinking === "shown" ? answer.reasoning : "";
    content.push({ type: "thinking", thinking, signature: SIGNATURE });
  }
  if (answer.text !== "") content.push({ type: "text", text: answer.text });
  // Gaps in the indexes would be holes in the array.
  answer.toolCalls.forEach(({ id, name, arguments: text }, index) => {
    content.push({ type: "tool_use", id: chooseCallId(terms, id, index), name, input: parseInput(text) });
  });
  return {
    ...encodeHead(terms, content),
    ...chooseStop(terms, answer),
    usage: encodeUsage(terms, total),
    mlo: encodeMlo(total),
  };
}

/** A message without an end. */
export function encodeHead(terms: MessageTerms, content: BlockReply[]): Omit<MessageReply, "usage" | "mlo"> {
  return {
    id: `msg_${terms.id}`,
    type: "message",
    role: "assistant",
    model: terms.model,
    content,
    stop_reason: null,
    stop_sequence: null,
  };
}

type Stopped = Pick<Extract<GenerationEvent, { type: "done" }>, "finishReason" | "stopString" | "usage">;

export function chooseStop(
  { stopSequences, maxTokens }: MessageTerms,
  { finishReason, stopString, usage }: Stopped,
): { stop_reason: StopReason; stop_sequence: string | null } {
  // The model's own format has stop strings too, which the client does not know. A call that one has cut is no call.
  if (stopString !== undefined && stopSequences.includes(stopString)) {
    return { stop_reason: "stop_sequence", stop_sequence: stopString };
  }
  const reasons = {
    stop: "end_turn",
    tool_calls: "tool_use",
    length: usage.completionTokens >= maxTokens ? "max_tokens" : "model_context_window_exceeded",
  } as const;
  return { stop_reason: reasons[finishReason], stop_sequence: null };
}

/** The three kinds of input tokens add up to the prompt's. */
export function encodeCounts(
  { cacheLifetime }: MessageTerms,
  { usage, cache }: Pick<Ending, "usage" | "cache">,
): DeltaUsage {
  const cached = countCached(cache);
  const computed = usage.promptTokens - cached;
  return {
    input_tokens: cacheLifetime === null ? computed : 0,
    cache_creation_input_tokens: cacheLifetime === null ? 0 : computed,
    cache_read_input_tokens: cached,
    output_tokens: usage.completionTokens,
  };
}

export function encodeUsage(terms: MessageTerms, ending: Pick<Ending, "usage" | "cache">): UsageReply {
  const counts = encodeCounts(terms, ending);
  const written = counts.cache_creation_input_tokens;
  return {
    ...counts,
    cache_creation: {
      ephemeral_5m_input_tokens: terms.cacheLifetime === "5m" ? written : 0,
      ephemeral_1h_input_tokens: terms.cacheLifetime === "1h" ? written : 0,
    },
    service_tier: "standard",
  };
}

/** Anthropic's clients refuse ids of other characters, and formats of models have all kinds. */
export function chooseCallId(terms: MessageTerms, own: string | null | undefined, index: number): string {
  return own && /^[\w-]{1,64}$/.test(own) ? own : `toolu_${terms.id}_${index}`;
}

/** An answer that was cut within its arguments has none that can be read: its stop reason says so. */
function parseInput(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return {};
    throw thrown;
  }
}
