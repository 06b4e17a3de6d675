// One tensor's bytes in the target type, in chunks of whole rows: a tensor of any size takes the same memory. Rows of
// rotary heads are reordered within a head on the way.

import { encodeValues, SOURCE_BYTES, type TargetType, toSourceType } from "./encode-values.ts";
import type { PlannedTensor } from "./model-plan.ts";
import type { Weights } from "./weights.ts";

/** Of the source. Buffers of this size are used again; larger ones are fresh memory each time, which took half of the time. */
const CHUNK_BYTES = 1024 * 1024;

export function* streamTensor(weights: Weights, tensor: PlannedTensor, target: TargetType): Generator<Uint8Array> {
  const { source, dims } = tensor;
  if (source.kind === "values") {
    const { values } = source;
    yield encodeValues(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), "F32", target);
    return;
  }
  const { weight, heads } = source;
  const type = toSourceType(weight.dtype, weight.name);
  const columns = heads !== null && dims.length === 1 ? 1 : (dims[0] ?? 1);
  const rowBytes = columns * SOURCE_BYTES[type];
  const totalBytes = weight.end - weight.start;
  // A chunk holds whole heads where their rows change places.
  const unitBytes = heads === null ? rowBytes : totalBytes / heads;
  const stepBytes = Math.max(1, Math.floor(CHUNK_BYTES / unitBytes)) * unitBytes;
  const headRows = heads === null ? 0 : unitBytes / rowBytes;
  // One buffer for all chunks: whoever takes them is done with one before the next is read.
  const buffer = new Uint8Array(Math.min(stepBytes, totalBytes));
  for (let offset = 0; offset < totalBytes; offset += stepBytes) {
    const chunk = buffer.subarray(0, Math.min(stepBytes, totalBytes - offset));
    weights.read(weight, offset, chunk);
    yield encodeValues(heads === null ? chunk : interleaveHalves(chunk, rowBytes, headRows), type, target);
  }
}

/**
 * transformers rotates element i of a head with element i + half; ggml's Llama rotates neighbours. So the rows of each
 * head's two halves are taken in turn.
 */
export function interleaveHalves(bytes: Uint8Array, rowBytes: number, headRows: number): Uint8Array {
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
