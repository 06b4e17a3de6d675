// Domain → OpenAI's JSON. Pure: no clock, no randomness, no HTTP. Streams remember only what a chunk needs.

import type { CacheReport, EmbeddingResult, GenerationEvent, Timings, Usage } from "../../protocol/generation.ts";
import type { ModelCard } from "../../router/inference.ts";
import { countCached, encodeCache, type MloReply } from "../cache-report.ts";
import type { Answer } from "../generate.ts";
import type { StreamEncoder } from "../sse.ts";
import { SYSTEM_FINGERPRINT } from "../version.ts";
import type {
  ChatChunk,
  ChatDelta,
  ChatReply,
  CompletionReply,
  EmbeddingReply,
  ModelReply,
  TimingsReply,
  ToolCallChunk,
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

/** What an answer says of itself at its end. */
type Ending = { usage: Usage; cache: CacheReport };

export function encodeUsage({ usage, cache }: Ending): UsageReply {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: countCached(cache) },
  };
}

function encodeMlo({ usage, cache }: Ending): MloReply {
  return { cache: encodeCache(cache, usage.promptTokens) };
}

export function encodeTimings({ usage, cache, timings }: Ending & { timings: Timings }): TimingsReply {
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

export function encodeChat(head: AnswerHead, answer: Answer): ChatReply {
  // Gaps in the indexes would be holes in the array.
  const calls = answer.toolCalls.flatMap((call, index) => [
    {
      id: call.id ?? makeCallId(head, index),
      type: "function" as const,
      function: { name: call.name, arguments: call.arguments },
    },
  ]);
  return {
    id: head.id,
    object: "chat.completion",
    created: head.created,
    model: head.model,
    system_fingerprint: SYSTEM_FINGERPRINT,
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: answer.text === "" && calls.length > 0 ? null : answer.text,
          refusal: null,
          ...(answer.reasoning === "" ? {} : { reasoning_content: answer.reasoning }),
          ...(calls.length === 0 ? {} : { tool_calls: calls }),
        },
        logprobs: null,
        finish_reason: answer.finishReason,
      },
    ],
    usage: encodeUsage(answer),
    timings: encodeTimings(answer),
    mlo: encodeMlo(answer),
  };
}

export function createChatStream(head: AnswerHead, includeUsage: boolean): StreamEncoder {
  const namedCalls = new Set<number>();
  const chunk = (delta: ChatDelta, finishReason: FinishReason | null = null): ChatChunk => ({
    ...chunkHead(head),
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
    ...(includeUsage ? { usage: null } : {}),
  });
  return {
    open: () => [chunk({ role: "assistant", content: "" })],
    encode(event) {
      if (event.type === "started") return [];
      if (event.type === "delta") {
        const delta = encodeChatDelta(head, event, namedCalls);
        return Object.keys(delta).length === 0 ? [] : [chunk(delta)];
      }
      const closing = chunk({}, event.finishReason);
      const mlo = encodeMlo(event);
      if (!includeUsage) return [{ ...closing, mlo }];
      return [closing, { ...chunkHead(head), choices: [], usage: encodeUsage(event), mlo } satisfies ChatChunk];
    },
  };
}

export function encodeCompletion(head: AnswerHead, answer: Answer): CompletionReply {
  return {
    ...encodeCompletionText(head, answer.text, answer.finishReason),
    usage: encodeUsage(answer),
    timings: encodeTimings(answer),
    mlo: encodeMlo(answer),
  };
}

export function createCompletionStream(head: AnswerHead, includeUsage: boolean): StreamEncoder {
  const chunk = (text: string, finishReason: FinishReason | null): CompletionReply => ({
    ...encodeCompletionText(head, text, finishReason),
    ...(includeUsage ? { usage: null } : {}),
  });
  return {
    open: () => [],
    encode(event) {
      if (event.type === "started") return [];
      if (event.type === "delta") return event.text === undefined || event.text === "" ? [] : [chunk(event.text, null)];
      const closing = chunk("", event.finishReason);
      const mlo = encodeMlo(event);
      if (!includeUsage) return [{ ...closing, mlo }];
      const last = { ...encodeCompletionText(head, "", null), choices: [], usage: encodeUsage(event), mlo };
      return [closing, last satisfies CompletionReply];
    },
  };
}

export function encodeEmbeddings(model: string, result: EmbeddingResult, format: "float" | "base64"): EmbeddingReply {
  return {
    object: "list",
    model,
    data: result.vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: format === "base64" ? encodeBase64(vector) : Array.from(vector),
    })),
    usage: { prompt_tokens: result.promptTokens, total_tokens: result.promptTokens },
  };
}

export function encodeModel(card: ModelCard): ModelReply {
  return {
    id: card.id,
    object: "model",
    created: card.created,
    owned_by: card.demo ? "demo" : "ml-offload",
    aliases: card.aliases,
    context_length: card.contextLength,
    max_model_len: card.contextLength,
    trained_context_length: card.trainedContextLength,
    quantization: card.quantization,
    parameter_count: card.parameterCount,
    size_bytes: card.sizeBytes,
    architecture: card.architecture,
    capabilities: card.capabilities,
    embedding: encodeEmbeddingInfo(card),
    state: card.state,
    loaded: card.state === "loaded",
    error: card.error,
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
  return { pooling: card.embeddingPooling, source: card.ownPooling === null ? "default" : "model" };
}

function encodeChatDelta(
  head: AnswerHead,
  event: Extract<GenerationEvent, { type: "delta" }>,
  namedCalls: Set<number>,
): ChatDelta {
  const delta: ChatDelta = {};
  if (event.reasoning !== undefined && event.reasoning !== "") delta.reasoning_content = event.reasoning;
  if (event.text !== undefined && event.text !== "") delta.content = event.text;
  if (event.toolCalls !== undefined && event.toolCalls.length > 0) {
    delta.tool_calls = event.toolCalls.map((call): ToolCallChunk => {
      if (namedCalls.has(call.index)) {
        const name = call.name === undefined ? {} : { name: call.name };
        const text = call.arguments === undefined ? {} : { arguments: call.arguments };
        return { index: call.index, function: { ...name, ...text } };
      }
      // The first piece of a call carries its id and name, even if the model's format has no ids.
      namedCalls.add(call.index);
      return {
        index: call.index,
        id: call.id ?? makeCallId(head, call.index),
        type: "function",
        function: { name: call.name ?? "", arguments: call.arguments ?? "" },
      };
    });
  }
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

function encodeCompletionText(head: AnswerHead, text: string, finishReason: FinishReason | null): CompletionReply {
  return {
    id: head.id,
    object: "text_completion",
    created: head.created,
    model: head.model,
    system_fingerprint: SYSTEM_FINGERPRINT,
    choices: [{ index: 0, text, logprobs: null, finish_reason: finishReason }],
  };
}

function makeCallId(head: AnswerHead, index: number): string {
  return `call_${head.id.replace(/^chatcmpl-/, "")}_${index}`;
}

/** Bytes as they lie in memory: little-endian on every platform that we build for. */
function encodeBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}

function divide(amount: number, by: number): number | null {
  return by > 0 ? amount / by : null;
}
