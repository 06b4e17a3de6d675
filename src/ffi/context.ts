// A context: decode, sample, embed, and the counts of its KV cells.

import { type Pointer, ptr } from "bun:ffi";
import { Handle } from "./handle.ts";
import { type NativeLibrary, toCText } from "./library.ts";
import type { NativeModel } from "./model.ts";
import type { NativeError } from "./native-error.ts";
import type { NativeSampler } from "./sampler.ts";
import { NativeState, STATE_PARTS, type StatePart } from "./state.ts";

export interface ContextSettings {
  contextLength: number;
  batchSize: number;
  microBatchSize: number;
  /** Rows with logits in one batch. */
  outputs: number;
  /** Seq-ids, at most 256. */
  sequences: number;
  threads: number;
  embeddings: boolean;
  /** llama.cpp's number; -1 = the model's own. */
  pooling: number;
  /** A context of the model's prediction layers. */
  head?: boolean;
  /** False: attention as separate operations, which the fused one is checked against. Default: where it can be had. */
  flashAttention?: boolean;
  /** ggml's name of the type of keys and values; default f16. */
  kvType?: string;
}

export interface ContextFacts {
  contextLength: number;
  sequenceContextLength: number;
  batchSize: number;
  microBatchSize: number;
  sequences: number;
  pooling: number;
  canShift: boolean;
  memory: MemoryKind;
  /** All that shapes the bytes of a state. */
  layout: string;
}

/** What a context remembers with: it decides what can be shared, and where. */
export type MemoryKind = "plain" | "sliding" | "recurrent" | "hybrid" | "other" | "none";

/** Columns of one batch, all as long as the longest batch; the first `length` rows count. */
export interface BatchColumns {
  length: number;
  tokens: Int32Array;
  positions: Int32Array;
  sequences: Int32Array;
  /** 1 where logits or embeddings are wanted. */
  outputs: Int8Array;
}

export interface RowLogits {
  logits: Float32Array;
  sums: Float32Array;
  topTokens: Int32Array;
  topLogits: Float32Array;
}

export type DecodeResult = "done" | "full" | "aborted";

/** A model has two caches at most (attention with and without a window, or attention and recurrent state, three). */
const CACHES_MAX = 4;

export class NativeContext extends Handle {
  readonly #library: NativeLibrary;
  readonly #cells = new Int32Array(2 * CACHES_MAX);

  private constructor(library: NativeLibrary, pointer: Pointer) {
    super("context", pointer, (context) => library.calls.mlo_context_free(context));
    this.#library = library;
  }

  static make(model: NativeModel, settings: ContextSettings): NativeContext {
    const { library } = model;
    const made = library.calls.mlo_context_new(model.pointer, toCText(JSON.stringify(settings)));
    return new NativeContext(library, library.own("mlo_context_new", made));
  }

  facts(): ContextFacts {
    return this.#library.takeJson("mlo_context_info", this.#library.calls.mlo_context_info(this.pointer));
  }

  /** Its caches and compute buffers, the weights not included. */
  bytes(): number {
    const bytes = this.#library.calls.mlo_context_bytes(this.pointer);
    return this.#library.check("mlo_context_bytes", Number(bytes));
  }

  /** The next batches run with these adapters of the model. adapters: [n] numbers; scales: [n]. */
  useAdapters(adapters: Int32Array, scales: Float32Array): void {
    const status = this.#library.calls.mlo_adapters_set(this.pointer, adapters.length, adapters, scales);
    this.#library.check("mlo_adapters_set", status);
  }

  /** Runs a batch. `full`: no room in the KV cache, which is then as it was before. */
  decode(batch: BatchColumns): DecodeResult {
    const { calls } = this.#library;
    const { length, tokens, positions, sequences, outputs } = batch;
    const status = calls.mlo_decode(this.pointer, length, tokens, positions, sequences, outputs);
    this.#library.check("mlo_decode", status);
    return status === 0 ? "done" : status === 1 ? "full" : "aborted";
  }

  /** Samples all rows in one call. rows: [n] batch indices; tokens: [n] ids, negative where the error is a row's. */
  sample(rows: number[], samplers: NativeSampler[]): { tokens: Int32Array; error: NativeError | null } {
    const tokens = new Int32Array(rows.length);
    const pointers = new BigUint64Array(samplers.map((sampler) => BigInt(sampler.pointer)));
    const status = this.#library.calls.mlo_sample(
      this.pointer,
      rows.length,
      new Int32Array(rows),
      ptr(pointers),
      tokens,
    );
    const failed = this.#library.check("mlo_sample", status);
    return { tokens, error: failed === 0 ? null : this.#library.error("mlo_sample") };
  }

  /** The largest logits of a row, best first. */
  topLogits(row: number, count: number): { tokens: Int32Array; logits: Float32Array } {
    const tokens = new Int32Array(count);
    const logits = new Float32Array(count);
    const status = this.#library.calls.mlo_top_logits(this.pointer, row, count, tokens, logits);
    this.#library.check("mlo_top_logits", status);
    return { tokens, logits };
  }

  /** Rows [n] and a token of each (-1 = none). `sums`: the log of the sum of all exponentials; top: [n * count], best first. */
  logprobs(rows: Int32Array, tokens: Int32Array, count: number): RowLogits {
    const scores: RowLogits = {
      logits: new Float32Array(rows.length),
      sums: new Float32Array(rows.length),
      topTokens: new Int32Array(rows.length * count),
      topLogits: new Float32Array(rows.length * count),
    };
    const { calls } = this.#library;
    const { logits, sums } = scores;
    // An array without a byte has no address.
    const [topTokens, topLogits] = count === 0 ? [null, null] : [scores.topTokens, scores.topLogits];
    const n = rows.length;
    const status = calls.mlo_logprobs(this.pointer, n, rows, tokens, count, logits, sums, topTokens, topLogits);
    this.#library.check("mlo_logprobs", status);
    return scores;
  }

  /** The logits alone. */
  rowLogits(rows: Int32Array, tokens: Int32Array): Float32Array {
    const logits = new Float32Array(rows.length);
    const { calls } = this.#library;
    const status = calls.mlo_logprobs(this.pointer, rows.length, rows, tokens, 0, logits, null, null, null);
    this.#library.check("mlo_logprobs", status);
    return logits;
  }

  /** A ranking model's score of a sequence of the last batch. */
  rank(sequence: number): Float32Array {
    const score = new Float32Array(1);
    this.#library.check("mlo_rank", this.#library.calls.mlo_rank(this.pointer, sequence, score));
    return score;
  }

  /** The pooled, L2-normalised vector of a sequence of the last batch. */
  embedding(sequence: number, dimensions: number): Float32Array {
    const vector = new Float32Array(dimensions);
    const status = this.#library.calls.mlo_embedding(this.pointer, sequence, vector, dimensions);
    this.#library.check("mlo_embedding", status);
    return vector;
  }

  /** Removes positions [from, to) of a sequence; to < 0 = to the end. False: this cache can't do that. */
  removeSequence(sequence: number, from: number, to: number): boolean {
    return this.#library.calls.mlo_seq_remove(this.pointer, sequence, from, to) === 0;
  }

  /** Positions [start, end) of one sequence are another one's too from now on; their cells are shared. */
  copySequence(from: number, to: number, start: number, end: number): void {
    this.#library.check("mlo_seq_copy", this.#library.calls.mlo_seq_copy(this.pointer, from, to, start, end));
  }

  /** Whether the sequence holds all that a row at this position has to see. */
  covers(sequence: number, position: number): boolean {
    return this.#library.calls.mlo_seq_covers(this.pointer, sequence, position) === 1;
  }

  copyState(sequence: number, part: StatePart): NativeState {
    return NativeState.copy(this.#library, this.pointer, sequence, part);
  }

  /** Throws NativeError when the state does not fit; the sequence then has nothing of that part. */
  applyState(state: NativeState, sequence: number, part: StatePart): void {
    const status = this.#library.calls.mlo_state_apply(this.pointer, state.pointer, sequence, STATE_PARTS[part]);
    this.#library.check("mlo_state_apply", status);
  }

  clear(): void {
    this.#library.calls.mlo_memory_clear(this.pointer);
  }

  /** llama.cpp's own counts, one entry a cache. */
  cells(): { size: number; used: number }[] {
    const count = this.#library.check(
      "mlo_cells",
      this.#library.calls.mlo_cells(this.pointer, this.#cells, CACHES_MAX),
    );
    return Array.from({ length: Math.min(count, CACHES_MAX) }, (_, i) => ({
      size: this.#cells[2 * i] ?? 0,
      used: this.#cells[2 * i + 1] ?? 0,
    }));
  }
}
