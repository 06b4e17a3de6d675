// An ONNX model's tensors and the files beside it that hold their data: its message walked field by field, without the
// weights. Numbers of fields are from the published onnx.proto.

import { type FieldBudget, ProtobufError, type ProtobufField, walkFields } from "../protobuf.ts";
import type { ReadAt } from "../read-at.ts";
import { isPlainName } from "../safetensors/gather-shards.ts";
import { WindowedFile } from "../windowed-file.ts";

export interface OnnxFacts {
  producer: string | null;
  parameterCount: number | null;
  /** Files that hold tensors' data, by name. */
  externalFiles: readonly string[];
  /** Tensors whose data is said to lie outside of the folder. */
  outside: readonly string[];
}

/** A large language model's graph has some ten thousand nodes and tensors; each step costs a microsecond. */
const FIELDS_MAX = 300_000;
const EXTERNAL_FILES_MAX = 10_000;
const TEXT_BYTES_MAX = 1_024;
const MODEL = { irVersion: 1, producer: 2, graph: 7, operators: 8 };
const GRAPH_INITIALIZER = 5;
const TENSOR = { dims: 1, external: 13 };

/** Null: the message is not an ONNX model. Throws `ProtobufError` where one is cut or contradicts itself. */
export function readOnnx(file: ReadAt): OnnxFacts | null {
  const view = new WindowedFile(file);
  const budget: FieldBudget = { left: FIELDS_MAX };
  const facts = { producer: null as string | null, files: new Set<string>(), outside: [] as string[], elements: 0 };
  const seen = new Set<number>();
  let graph: ProtobufField | null = null;
  for (const field of walkFields(view, 0, view.sizeBytes, budget)) {
    seen.add(field.number);
    if (field.number === MODEL.producer && field.wire === 2) facts.producer = readText(view, field);
    if (field.number === MODEL.graph && field.wire === 2) graph = field;
  }
  if (!seen.has(MODEL.irVersion) || graph === null || !seen.has(MODEL.operators)) return null;
  for (const field of walkFields(view, graph.start, graph.end, budget)) {
    if (field.number === GRAPH_INITIALIZER && field.wire === 2)
      facts.elements += readTensor(view, field, budget, facts);
  }
  const countable = Number.isSafeInteger(facts.elements) && facts.elements > 0;
  return {
    producer: facts.producer,
    parameterCount: countable ? facts.elements : null,
    externalFiles: [...facts.files],
    outside: facts.outside,
  };
}

/** Its elements; notes where its data lies. */
function readTensor(
  view: WindowedFile,
  tensor: ProtobufField,
  budget: FieldBudget,
  facts: { files: Set<string>; outside: string[] },
): number {
  let elements = 1;
  for (const field of walkFields(view, tensor.start, tensor.end, budget)) {
    if (field.number === TENSOR.dims) {
      for (const size of readDims(view, field)) elements *= size;
    }
    if (field.number === TENSOR.external && field.wire === 2) noteLocation(view, field, budget, facts);
  }
  return elements;
}

/** One by one, or packed: a run of numbers. */
function readDims(view: WindowedFile, field: ProtobufField): number[] {
  if (field.wire === 0) return [field.value];
  if (field.end - field.start > TEXT_BYTES_MAX) throw new ProtobufError("a tensor has too many dimensions");
  const dims: number[] = [];
  let value = 0;
  let factor = 1;
  for (let at = field.start; at < field.end; at++) {
    const byte = view.u8(at);
    value += (byte & 127) * factor;
    factor *= 128;
    if (byte >= 128) continue;
    dims.push(value);
    value = 0;
    factor = 1;
  }
  return dims;
}

/** An entry of a small dictionary: `location` names the file. */
function noteLocation(
  view: WindowedFile,
  entry: ProtobufField,
  budget: FieldBudget,
  facts: { files: Set<string>; outside: string[] },
): void {
  let key = "";
  let value = "";
  for (const field of walkFields(view, entry.start, entry.end, budget)) {
    if (field.number === 1 && field.wire === 2) key = readText(view, field);
    if (field.number === 2 && field.wire === 2) value = readText(view, field);
  }
  if (key !== "location") return;
  const name = value.replace(/^\.\//, "");
  if (!isPlainName(name)) facts.outside.push(value);
  else if (facts.files.size < EXTERNAL_FILES_MAX) facts.files.add(name);
}

function readText(view: WindowedFile, field: ProtobufField): string {
  return view.text(field.start, Math.min(field.end - field.start, TEXT_BYTES_MAX));
}
