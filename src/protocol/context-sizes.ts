// How large the contexts of an engine are made: what the engine makes and what a plan reckons with must be the same. Pure.

import type { LoadSettings } from "./memory-need.ts";

export interface ContextSizes {
  /** KV tokens. */
  contextLength: number;
  batchSize: number;
  microBatchSize: number;
  /** Rows with output in one batch. */
  outputs: number;
  /** Seq-ids. */
  sequences: number;
}

/** Of the longest embedding input, unless micro batches are longer. */
const EMBEDDING_ROWS = 2048;
/** Embedding inputs in one batch. */
const EMBEDDING_INPUTS = 16;
/** Rows with output in a batch: few sequences may guess ahead, and each guess has output. A row costs one vocabulary of floats. */
const OUTPUTS_MIN = 32;
/** One seq-id more than sequences: cells are read from disk into it, and given to a sequence from there. */
const SCRATCH_SEQUENCES = 1;
/** Beside so many streams a step costs each of them so little that a guess hardly pays. */
const DRAFT_SEQUENCES = 16;

/** Recurrent states that are kept in memory, at places of prompts: each is looked at when one has to go. */
export const CHECKPOINTS_MAX = 256;
/** Tokens of one slice of KV state on its way to disk or back: copied between two steps, so its size bounds the pause. */
export const SLICE_TOKENS = 256;

type Sized = Pick<LoadSettings, "contextLength" | "parallel" | "retainedMax" | "batchSize" | "microBatchSize">;

export function sizeGeneration({ contextLength, parallel, retainedMax, ...asked }: Sized): ContextSizes {
  return {
    contextLength,
    batchSize: Math.min(asked.batchSize, contextLength),
    microBatchSize: Math.min(asked.microBatchSize, asked.batchSize, contextLength),
    outputs: Math.max(parallel, OUTPUTS_MIN),
    sequences: parallel + retainedMax + SCRATCH_SEQUENCES,
  };
}

/** A recurrent state has a fixed size, and llama.cpp makes one for each seq-id beforehand. */
export function limitRetained({ parallel, retainedMax }: Pick<Sized, "parallel" | "retainedMax">, recurrent: boolean) {
  return recurrent ? Math.min(retainedMax, parallel) : retainedMax;
}

/** What of a model and its pooling shapes a context for embeddings. */
export interface EmbeddingTraits {
  /** Causal, and of an input only the last row counts: it may go through several micro batches. Else it must fit one. */
  splits: boolean;
  /** A recurrent state for each input of a batch; llama.cpp runs them one after the other. */
  keepsStates: boolean;
}

/** `trainedContextLength` null: not known, so nothing limits the rows. */
export function sizeEmbedding(
  asked: number,
  trainedContextLength: number | null,
  traits: EmbeddingTraits,
): ContextSizes {
  const usual = Math.max(asked, EMBEDDING_ROWS);
  const rows = Math.min(trainedContextLength ?? usual, usual);
  const microBatchSize = traits.splits ? Math.min(rows, asked) : rows;
  const sequences = traits.keepsStates ? 1 : countInputs(microBatchSize);
  return { contextLength: rows, batchSize: rows, microBatchSize, outputs: rows, sequences };
}

/** llama.cpp plans for as many rows of each input, and aborts where there are others than outputs. */
function countInputs(rows: number): number {
  for (let count = EMBEDDING_INPUTS; count > 1; count--) if (rows % count === 0) return count;
  return 1;
}

/** Of what guesses for sequences of the main context. */
export function sizeDraft(main: ContextSizes, parallel: number): ContextSizes {
  const sequences = Math.min(parallel, DRAFT_SEQUENCES);
  return { ...main, sequences, outputs: sequences };
}
