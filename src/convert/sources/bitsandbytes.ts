// bitsandbytes' 4-bit weights: two indices in a byte into a table of sixteen numbers, and for each block the largest number
// of it, which may be packed once more. What they were is in JSON beside each weight. Its 8-bit weights are in scaled.ts.

import { isRecord } from "../../lib/is-record.ts";
import { Fields } from "../json-file.ts";
import { countElements, type Weight } from "../weights.ts";
import { planScaled } from "./scaled.ts";
import { requireShape, type StoredTensors, type StoredValues, takePart, wrongTensor } from "./stored-values.ts";
import { type FillRows, singlePrecision, type UnpackedWeight, type Unpacking } from "./unpacked.ts";

/** A few numbers and names. */
const STATE_BYTES_MAX = 64 * 1024;

interface Nf4Parts {
  bytes: Weight;
  table: Weight;
  largest: Weight;
  block: number;
  columns: number;
  /** Where the largest numbers are packed: their table, their own largest numbers, and what was taken off them. */
  nested: { table: Weight; largest: Weight; block: number; offset: number } | null;
}

export function planBitsandbytes(stored: StoredTensors, values: StoredValues): Unpacking {
  const plain = new Map(stored);
  const weights = [...stored.values()].flatMap((state): UnpackedWeight[] => {
    const [, name] = /^(.*\bweight)\.quant_state\.bitsandbytes__(?:nf4|fp4)$/.exec(state.name) ?? [];
    if (name === undefined) return [];
    const { shape, parts } = readParts(stored, name, readState(values, state));
    const names = [parts.bytes, parts.table, parts.largest, parts.nested?.table, parts.nested?.largest, state];
    const used = names.flatMap((part) => (part === undefined ? [] : [part.name]));
    for (const part of used) plain.delete(part);
    return [{ weight: singlePrecision(name, shape, {}), parts: used, open: (of) => openNf4(of, parts) }];
  });
  const scaled = planScaled(plain, { block: null });
  return { ...scaled, weights: [...weights, ...scaled.weights] };
}

function readState(values: StoredValues, state: Weight): Fields {
  const length = countElements(state.shape);
  if (state.dtype !== "U8" || length > STATE_BYTES_MAX)
    throw wrongTensor(state.name, "holds no description of a weight");
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(values.bytes(state, 0, length)));
  } catch (_notJson) {
    // Said below, with the tensor's name.
    value = null;
  }
  if (!isRecord(value)) throw wrongTensor(state.name, "holds no JSON object");
  return new Fields(state.name, value);
}

function readParts(stored: StoredTensors, name: string, state: Fields): { shape: number[]; parts: Nf4Parts } {
  const shape = state.list("shape").map((size) => {
    if (typeof size === "number" && Number.isSafeInteger(size) && size > 0) return size;
    throw state.wrong("shape", "sizes");
  });
  const columns = shape.at(-1) ?? 0;
  const elements = countElements(shape);
  const block = state.requiredSize("blocksize");
  const bytes = takePart(stored, name, ["U8"]);
  if (shape.length !== 2 || !Number.isSafeInteger(elements) || countElements(bytes.shape) !== Math.ceil(elements / 2)) {
    throw wrongTensor(name, `has ${countElements(bytes.shape)} bytes, which do not hold [${shape.join(", ")}]`);
  }
  const table = takePart(stored, `${name}.quant_map`, ["F32"]);
  requireShape(table, [16]);
  const blocks = Math.ceil(elements / block);
  const nestedBlock = state.size("nested_blocksize");
  const largest = takePart(stored, `${name}.absmax`, nestedBlock === null ? ["F32"] : ["U8"]);
  requireShape(largest, [blocks]);
  if (nestedBlock === null) return { shape, parts: { bytes, table, largest, block, columns, nested: null } };
  const nested = {
    table: takePart(stored, `${name}.nested_quant_map`, ["F32"]),
    largest: takePart(stored, `${name}.nested_absmax`, ["F32"]),
    block: nestedBlock,
    offset: state.number("nested_offset") ?? 0,
  };
  requireShape(nested.table, [256]);
  requireShape(nested.largest, [Math.ceil(blocks / nestedBlock)]);
  return { shape, parts: { bytes, table, largest, block, columns, nested } };
}

function openNf4(values: StoredValues, { bytes, table, largest, block, columns, nested }: Nf4Parts): FillRows {
  const numbers = values.floats(table);
  const scales = nested === null ? values.floats(largest) : unpackLargest(values, largest, nested);
  return (fromRow, rows, out) => {
    const first = fromRow * columns;
    const firstByte = Math.floor(first / 2);
    const packed = values.bytes(bytes, firstByte, Math.ceil((first + rows * columns) / 2) - firstByte);
    for (let i = 0; i < rows * columns; i++) {
      const at = first + i;
      const byte = packed[Math.floor(at / 2) - firstByte] as number;
      // The first of two is in the upper half.
      const index = (at & 1) === 0 ? byte >> 4 : byte & 15;
      out[i] = (numbers[index] as number) * (scales[Math.floor(at / block)] as number);
    }
  };
}

function unpackLargest(values: StoredValues, largest: Weight, nested: NonNullable<Nf4Parts["nested"]>): Float32Array {
  const indices = values.bytes(largest, 0, countElements(largest.shape));
  const numbers = values.floats(nested.table);
  const scales = values.floats(nested.largest);
  return Float32Array.from(indices, (index, i) => {
    const value = Math.fround((numbers[index] as number) * (scales[Math.floor(i / nested.block)] as number));
    return value + nested.offset;
  });
}
