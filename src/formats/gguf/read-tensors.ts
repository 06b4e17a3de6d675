// GGUF's tensor infos: names, shapes, types, offsets, checked as llama.cpp's loader checks them, so that
// a file which lies about itself is refused before an engine starts. Reads no tensor data.

import type { Cursor } from "./cursor.ts";
import { GgufError } from "./gguf-error.ts";
import { REMOVED_TENSOR_TYPES, TENSOR_TYPES, type TensorType } from "./tensor-types.ts";

export interface GgufTensor {
  name: string;
  /** Fastest-varying dimension first, as ggml has them. */
  dims: number[];
  type: string;
  /** From the start of the data section. */
  offset: number;
  bytes: number;
}

export interface TensorSection {
  count: number;
  /** Elements of all tensors. */
  elementCount: number;
  /** Bytes from the start of the data section to the end of the last tensor. */
  dataBytes: number;
  /** Null unless they were asked for. */
  tensors: GgufTensor[] | null;
}

/** The largest mixture-of-experts files have a few thousand tensors; unmerged experts some ten thousand. */
const TENSOR_COUNT_MAX = 262_144;
/** GGML_MAX_NAME - 1 and GGML_MAX_DIMS: llama.cpp refuses what is over. */
const NAME_BYTES_MAX = 63;
const DIMS_MAX = 4;
/** Name length, dimension count, type and offset: what the smallest tensor info takes. */
const INFO_BYTES_MIN = 8 + 4 + 4 + 8;

export function readTensors(cursor: Cursor, count: number, alignment: number, keep: boolean): TensorSection {
  if (count > TENSOR_COUNT_MAX) {
    throw new GgufError("limit", `the header claims ${count} tensors; at most ${TENSOR_COUNT_MAX} are read`);
  }
  cursor.require(count * INFO_BYTES_MIN, `the table of ${count} tensors`);
  const names = new Set<string>();
  const section: TensorSection = { count, elementCount: 0, dataBytes: 0, tensors: keep ? [] : null };
  let expectedOffset = 0;
  for (let index = 0; index < count; index++) {
    const { tensor, elements } = readTensor(cursor, index);
    if (names.has(tensor.name)) throw new GgufError("damaged", `the tensor "${tensor.name}" occurs twice`);
    names.add(tensor.name);
    if (tensor.offset !== expectedOffset) {
      const message = `the tensor "${tensor.name}" claims offset ${tensor.offset}, where ${expectedOffset} must be`;
      throw new GgufError("damaged", message);
    }
    section.elementCount += elements;
    section.dataBytes = tensor.offset + tensor.bytes;
    expectedOffset = alignUp(section.dataBytes, alignment);
    if (!Number.isSafeInteger(expectedOffset)) throw new GgufError("limit", "the tensors claim over 2^53 bytes");
    section.tensors?.push(tensor);
  }
  return section;
}

export function alignUp(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}

function readTensor(cursor: Cursor, index: number): { tensor: GgufTensor; elements: number } {
  const nameBytes = cursor.size(`the name length of tensor ${index + 1}`);
  if (nameBytes > NAME_BYTES_MAX) {
    const message = `the name of tensor ${index + 1} claims ${nameBytes} bytes; llama.cpp takes ${NAME_BYTES_MAX}`;
    throw new GgufError("limit", message);
  }
  const name = cursor.text(nameBytes, `the name of tensor ${index + 1}`);
  const dimCount = cursor.u32(`the dimension count of "${name}"`);
  if (dimCount > DIMS_MAX) {
    throw new GgufError("limit", `the tensor "${name}" claims ${dimCount} dimensions; ggml has ${DIMS_MAX}`);
  }
  const dims: number[] = [];
  let elements = 1;
  for (let dim = 0; dim < dimCount; dim++) {
    const size = cursor.size(`dimension ${dim + 1} of "${name}"`);
    dims.push(size);
    elements *= size;
    // Checked at each step: a zero later on must not hide a product that has become inexact.
    if (!Number.isSafeInteger(elements)) throw new GgufError("limit", `the tensor "${name}" claims over 2^53 elements`);
  }
  const type = findType(cursor.u32(`the type of "${name}"`), name);
  const rowElements = dims[0] ?? 1;
  if (rowElements % type.blockElements !== 0) {
    const message = `the rows of "${name}" (${rowElements} elements) are no multiple of ${type.name}'s ${type.blockElements}`;
    throw new GgufError("damaged", message);
  }
  const bytes = (elements / type.blockElements) * type.blockBytes;
  const offset = cursor.size(`the offset of "${name}"`);
  return { tensor: { name, dims, type: type.name, offset, bytes }, elements };
}

function findType(code: number, tensorName: string): TensorType {
  const type = TENSOR_TYPES.get(code);
  if (type !== undefined) return type;
  const removed = REMOVED_TENSOR_TYPES.get(code);
  if (removed !== undefined) throw new GgufError("unsupported", removed);
  const message = `the tensor "${tensorName}" has type ${code}, which this version does not know`;
  throw new GgufError("unsupported", message);
}
