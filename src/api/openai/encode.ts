// Domain → OpenAI's JSON. Pure: no clock, no randomness, no HTTP. Streams remember only what a chunk needs.

import { assert } from "../../lib/assert.ts";
import type { GenerationEvent, TokenScore } from "../../protocol/generation.ts";
import type { ModelCard } from "../../router/inference.ts";
import { countCached, encodeMlo } from "../cache-report.ts";
import type { Ending } from "../ending.ts";
import type { Answer } from "../generate.ts";
import type { StreamEncoder } from "../sse.ts";
import { describeTrouble } from "../trouble.ts";
import { SYSTEM_FINGERPRINT } from "../version.ts";
import { CallEncoder, encodeCalls } from "./encode-calls.ts";
import { encodeChatLogprobs, encodeLogprobs } from "./encode-logprobs.ts";
import type {
  ChatChunk,
  ChatDelta,
  ChatReply,
  CompletionReply,
  ModelReply,
  TimingsReply,
  UsageReply,
} from "./reply-schema.ts";

/** What every message of one answer repeats. */
export interface AnswerHead {
  id: string;
  /** Seconds since the epoch. */
  created: number;
  model: string;
}

type FinishReason = ChatReply["choices"][number]["finish_reason"];

function encodeUsage({ usage, cache }: Ending): UsageReply {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: countCached(cache) },
  };
}

function encodeTimings({ usage, cache, timings }: Ending): TimingsReply {
  const cached = countCached(cache);
  const computed = usage.promptTokens - cached;
  return {
    queued_ms: timings.queuedMs,
    cache_n: cached,
    prompt_n: computed,
    prompt_ms: timings.promptMs,
    prompt_per_token_ms: divide(timings.promptMs, computed),
    prompt_per_second: divide(computed * 1000, timings.promptMs),
    predicted_n: usage.completionTokens,
    predicted_ms: timings.decodeMs,
    predicted_per_token_ms: divide(timings.decodeMs, usage.completionTokens),
    predicted_per_second: divide(usage.completionTokens * 1000, timings.decodeMs),
  };
}

/** That of a chat. */
export interface ChatHead extends AnswerHead {
  /** Names of tools whose calls are texts. */
  customTools: ReadonlySet<string>;
}

export function encodeChat(head: ChatHead, answers: readonly Answer[], total: Ending, scored = false): ChatReply {
  return {
    id: head.id,
    object: "chat.completion",
    created: head.created,
    model: head.model,
    system_fingerprint: SYSTEM_FINGERPRINT,
    choices: answers.map((answer, index) => encodeChatChoice(head, answer, index, scored)),
    usage: encodeUsage(total),
    timings: encodeTimings(total),
    mlo: encodeMlo(total),
  };
}

function encodeChatChoice(
  head: ChatHead,
  answer: Answer,
  choice: number,
  scored: boolean,
): ChatReply["choices"][number] {
  const calls = encodeCalls(answer.toolCalls, head, choice);
  return {
    index: choice,
    message: {
      role: "assistant",
      content: answer.text === "" && calls.length > 0 ? null : answer.text,
      refusal: null,
      ...(answer.reasoning === "" ? {} : { reasoning_content: answer.reasoning }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    },
    logprobs: encodeChatLogprobs(answer.scores, scored),
    finish_reason: answer.finishReason,
  };
}

function encodeProgress({ total, cached, processed, elapsedMs }: Extract<GenerationEvent, { type: "progress" }>) {
  return { prompt_progress: { total, cache: cached, processed, time_ms: elapsedMs } };
}

export function createChatStream(head: ChatHead, choices: number, includeUsage: boolean): StreamEncoder {
  const callEncoders = Array.from({ length: choices }, (_, choice) => new CallEncoder(head, choice));
  const chunk = (
    choice: number,
    delta: ChatDelta,
    finishReason: FinishReason | null = null,
    scores: readonly TokenScore[] = [],
  ): ChatChunk => ({
    ...chunkHead(head),
    choices: [
      { index: choice, delta, logprobs: encodeChatLogprobs(scores, scores.length > 0), finish_reason: finishReason },
    ],
    ...(includeUsage ? { usage: null } : {}),
  });
  return {
    open: () => callEncoders.map((_, choice) => chunk(choice, { role: "assistant", content: "" })),
    encode(choice, event, total) {
      if (event.type === "started") return [];
      if (event.type === "progress") return [{ ...chunk(choice, {}), ...encodeProgress(event) }];
      const calls = callEncoders[choice];
      assert(calls !== undefined, "events belong to a choice of the stream");
      if (event.type === "delta") {
        const delta = encodeChatDelta(event, calls);
        const { scores = [] } = event;
        return Object.keys(delta).length === 0 && scores.length === 0 ? [] : [chunk(choice, delta, null, scores)];
      }
      const left = calls.finish();
      const last = left.length === 0 ? [] : [chunk(choice, { tool_calls: left })];
      const closing = chunk(choice, {}, event.finishReason);
      if (total === null) return [...last, closing];
      const mlo = encodeMlo(total);
      if (!includeUsage) return [...last, { ...closing, mlo }];
      return [
        ...last,
        closing,
        { ...chunkHead(head), choices: [], usage: encodeUsage(total), mlo } satisfies ChatChunk,
      ];
    },
  };
}

/** `scored`: log probabilities were asked for, so their lists are there, be they empty. */
export function encodeCompletion(
  head: AnswerHead,
  answers: readonly Answer[],
  total: Ending,
  scored = false,
): CompletionReply {
  return {
    ...encodeCompletionChoices(
      head,
      answers.map(({ text, finishReason, scores }, index) => ({ index, text, finishReason, scores })),
      scored,
    ),
    usage: encodeUsage(total),
    timings: encodeTimings(total),
    mlo: encodeMlo(total),
  };
}

export function createCompletionStream(head: AnswerHead, includeUsage: boolean): StreamEncoder {
  const chunk = (choice: CompletionPiece): CompletionReply => ({
    ...encodeCompletionChoices(head, [choice]),
    ...(includeUsage ? { usage: null } : {}),
  });
  return {
    open: () => [],
    encode(index, event, total) {
      if (event.type === "started") return [];
      if (event.type === "progress") {
        return [{ ...chunk({ index, text: "", scores: [], finishReason: null }), ...encodeProgress(event) }];
      }
      if (event.type === "delta") {
        const { text = "", scores = [] } = event;
        return text === "" && scores.length === 0 ? [] : [chunk({ index, text, scores, finishReason: null })];
      }
      const closing = chunk({ index, text: "", scores: [], finishReason: event.finishReason });
      if (total === null) return [closing];
      const mlo = encodeMlo(total);
      if (!includeUsage) return [{ ...closing, mlo }];
      return [closing, { ...encodeCompletionChoices(head, []), usage: encodeUsage(total), mlo }];
    },
  };
}

/** `isLocal`: the client may know where files lie. */
export function encodeModel(card: ModelCard, isLocal: boolean): ModelReply {
  return {
    id: card.id,
    object: "model",
    created: card.created,
    owned_by: card.demo ? "demo" : "ml-offload",
    aliases: card.aliases,
    display_name: card.displayName,
    context_length: card.contextLength,
    max_model_len: card.contextLength,
    trained_context_length: card.trainedContextLength,
    quantization: card.quantization,
    parameter_count: card.parameterCount,
    size_bytes: card.sizeBytes,
    architecture: card.architecture,
    capabilities: card.capabilities,
    embedding: encodeEmbeddingInfo(card),
    companions: card.companions.map(({ kind, name, sizeBytes }) => ({ kind, name, size_bytes: sizeBytes })),
    conversion: card.conversion,
    state: card.state,
    loaded: card.state === "loaded",
    error: describeTrouble(card, isLocal),
    default: card.isDefault,
    demo: card.demo,
    ...(card.demo ? { note: DEMO_NOTE } : {}),
  };
}

const DEMO_NOTE =
  "This is the tiny built-in demo model: it shows that the server works and is good for nothing else. " +
  "For a real one: `ml-offload serve --model FILE.gguf` or `ml-offload serve --models-dir DIR`.";

function encodeEmbeddingInfo(card: ModelCard): ModelReply["embedding"] {
  if (card.embeddingPooling === null) return null;
  const own = card.ownPooling === null ? "default" : "model";
  return { pooling: card.embeddingPooling, source: card.poolingIsSet ? "setting" : own };
}

function encodeChatDelta(event: Extract<GenerationEvent, { type: "delta" }>, calls: CallEncoder): ChatDelta {
  const delta: ChatDelta = {};
  if (event.reasoning !== undefined && event.reasoning !== "") delta.reasoning_content = event.reasoning;
  if (event.text !== undefined && event.text !== "") delta.content = event.text;
  const pieces = (event.toolCalls ?? []).flatMap((call) => calls.encode(call));
  if (pieces.length > 0) delta.tool_calls = pieces;
  return delta;
}

function chunkHead(head: AnswerHead) {
  return {
    id: head.id,
    object: "chat.completion.chunk" as const,
    created: head.created,
    model: head.model,
    system_fingerprint: SYSTEM_FINGERPRINT,
  };
}

interface CompletionPiece {
  index: number;
  text: string;
  scores: readonly TokenScore[];
  finishReason: FinishReason | null;
}

function encodeCompletionChoices(head: AnswerHead, choices: CompletionPiece[], scored = false): CompletionReply {
  return {
    id: head.id,
    object: "text_completion",
    created: head.created,
    model: head.model,
    system_fingerprint: SYSTEM_FINGERPRINT,
    choices: choices.map(({ index, text, finishReason, scores }) => ({
      index,
      text,
      logprobs: scores.length === 0 && !scored ? null : encodeLogprobs(scores),
      finish_reason: finishReason,
    })),
  };
}

function divide(amount: number, by: number): number | null {
  return by > 0 ? amount / by : null;
}
