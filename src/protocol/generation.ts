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
  function: {
    name: string;
    description?: string;
    /** As templates show it to the model. */
    parameters?: Record<string, unknown>;
    /** What the grammar follows in its place: a lowered schema. */
    grammarParameters?: Record<string, unknown>;
    strict?: boolean;
  };
}

export interface ChatPrompt {
  kind: "chat";
  messages: ChatMessage[];
  tools?: ChatTool[];
  toolChoice?: "auto" | "none" | "required";
  /** Default: what the template knows. */
  parallelToolCalls?: boolean;
  /** A JSON schema that the answer must follow, as templates show it to the model. */
  jsonSchema?: Record<string, unknown>;
  /** What the grammar follows in its place: a lowered schema. llama.cpp takes `{}` for none. */
  grammarSchema?: Record<string, unknown>;
  /** The answer goes on from the last message, the assistant's: in its text, or still in its thoughts. Absent: it is a new one. */
  continues?: "content" | "reasoning";
  /** False: the prompt ends with the last message, for who wants to see it. Default true. */
  opensAnswer?: boolean;
  /** Extra variables for the template, such as `enable_thinking`. */
  templateArgs?: Record<string, unknown>;
}

/** A text with a gap: what is generated stands between prefix and suffix, after the prompt. */
export interface InfillPrompt {
  kind: "infill";
  prefix: string;
  suffix: string;
  /** How the gap's text begins. */
  prompt: string;
  /** Other files that help; the last ones come nearest to the gap. */
  extra: { filename: string; text: string }[];
  /** Tokens of the answer that other files leave room for, twice. */
  answerTokens: number;
}

export type Prompt = ChatPrompt | InfillPrompt | { kind: "text"; text: string } | { kind: "tokens"; tokens: number[] };

export interface GenerationRequest {
  prompt: Prompt;
  sampling: SamplingParams;
  /** Most tokens to generate, 0 = only read the prompt; absent: until the sequence's context is full. */
  maxTokens?: number;
  /** The prompt's own text comes first in the output. For prompts of text or tokens. */
  echo?: boolean;
  /** Log probabilities come with the output, and with the prompt where that is echoed; so many of the likeliest tokens too. */
  logprobs?: number;
  /** Most log probabilities that may come in all, a token and its alternatives each one; absent: as many as there are. */
  logprobsMax?: number;
  /** A full context drops its middle and the answer goes on. Default: the engine's setting. */
  contextShift?: boolean;
  /** Leading tokens that stay then, at most half the context; negative = the prompt's. Default 0. */
  keepTokens?: number;
  /** Generation ends before the first of these strings, which is not part of the output. */
  stop: string[];
  /** Nobody reads along: the output comes in one piece, with the end. Default false. */
  whole?: boolean;
  /** Steps that read some of the prompt are told. Default false; never of a `whole` one. */
  progress?: boolean;
  /** Only the prompt's length is wanted: it is told by `started`, also of one that is too long, and nothing is computed. */
  countOnly?: boolean;
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
  /** Tokens that left a full context when it shifted; absent: none. */
  droppedTokens?: number;
}

/** Milliseconds of wall clock. */
export interface Timings {
  queuedMs: number;
  promptMs: number;
  decodeMs: number;
}

/** A token of the output, and how likely the model found it, before any sampling setting. */
export interface TokenScore {
  /** Its text; `bytes:\x…` where it is no whole UTF-8. */
  text: string;
  /** Characters (code points) of the output before it. */
  offset: number;
  /** Natural logarithm; null for the first token of a prompt, which nothing comes before. */
  logprob: number | null;
  /** The likeliest tokens in its place, best first. */
  top: [text: string, logprob: number][];
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
  /** So much of the prompt is read, what was `cached` included; `elapsedMs` since it began. */
  | { type: "progress"; total: number; cached: number; processed: number; elapsedMs: number }
  | { type: "delta"; text?: string; reasoning?: string; toolCalls?: ToolCallDelta[]; scores?: TokenScore[] }
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

/** What a ranking model scores: how well a document answers a query. */
export interface RankInput {
  query: string;
  document: string;
}

/** One text or one list of token ids; a ranking model's "vector" is one number, and its inputs are pairs. */
export type EmbeddingInput = string | number[] | RankInput;

export interface EmbeddingResult {
  /** One vector per input, `dimensions` long: L2-normalised, or a rank's score as it is. */
  vectors: Float32Array[];
  dimensions: number;
  promptTokens: number;
}
