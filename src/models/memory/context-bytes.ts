// What a context takes beside weights: cells, recurrent states, compute buffers, rows of output. Keys and values are
// llama.cpp's own arithmetic; compute buffers are what the largest part of its graph holds at once, found by comparing with
// its own account (docs/memory.md). Pure.

import { CHECKPOINTS_MAX, type ContextSizes, SLICE_TOKENS } from "../../protocol/context-sizes.ts";
import type { KvType, LoadSettings } from "../../protocol/memory-need.ts";
import { type LayerShape, type ModelShape, trunkOf } from "./model-shape.ts";

/** Bytes of 32 numbers, by ggml's block layouts. */
const BLOCK_BYTES: Readonly<Record<KvType, number>> = {
  f32: 128,
  f16: 64,
  bf16: 64,
  q8_0: 34,
  q5_1: 24,
  q5_0: 22,
  q4_1: 20,
  q4_0: 18,
  iq4_nl: 18,
};
const BLOCK = 32;
/** llama.cpp makes a cache in pieces of so many cells. */
const CELLS_STEP = 256;
const FLOAT_BYTES = 4;
/** A mask has a half-precision number for each pair of a row and a cell. */
const MASK_BYTES = 2;
/** Token, position, output and cell numbers of a row. */
const INPUT_BYTES = 32;

export function padCells(contextLength: number): number {
  return Math.ceil(contextLength / CELLS_STEP) * CELLS_STEP;
}

/** Of one layer: cells shared by all sequences, and a state for each. */
export function countCacheBytes(
  layer: LayerShape,
  sizes: Pick<ContextSizes, "contextLength" | "sequences">,
  kvType: KvType,
): number {
  const numbers = layer.keyLength + layer.valueLength;
  const cells = padCells(sizes.contextLength) * ((numbers / BLOCK) * BLOCK_BYTES[kvType]);
  // States are kept in full precision.
  return cells + sizes.sequences * (layer.convolutionLength + layer.stateLength) * FLOAT_BYTES;
}

/** Of recurrent states that are kept, on the host: as many as there may be, or as many bytes. */
export function countKeptBytes(shape: ModelShape, bytesMax: number): number {
  const numbers = trunkOf(shape).reduce((sum, layer) => sum + layer.convolutionLength + layer.stateLength, 0);
  return Math.min(bytesMax, CHECKPOINTS_MAX * numbers * FLOAT_BYTES);
}

/** Of a state on its way to disk or back, of which there is one at a time: on the host wherever the cells are. */
export function countMovingBytes(shape: ModelShape, kvType: KvType): number {
  if (shape.embedsOnly) return 0;
  const slice = { contextLength: SLICE_TOKENS, sequences: 1 };
  return trunkOf(shape).reduce((sum, layer) => sum + countCacheBytes(layer, slice, kvType), 0);
}

/** Rows of the largest graph: as many for each sequence, and one for each at least. */
export function countRows({ contextLength, microBatchSize, sequences }: ContextSizes): number {
  const rows = Math.min(padCells(contextLength), microBatchSize);
  return Math.ceil(rows / sequences) * sequences;
}

function countOutputRows(sizes: ContextSizes): number {
  return Math.min(sizes.outputs, Math.max(sizes.microBatchSize, sizes.sequences));
}

/** Compute buffer of a place that has these layers, and the output or not. */
export function countComputeBytes(
  shape: ModelShape,
  layers: readonly LayerShape[],
  sizes: ContextSizes,
  hasOutput: boolean,
): number {
  if (layers.length === 0 && !hasOutput) return 0;
  const rows = countRows(sizes);
  const masks = countMaskBytes(shape, sizes, rows);
  const layerBytes = Math.max(0, ...layers.map((layer) => countLayerBytes(shape, layer, sizes, rows)));
  const outputs = countOutputRows(sizes);
  // Pooled vectors are small, and beside them no logits are computed. By the output the masks have done their work.
  const numbers = hasOutput && !shape.embedsOnly ? outputs * (shape.vocabularySize + 2 * shape.width) : 0;
  return rows * INPUT_BYTES + Math.max(masks + layerBytes, numbers * FLOAT_BYTES);
}

function countMaskBytes({ isEncoder, hasWindows, layers }: ModelShape, sizes: ContextSizes, rows: number): number {
  if (isEncoder) return rows * rows * (FLOAT_BYTES + MASK_BYTES);
  if (!layers.some(({ keyLength }) => keyLength > 0)) return 0;
  return (hasWindows ? 2 : 1) * padCells(sizes.contextLength) * rows * MASK_BYTES;
}

function countLayerBytes(shape: ModelShape, layer: LayerShape, sizes: ContextSizes, rows: number): number {
  const { width, experts } = shape;
  const dense = 3 * layer.feedForward + 3 * width + layer.queryLength;
  // Where heads are wide beside the model: queries as they are and turned, keys and values.
  const attention = layer.keyLength === 0 ? 0 : 2 * layer.queryLength + layer.keyLength + layer.valueLength + 3 * width;
  // Each expert's part is as wide as the model, before they are added up and after they are weighed.
  const mixed =
    experts === null || !layer.hasExperts
      ? 0
      : experts.used * (2 * width + experts.feedForward) + width + Math.max(layer.queryLength, 2 * experts.count);
  const recurrent = layer.innerLength === 0 ? 0 : 6 * layer.innerLength + width;
  const states = sizes.sequences * (layer.stateLength + 2 * layer.convolutionLength);
  const scores = shape.fusesAttention || layer.keyLength === 0 ? 0 : countScores(shape, layer, sizes);
  return (rows * Math.max(dense, attention, mixed, recurrent, scores) + states) * FLOAT_BYTES;
}

/** Of one row: a score for each head and cell, where attention is not one operation. */
function countScores({ width }: ModelShape, layer: LayerShape, { contextLength }: ContextSizes): number {
  return layer.heads * padCells(contextLength) + 4 * width + 2 * layer.queryLength;
}

/** Bytes of an activation as kernels want it beside weights of a type, for each number. */
const ACTIVATION_BYTES: Readonly<Record<string, number>> = { F32: 0, F16: 2, BF16: 2 };
const BLOCK32_BYTES = 34 / 32;
const BLOCK256_BYTES = 292 / 256;
const BLOCK32_TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "IQ4_NL", "MXFP4"];
/** A pair of numbers for each expert, row and choice (ggml's `mmid_row_mapping`). */
const CHOICE_BYTES = 8;

/** Scratch memory of the processor's kernels for each row of a step: rows are converted for the widest matrix. */
export function countRowWorkBytes(shape: ModelShape): number {
  const used = shape.experts?.used ?? 0;
  let most = 0;
  for (const { isMatrix, name, type, columns, isExpert } of shape.tensors) {
    if (!isMatrix) continue;
    const each = ACTIVATION_BYTES[type] ?? (BLOCK32_TYPES.includes(type) ? BLOCK32_BYTES : BLOCK256_BYTES);
    const choices = isExpert ? (shape.experts?.count ?? 0) * used * CHOICE_BYTES : 0;
    // What experts give is one vector for each of them, what they get is the same for all.
    const vectors = isExpert && name.includes("down") ? used : 1;
    most = Math.max(most, vectors * columns * each + choices);
  }
  return most;
}

/** Rows with output, which are kept on the host. */
export function countOutputBytes(shape: ModelShape, sizes: ContextSizes): number {
  // Pooled vectors are kept by sequence.
  return (shape.embedsOnly ? shape.width : sizes.outputs * shape.vocabularySize) * FLOAT_BYTES;
}

/**
 * Of a token, in a sampler that looks at all of them: its candidate (12 bytes) and a sorted copy, and at the same time what the
 * largest sampler works with (typical-p: a number, an index and another copy).
 */
const CANDIDATE_BYTES = 48;

/** At most, whatever requests ask for: each thread that samples has one such space for all its rows (patch 0023). */
export function countSamplingBytes(
  { vocabularySize, embedsOnly }: ModelShape,
  { threads, parallel }: Pick<LoadSettings, "threads" | "parallel">,
): number {
  return embedsOnly ? 0 : Math.min(threads, parallel) * vocabularySize * CANDIDATE_BYTES;
}
