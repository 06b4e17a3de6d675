// One tensor's bytes in the target type, in chunks of whole rows: a tensor of any size takes the same memory, but for
// transposed ones, which are read whole. Rows of rotary heads are reordered within a head on the way.

import {
  asBytes,
  encodeValues,
  SOURCE_BYTES,
  type SourceType,
  type TargetType,
  toFloats,
  toSourceType,
} from "./encode-values.ts";
import { type PlannedTensor, type Slice, type Take, type ValueMap, wholeSlice } from "./model-plan.ts";
import { streamBlocks } from "./stream-blocks.ts";
import { countElements, type Weight, type WeightSource } from "./weights.ts";

/** Of the source. Buffers of this size are used again; larger ones are fresh memory each time, which took half of the time. */
const CHUNK_BYTES = 1024 * 1024;

const WHOLE: Take = { first: 0, step: 1 };

export function* streamTensor(
  weights: WeightSource,
  { source }: PlannedTensor,
  target: TargetType,
): Generator<Uint8Array> {
  switch (source.kind) {
    case "values":
      yield encodeValues(asBytes(source.values), "F32", target);
      return;
    case "transposed":
      yield* streamTransposed(weights, wholeSlice(source.weight), target);
      return;
    case "transposed-slices":
      for (const slice of source.slices) yield* streamTransposed(weights, slice, target, source.take);
      return;
    case "elements":
      yield* streamElements(weights, source.weight, source.take, target);
      return;
    case "mxfp4":
      yield* streamBlocks(weights, source);
      return;
    case "slices":
      for (const slice of source.slices) yield* streamSlice(weights, slice, source.map ?? null, target);
  }
}

function* streamSlice(
  weights: WeightSource,
  { weight, fromRow, rows, heads }: Slice,
  map: ValueMap | null,
  target: TargetType,
): Generator<Uint8Array> {
  const type = toSourceType(weight.dtype, weight.name);
  const rowBytes = rowBytesOf(weight, type);
  const totalBytes = rows * rowBytes;
  // A chunk holds whole heads where their rows change places.
  const unitBytes = heads === null ? rowBytes : totalBytes / heads;
  const stepBytes = Math.max(1, Math.floor(CHUNK_BYTES / unitBytes)) * unitBytes;
  const headRows = heads === null ? 0 : unitBytes / rowBytes;
  // One buffer for all chunks: whoever takes them is done with one before the next is read.
  const buffer = new Uint8Array(Math.min(stepBytes, totalBytes));
  for (let offset = 0; offset < totalBytes; offset += stepBytes) {
    const chunk = buffer.subarray(0, Math.min(stepBytes, totalBytes - offset));
    weights.read(weight, fromRow * rowBytes + offset, chunk);
    yield encode(heads === null ? chunk : interleaveHalves(chunk, rowBytes, headRows), type, map, target);
  }
}

function encode(bytes: Uint8Array, type: SourceType, map: ValueMap | null, target: TargetType): Uint8Array {
  if (map === null) return encodeValues(bytes, type, target);
  const values = toFloats(bytes, type);
  map(values);
  return encodeValues(asBytes(values), "F32", target);
}

function* streamTransposed(
  weights: WeightSource,
  { weight, fromRow, rows: columns }: Slice,
  target: TargetType,
  { first, step: every }: Take = WHOLE,
): Generator<Uint8Array> {
  const type = toSourceType(weight.dtype, weight.name);
  const rowBytes = rowBytesOf(weight, type);
  const size = SOURCE_BYTES[type];
  const stored = rowBytes / size;
  const rows = stored / every;
  const bytes = new Uint8Array(columns * rowBytes);
  weights.read(weight, fromRow * rowBytes, bytes);
  const elements = size === 2 ? new Uint16Array(bytes.buffer) : new Uint32Array(bytes.buffer);
  const step = Math.max(1, Math.floor(CHUNK_BYTES / (columns * size)));
  for (let from = 0; from < rows; from += step) {
    const count = Math.min(step, rows - from);
    const chunk = size === 2 ? new Uint16Array(count * columns) : new Uint32Array(count * columns);
    for (let row = 0; row < count; row++) {
      for (let column = 0; column < columns; column++) {
        chunk[row * columns + column] = elements[column * stored + (from + row) * every + first] as number;
      }
    }
    yield encodeValues(asBytes(chunk), type, target);
  }
}

/** Biases: small enough for one piece. */
function* streamElements(
  weights: WeightSource,
  weight: Weight,
  { first, step }: Take,
  target: TargetType,
): Generator<Uint8Array> {
  const type = toSourceType(weight.dtype, weight.name);
  const bytes = new Uint8Array(countElements(weight.shape) * SOURCE_BYTES[type]);
  weights.read(weight, 0, bytes);
  const values = toFloats(bytes, type).filter((_, index) => index % step === first);
  yield encodeValues(asBytes(values), "F32", target);
}

function rowBytesOf({ shape }: Weight, type: SourceType): number {
  return (shape.length > 1 ? (shape.at(-1) ?? 1) : 1) * SOURCE_BYTES[type];
}

/**
 * transformers rotates element i of a head with element i + half; ggml's Llama rotates neighbours. So the rows of each
 * head's two halves are taken in turn.
 */
function interleaveHalves(bytes: Uint8Array, rowBytes: number, headRows: number): Uint8Array {
  const out = new Uint8Array(bytes.byteLength);
  const rows = bytes.byteLength / rowBytes;
  const half = headRows / 2;
  for (let row = 0; row < rows; row++) {
    const within = row % headRows;
    const from = row - within + (within % 2) * half + Math.floor(within / 2);
    out.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
  }
  return out;
}
