// What the engine needs from the machine that runs tokens. Two implementations: llama.cpp, and a fake for tests.

import type { ChatPrompt, EmbeddingInput, Prompt, SamplingParams } from "../protocol/generation.ts";
import type { LoadedModelInfo } from "../protocol/model-info.ts";
import type { Drafter } from "./guess/drafter.ts";

/** Work that runs beside the engine's thread. */
export interface Task<T> extends Disposable {
  poll(): { kind: "running" } | { kind: "done" } | { kind: "failed"; error: Error };
  /** The result of a task that is done; once. */
  take(): T;
}

/** A prompt ready to run. The engine disposes of it when the sequence ends. */
export interface PreparedPrompt extends Disposable {
  readonly tokens: Int32Array;
  readonly stops: readonly string[];
  /** Tokens whose text the parser must see although they are control tokens. */
  readonly preserved: ReadonlySet<number>;
  readonly needsParser: boolean;
  /** Leading tokens that are system text and tools; 0 where the template does not tell. */
  readonly preambleLength: number;
  /** Positions where the last messages begin, the one to be generated included; empty where that is not known. */
  readonly turns: readonly number[];
}

/** What is asked about without being run: a chat, or texts and token ids in a row. */
export type TextSource =
  | ChatPrompt
  | { kind: "pieces"; pieces: (string | number)[]; addSpecial: boolean; parseSpecial: boolean };

export interface TextFacts {
  tokens: Int32Array;
  /** A chat as its template writes it; empty of anything else. */
  text: string;
}

export interface Sampler extends Disposable {
  readonly kind: "sampler";
}

export interface ParsedPiece {
  text?: string;
  reasoning?: string;
  toolCall?: { index: number; id?: string; name?: string; arguments: string };
}

export interface AnswerParser extends Disposable {
  push(text: string, final: boolean): ParsedPiece[];
}

/** One sequence's rows in a batch: positions start, start+1, … of the sequence `seqId`. */
export interface BatchPart {
  seqId: number;
  tokens: Int32Array;
  start: number;
  /** True when the last row's logits are wanted. */
  output: boolean;
  /** Rows at the end that have output too, beside the one before them: a guess, or a prompt that is scored. Absent: none. */
  drafted?: number;
}

/** A row with output: of which part, counted among those with output, and its place among that part's rows with output. */
export interface OutputRow {
  part: number;
  row: number;
}

/** Of n rows: a logit minus its row's sum is a log probability. */
export interface RowScores {
  /** [n], -Infinity where no token was asked for. */
  logits: Float32Array;
  /** [n] logarithms of the sum of all exponentials. */
  sums: Float32Array;
  /** [n * top], a row's best first. */
  topTokens: Int32Array;
  topLogits: Float32Array;
}

export type DecodeResult = "done" | "full" | "aborted";

/** One row's token, or why its sampler failed: that is no business of the other rows. */
export type Sampled = { kind: "token"; token: number } | { kind: "failed"; error: Error };

/** A copy of some cells of a sequence, or what a file holds of them. */
export interface SavedState extends Disposable {
  readonly bytes: number;
  /** What was written along with it. */
  readonly text: string;
  /**
   * Writes a file, whole or not at all. The state may be disposed of before the task ends. `awaited`: somebody waits for it;
   * else it takes what computing leaves of the processors.
   */
  write(path: string, text: string, awaited: boolean): Task<null>;
}

export interface Backend extends Disposable {
  readonly info: LoadedModelInfo;
  /** Two backends with the same layout can read each other's states of one model. */
  readonly stateLayout: string;
  /** `sampling`, unless null, is what `makeSampler` will be asked for: a grammar may take seconds to compile. */
  preparePrompt(prompt: Prompt, sampling: SamplingParams | null): Task<PreparedPrompt>;
  readText(source: TextSource): Task<TextFacts>;
  makeSampler(params: SamplingParams, prompt: PreparedPrompt): Sampler;
  makeParser(prompt: PreparedPrompt): AnswerParser;
  /** The next decodes run with these: a scale for each of the model's adapters, 0 is without it. */
  useAdapters(scales: readonly number[]): void;
  decode(parts: BatchPart[]): DecodeResult;
  /** One token for each of these rows of the last decode; absent: the first one of each part with output, in order. */
  sample(samplers: Sampler[], rows?: readonly OutputRow[]): Sampled[];
  /**
   * What these rows of the last decode say, before any of them is sampled: of a token each (-1 = none), and of the `top`
   * likeliest.
   */
  scoreRows(rows: readonly OutputRow[], tokens: Int32Array, top: number): RowScores;
  /** The logits of a token each, also after sampling. */
  rowLogits(rows: readonly OutputRow[], tokens: Int32Array): Float32Array;
  /** Most rows with output in one batch. */
  readonly outputsMax: number;
  /** A guess at the tokens that follow these, at most `max`; empty when there is none. */
  draft(tokens: Int32Array, max: number): Int32Array;
  /** A smaller model that guesses; null = there is none. It is the backend's own. */
  readonly drafter: Drafter | null;
  tokenBytes(token: number, special: boolean): Uint8Array;
  isEnd(token: number): boolean;
  /** Frees the KV cells of a sequence that no other one shares. */
  removeSequence(seqId: number): void;
  /**
   * The same for the cells from position `length` on. Plain memory only, but for rows of the last decode, which sliding
   * memory can take back too.
   */
  truncateSequence(seqId: number, length: number): void;
  /** The first `length` cells of one sequence are another, empty one's too. */
  copySequence(from: number, to: number, length: number): void;
  /** Whether the sequence holds all that a row at position `length` has to see. */
  covers(seqId: number, length: number): boolean;
  /** A copy of cells [start, end) of a sequence: of attention only. No such thing in recurrent memory. */
  copySlice(seqId: number, start: number, end: number): SavedState;
  /** Reads a file; the task fails when it is not as it was written. */
  readState(path: string): Task<SavedState>;
  /** Gives a sequence that ends at `start` the cells [start, end) of a copy. Throws when the copy does not fit. */
  applySlice(state: SavedState, seqId: number, start: number, end: number): void;
  /**
   * Whether the memory has a recurrent state beside its cells, or in their place, that can be copied: the calls below
   * are only for these.
   */
  readonly checkpoints: boolean;
  /** A copy of the recurrent state at the sequence's end. */
  copyRest(seqId: number): SavedState;
  /**
   * Makes it the state of a sequence whose cells of attention, where it has some, are those of the first `length`
   * positions. Throws when it is the state of another place; the sequence then holds nothing.
   */
  applyRest(state: SavedState, seqId: number, length: number): void;
  /** The sequence keeps its first `length` cells of attention, and goes on from this state. Throws as applyRest does. */
  rewind(seqId: number, length: number, rest: SavedState): void;
  /** For files: a copy of cells [start, end) with the recurrent state at `end`: `rest`, or null for the sequence's own. */
  copyEnd(seqId: number, start: number, end: number, rest: SavedState | null): SavedState;
  /** Gives them to a sequence that ends at `start`; where there are no cells, to an empty one. Throws as applyRest does. */
  applyEnd(state: SavedState, seqId: number, start: number, end: number): void;
  cells(): { size: number; used: number }[];
  liveHandles(): Record<string, number>;
  /** Gives the system back what is free of this process's memory, and what is easily made again, as far as that can be. */
  trim(): void;
  /** Longest embedding input in tokens. Makes the embedding context on first use. */
  embeddingLimit(): number;
  prepareEmbedding(input: EmbeddingInput): Task<PreparedPrompt>;
  /** Vectors of one batch of inputs, which fit in one batch together; of a ranking model one score each. */
  embed(inputs: Int32Array[]): Float32Array[];
  /** How many inputs, and how many tokens together, one `embed` takes. */
  readonly embeddingBatch: { inputs: number; tokens: number };
}
