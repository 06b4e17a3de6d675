// What a generation is, in the domain's words: no HTTP, no dialect, no native types.
// The API turns requests into these, the engine runs them, and events travel back.

import type { ErrorBody } from "./errors.ts";
import type { LoraScale } from "./lora.ts";

/** Sampling settings. An absent field means the engine's default, which is llama.cpp's unless said otherwise. */
export interface SamplingParams {
  /** 0 to 2^32-1; absent: random. */
  seed?: number;
  /** 0 = greedy. Default 0.8. */
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  typicalP?: number;
  topNSigma?: number;
  repeatPenalty?: number;
  /** Tokens that the penalties look back on; 0 = none. */
  repeatLastN?: number;
  frequencyPenalty?: number;
  presencePenalty?: number;
  dryMultiplier?: number;
  dryBase?: number;
  dryAllowedLength?: number;
  dryPenaltyLastN?: number;
  drySequenceBreakers?: string[];
  xtcProbability?: number;
  xtcThreshold?: number;
  dynatempRange?: number;
  dynatempExponent?: number;
  mirostat?: 0 | 1 | 2;
  mirostatTau?: number;
  mirostatEta?: number;
  minKeep?: number;
  /** Tokens that come before the generation may end by itself. */
  minTokens?: number;
  /** Tokens of reasoning after which the model is made to answer; absent: no limit. */
  reasoningBudgetTokens?: number;
  /** Never sample an end-of-generation token. */
  ignoreEos?: boolean;
  /** Token id → added to its logit; -Infinity can't be sent as JSON, -100 and below bans. */
  logitBias?: [token: number, bias: number][];
  /** GBNF grammar that the output must follow. */
  grammar?: string;
}

/** OpenAI's message shape; `common_chat_msgs_parse_oaicompat` reads it as it is. */
export interface ChatMessage {
  role: string;
  content?: string | { type: string; text?: string }[] | null;
  reasoning_content?: string;
  name?: string;
  tool_call_id?: string;
  tool_calls?: { id?: string; type: "function"; function: { name: string; arguments: string } }[];
}

export interface ChatTool {
  type: "function";
  function: { name: string; description?: string; parameters?: Record<string, unknown>; strict?: boolean };
}

export interface ChatPrompt {
  kind: "chat";
  messages: ChatMessage[];
  tools?: ChatTool[];
  toolChoice?: "auto" | "none" | "required";
  parallelToolCalls?: boolean;
  /** A JSON schema that the answer must follow; `{}` is any JSON value. */
  jsonSchema?: Record<string, unknown>;
  /** Extra variables for the template, such as `enable_thinking`. */
  templateArgs?: Record<string, unknown>;
}

export type Prompt = ChatPrompt | { kind: "text"; text: string } | { kind: "tokens"; tokens: number[] };

export interface GenerationRequest {
  prompt: Prompt;
  sampling: SamplingParams;
  /** Most tokens to generate; absent: until the sequence's context is full. */
  maxTokens?: number;
  /** Generation ends before the first of these strings, which is not part of the output. */
  stop: string[];
  /** Nobody reads along: the output comes in one piece, with the end. Default false. */
  whole?: boolean;
  /** Batch requests wait behind interactive ones, but not for ever. Default interactive. */
  priority?: Priority;
  /** Requests of one conversation share this name; its state then outlives that of passing ones. */
  session?: string;
  cache?: CachePolicy;
  /** Adapters that it runs with; absent or empty: without, once the server's own scales were filled in. */
  lora?: LoraScale[];
}

export type Priority = "interactive" | "batch";

/** What a request allows to be done with KV state; an absent field is true. */
export interface CachePolicy {
  /** Start from a prefix that is there already. */
  reuse?: boolean;
  /** Keep the state when the request has ended: in memory, and on disk where that is on. */
  keep?: boolean;
}

/** Where a prompt's KV came from, in tokens. The rest of the prompt was evaluated. */
export interface CacheReport {
  /** From a sequence that was running. */
  live: number;
  /** From the kept state of a request that had ended. */
  retained: number;
  /** Read from disk. */
  disk: number;
  /** Where the prompt left the nearest kept one, when that was before that one's end. */
  diverged?: Divergence;
}

export interface Divergence {
  /** Index of the first token that differs. */
  token: number;
  /** Some text of each from there on. */
  old: string;
  new: string;
}

export interface Usage {
  promptTokens: number;
  completionTokens: number;
  /** Prompt tokens whose KV was already there. */
  cachedTokens: number;
}

/** Milliseconds of wall clock. */
export interface Timings {
  queuedMs: number;
  promptMs: number;
  decodeMs: number;
}

export type FinishReason = "stop" | "length" | "tool_calls";

export interface ToolCallDelta {
  index: number;
  id?: string;
  name?: string;
  /** A piece of the arguments' JSON text. */
  arguments?: string;
}

/**
 * `started` comes first, once; then deltas; then exactly one of done, error, cancelled. Its `cache` is null for a
 * request that still queues after a while: it is announced before it is known what will be there when its turn comes.
 */
export type GenerationEvent =
  | { type: "started"; promptTokens: number; cache: CacheReport | null }
  | { type: "delta"; text?: string; reasoning?: string; toolCalls?: ToolCallDelta[] }
  | {
      type: "done";
      finishReason: FinishReason;
      usage: Usage;
      cache: CacheReport;
      timings: Timings;
      stopString?: string;
    }
  | { type: "error"; error: ErrorBody }
  | { type: "cancelled" };

export function isTerminal(event: GenerationEvent): boolean {
  return event.type === "done" || event.type === "error" || event.type === "cancelled";
}

/** One text or one list of token ids. */
export type EmbeddingInput = string | number[];

export interface EmbeddingResult {
  /** One vector per input, L2-normalised, `dimensions` long. */
  vectors: Float32Array[];
  dimensions: number;
  promptTokens: number;
}
