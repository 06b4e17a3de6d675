// The backend over llama.cpp: the engine's only user of src/ffi. Mechanism only; every decision is the engine's.

import { NativeContext } from "../../ffi/context.ts";
import type { NativeLibrary } from "../../ffi/library.ts";
import type { NativeModel } from "../../ffi/model.ts";
import { NativeParser } from "../../ffi/parser.ts";
import { NativeSampler } from "../../ffi/sampler.ts";
import { assert } from "../../lib/assert.ts";
import { AppError } from "../../protocol/errors.ts";
import type { EmbeddingInput, Prompt, SamplingParams } from "../../protocol/generation.ts";
import type { LoadedModelInfo } from "../../protocol/model-info.ts";
import type {
  AnswerParser,
  Backend,
  BatchPart,
  DecodeResult,
  OutputRow,
  PreparedPrompt,
  RowScores,
  Sampled,
  Sampler,
  SavedState,
  Task,
  TextFacts,
  TextSource,
} from "../backend.ts";
import type { Drafter } from "../guess/drafter.ts";
import { Batch } from "./batch.ts";
import type { ContextPlan } from "./context-plan.ts";
import { nativePrompt, readInput, readPrompt, readText } from "./llama-prompt.ts";
import { LlamaStates } from "./llama-states.ts";

class LlamaSampler implements Sampler {
  readonly kind = "sampler";
  constructor(readonly native: NativeSampler) {}

  [Symbol.dispose](): void {
    this.native[Symbol.dispose]();
  }
}

export class LlamaBackend implements Backend {
  readonly info: LoadedModelInfo;
  readonly stateLayout: string;
  readonly outputsMax: number;
  readonly checkpoints: boolean;
  readonly drafter: Drafter | null;
  readonly #library: NativeLibrary;
  readonly #model: NativeModel;
  readonly #plan: ContextPlan;
  readonly #context: NativeContext;
  readonly #states: LlamaStates;
  readonly #batch: Batch;
  #embedding: { context: NativeContext; batch: Batch } | null = null;
  /** What the context has now: told again, llama.cpp would write two lines to its log for every step. */
  #scales: readonly number[] = [];

  /** Takes over the model, the context and the drafter. */
  constructor(
    library: NativeLibrary,
    model: NativeModel,
    context: NativeContext,
    plan: ContextPlan,
    info: LoadedModelInfo,
    drafter: Drafter | null,
  ) {
    this.info = info;
    this.drafter = drafter;
    this.outputsMax = plan.main.outputs;
    this.stateLayout = context.facts().layout;
    this.#states = new LlamaStates(library, context, info.memory, plan.main.sequences - 1);
    this.checkpoints = this.#states.checkpoints;
    this.#library = library;
    this.#model = model;
    this.#plan = plan;
    this.#context = context;
    this.#batch = new Batch(plan.main.batchSize);
    // A model that only embeds has one context, which does that.
    if (plan.main.embeddings) this.#embedding = { context, batch: this.#batch };
  }

  preparePrompt(prompt: Prompt, sampling: SamplingParams | null): Task<PreparedPrompt> {
    return readPrompt(this.#model, prompt, sampling, {
      batchTokens: this.#batch.columns.tokens.length,
      contextTokens: this.info.sequenceContextLength,
    });
  }

  prepareEmbedding(input: EmbeddingInput): Task<PreparedPrompt> {
    return readInput(this.#model, input);
  }

  readText(source: TextSource): Task<TextFacts> {
    return readText(this.#model, source);
  }

  makeSampler(params: SamplingParams, prompt: PreparedPrompt): Sampler {
    const native = nativePrompt(prompt);
    return new LlamaSampler(native.takeSampler() ?? NativeSampler.make(this.#model, params, native));
  }

  makeParser(prompt: PreparedPrompt): AnswerParser {
    return NativeParser.make(this.#library, nativePrompt(prompt));
  }

  useAdapters(scales: readonly number[]): void {
    if (scales.length === this.#scales.length && scales.every((scale, i) => scale === this.#scales[i])) return;
    this.#context.useAdapters(Int32Array.from(scales.keys()), Float32Array.from(scales));
    // Only now: where that failed, the next step tries again.
    this.#scales = scales;
  }

  decode(parts: BatchPart[]): DecodeResult {
    this.#batch.fill(parts);
    return this.#context.decode(this.#batch.columns);
  }

  sample(samplers: Sampler[], rows?: readonly OutputRow[]): Sampled[] {
    const indices = rows === undefined ? this.#batch.rows : [...this.#batch.indices(rows)];
    assert(samplers.length === indices.length, "one sampler for each row with output");
    const { tokens, error } = this.#context.sample(
      indices,
      samplers.map((sampler) => nativeSampler(sampler)),
    );
    return Array.from(tokens, (token) =>
      token < 0 && error !== null ? { kind: "failed", error: stuckGrammar(error) } : { kind: "token", token },
    );
  }

  scoreRows(rows: readonly OutputRow[], tokens: Int32Array, top: number): RowScores {
    return this.#context.logprobs(this.#batch.indices(rows), tokens, Math.min(top, this.info.vocabularySize));
  }

  rowLogits(rows: readonly OutputRow[], tokens: Int32Array): Float32Array {
    return this.#context.rowLogits(this.#batch.indices(rows), tokens);
  }

  draft(tokens: Int32Array, max: number): Int32Array {
    return this.#library.draftLookup(tokens, max);
  }

  /** The largest logits of a row with output of the last decode: of the last one, or by its place among them. */
  topLogits(count: number, index = -1): { tokens: Int32Array; logits: Float32Array } {
    const row = this.#batch.rows.at(index);
    assert(row !== undefined, "the last decode had output");
    return this.#context.topLogits(row, count);
  }

  tokenBytes(token: number, special: boolean): Uint8Array {
    return this.#model.tokenBytes(token, special);
  }

  isEnd(token: number): boolean {
    return this.#model.isEnd(token);
  }

  removeSequence(seqId: number): void {
    assert(this.#context.removeSequence(seqId, 0, -1), `sequence ${seqId} can always be removed whole`);
  }

  truncateSequence(seqId: number, length: number): void {
    assert(this.#context.removeSequence(seqId, length, -1), `sequence ${seqId} can be cut at ${length}`);
  }

  copySequence(from: number, to: number, length: number): void {
    this.#context.copySequence(from, to, 0, length);
  }

  covers(seqId: number, length: number): boolean {
    return this.#context.covers(seqId, length);
  }

  copySlice(seqId: number, start: number, end: number): SavedState {
    return this.#states.copySlice(seqId, start, end);
  }

  readState(path: string): Task<SavedState> {
    return this.#states.read(path);
  }

  applySlice(state: SavedState, seqId: number, start: number, end: number): void {
    this.#states.applySlice(state, seqId, start, end);
  }

  copyRest(seqId: number): SavedState {
    return this.#states.copyRest(seqId);
  }

  applyRest(state: SavedState, seqId: number, length: number): void {
    this.#states.applyRest(state, seqId, length);
  }

  rewind(seqId: number, length: number, rest: SavedState): void {
    this.#states.rewind(seqId, length, rest);
  }

  copyEnd(seqId: number, start: number, end: number, rest: SavedState | null): SavedState {
    return this.#states.copyEnd(seqId, start, end, rest);
  }

  applyEnd(state: SavedState, seqId: number, start: number, end: number): void {
    this.#states.applyEnd(state, seqId, start, end);
  }

  cells(): { size: number; used: number }[] {
    return this.#context.cells();
  }

  liveHandles(): Record<string, number> {
    return this.#library.liveHandles();
  }

  trim(): void {
    // A chat model's embedding context is made again by the next embedding.
    if (this.#embedding !== null && this.#embedding.context !== this.#context) {
      this.#embedding.context[Symbol.dispose]();
      this.#embedding = null;
    }
    this.#context.trim();
  }

  embeddingLimit(): number {
    return this.#plan.embeddingLimit;
  }

  get embeddingBatch(): { inputs: number; tokens: number } {
    const { sequences, batchSize } = this.#plan.embedding;
    return { inputs: sequences, tokens: batchSize };
  }

  embed(inputs: Int32Array[]): Float32Array[] {
    this.#embedding ??= {
      context: NativeContext.make(this.#model, this.#plan.embedding),
      batch: new Batch(this.#plan.embedding.batchSize),
    };
    const { context, batch } = this.#embedding;
    batch.fillForPooling(inputs);
    try {
      const result = context.decode(batch.columns);
      if (result !== "done") throw new Error(`the embedding batch did not run (${result})`);
      const { pooling, embeddingLength } = this.info;
      return inputs.map((_, id) => (pooling === "rank" ? context.rank(id) : context.embedding(id, embeddingLength)));
    } finally {
      // Nothing goes on from an embedding: its cells are free at once, as the engine's ledger says.
      context.clear();
    }
  }

  [Symbol.dispose](): void {
    this.drafter?.[Symbol.dispose]();
    if (this.#embedding !== null && this.#embedding.context !== this.#context) {
      this.#embedding.context[Symbol.dispose]();
    }
    this.#context[Symbol.dispose]();
    this.#model[Symbol.dispose]();
  }
}

/** A row fails when no token fits its grammar: the grammar is the request's. */
function stuckGrammar(error: Error): AppError {
  return new AppError(
    { code: "invalid_request", message: `No token can follow by the grammar: ${error.message}` },
    { cause: error },
  );
}

function nativeSampler(sampler: Sampler): NativeSampler {
  assert(sampler instanceof LlamaSampler, "a sampler goes back to the backend that made it");
  return sampler.native;
}
