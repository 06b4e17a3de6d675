// What an engine says about the model that it has loaded, and what both sides know of it beforehand.

import type { LoraScale } from "./lora.ts";
import type { MemoryNeed } from "./memory-need.ts";

export type Pooling = "none" | "mean" | "cls" | "last" | "rank";

/** What a model can be asked for, as far as its file tells. */
export interface Capabilities {
  chat: boolean;
  completion: boolean;
  embedding: boolean;
  rerank: boolean;
  /** Its chat template shows tools to the model. */
  tools: boolean;
  /** Its chat template knows of reasoning. */
  reasoning: boolean;
  /** Its header names the tokens of text with a gap; others may have them in their vocabulary. */
  infill: boolean;
  vision: boolean;
}

/**
 * How the chat template's format writes a call's arguments. `json`: as one value, which the grammar holds to the tool's
 * schema. `text`: one by one, texts as they are. `nested`: so are those within arguments. `loose`: held to no schema.
 * `none`: llama.cpp knows no format of calls.
 */
export type ArgumentFormat = "json" | "text" | "nested" | "loose" | "none";

/** What the model remembers with. It decides what sequences can share: any prefix, or whole ends only. */
export type MemoryKind = "plain" | "sliding" | "recurrent" | "hybrid" | "other" | "none";

/** KV tokens when nobody asked for a number: enough for an agent's conversation, and 2 GiB for a common 7B model. */
const CONTEXT_LENGTH_MAX_AUTOMATIC = 16_384;

/** The same where the file does not tell what the model was trained for: nearly all were for that much. */
const CONTEXT_LENGTH_UNTOLD = 4096;
/** What llama.cpp can say of a context. */
const CONTEXT_LENGTH_MAX = 2 ** 31 - 1;

/** KV tokens of an engine whose `--ctx` is automatic. Null: the file does not tell what it was trained for. */
export function automaticContextLength(trained: number | null): number {
  return Math.min(trained ?? CONTEXT_LENGTH_UNTOLD, CONTEXT_LENGTH_MAX_AUTOMATIC);
}

/**
 * What a header, or llama.cpp, says that a model was trained for. Null where that is no length: 0, or what does not fit in 31
 * bits, of which llama.cpp makes a negative one.
 */
export function readTrainedLength(said: number | null): number | null {
  return said !== null && Number.isInteger(said) && said > 0 && said <= CONTEXT_LENGTH_MAX ? said : null;
}

export interface DraftInfo {
  description: string;
  /** Bytes of all tensors. */
  sizeBytes: number;
  /** KV tokens of its own, shared by the sequences that it guesses for. */
  contextLength: number;
  /** Its KV cache and compute buffers. */
  contextBytes: number;
}

/** Layers of a model's own that predict tokens beyond the next one (MTP). */
export interface HeadInfo {
  layers: number;
  /** Why they do not guess; null = they do, where it pays. */
  rests: string | null;
  /** Their KV cache and compute buffers; their weights are the model's. */
  contextBytes: number;
}

export interface LoadedModelInfo {
  architecture: string;
  /** llama.cpp's one-line description, such as `qwen3 0.6B Q4_K - Medium`. */
  description: string;
  parameterCount: number;
  /** Bytes of all tensors. */
  sizeBytes: number;
  vocabularySize: number;
  embeddingLength: number;
  /** Null: the file does not tell. */
  trainedContextLength: number | null;
  /** KV tokens of the engine, shared by its sequences. */
  contextLength: number;
  /** Most tokens (prompt and output) of one sequence. */
  sequenceContextLength: number;
  parallel: number;
  /** Ended sequences whose KV may be kept in memory. */
  retainedMax: number;
  /** Most rows of one step. */
  batchSize: number;
  memory: MemoryKind;
  /** The model's own pooling, or what embeddings of a chat model use. */
  pooling: Pooling;
  /** False for encoders: they embed and do not generate. */
  canGenerate: boolean;
  hasChatTemplate: boolean;
  argumentFormat: ArgumentFormat;
  /** Device names, such as `CPU` or `CUDA0`. */
  devices: string[];
  /** The CPU variant's file name, such as `libggml-cpu-zen4.so`. */
  cpuBackend: string;
  threads: number;
  /** The smaller model that guesses; null = none. */
  draft: DraftInfo | null;
  /** Null = the file has none. */
  head?: HeadInfo | null;
  /** What is less than was asked for, because memory did not suffice, in words; absent: nothing. */
  steppedDown?: readonly string[];
  loadMs: number;
  /** Resident anonymous memory after the load, in bytes; null where the system does not tell. */
  rssAnonBytes: number | null;
  /** What it takes by llama.cpp's own account, beside which a plan can be put; null where the system does not tell all of it. */
  memoryNeed: MemoryNeed | null;
}

/** One kept prefix, as `/api/cache` lists it. */
export interface CacheEntry {
  /** `live`: a running sequence. `retained`: kept in memory. `disk`: on disk, so a restart loses none of its slices. */
  state: "live" | "retained" | "disk";
  tokens: number;
  /** Tokens of it that are on disk, in whole slices. */
  durableTokens: number;
  session: string | null;
  /** The LoRA adapters that it was computed with, and is of use for; null: not known of what is on disk only. */
  lora: LoraScale[] | null;
  /** Milliseconds since it was last used. */
  idleMs: number;
  /** The beginning of its text. */
  preview: string;
}

export interface EngineStats {
  waiting: number;
  running: number;
  paused: number;
  /** What it may use now: less than it was loaded with while the machine is short of something. */
  limits: { promptRows: number; places: number; retained: number; checkpointBytes: number };
  /** Our ledger of KV cells. */
  ledger: { total: number; used: number };
  /** llama.cpp's own count, one entry per cache (a sliding-window model has two). */
  cells: { size: number; used: number }[];
  /** Live native objects by kind: all 0 but the model's, the context's and a state a checkpoint when idle. */
  handles: Record<string, number>;
  steps: number;
  decodedTokens: number;
  /** Prompt tokens that were computed, and those that were there already. */
  evaluatedTokens: number;
  reusedTokens: number;
  /** Tokens that were guessed ahead, and those of them that were right. */
  draftedTokens: number;
  acceptedTokens: number;
  /** Measured milliseconds of a step: fixed, and per row of prompt; null until there was enough to measure. */
  rates: { stepMs: number; promptRowMs: number } | null;
  /** Milliseconds since the start: in steps, in their decode and sample calls, and in sending what came of them. */
  times: { stepMs: number; decodeMs: number; sampleMs: number; sendMs: number };
  /** Measured milliseconds of a draft model's guessed token, and of one that it reads; null without one. */
  draftRates: { tokenMs: number; rowMs: number | null } | null;
  retained: { sequences: number; tokens: number };
  /** Recurrent states kept in memory, at places of prompts. */
  checkpoints: { count: number; bytes: number; bytesMax: number };
  kvStore: { files: number; bytes: number; bytesMax: number; warning: string | null } | null;
}
