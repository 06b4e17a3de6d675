// Weights of one byte each (FP8, INT8) with scales: for the whole tensor, for each row, or for blocks of it, as DeepSeek, Qwen,
// AutoFP8, FBGEMM, modelopt, compressed-tensors and bitsandbytes write them.

import type { Fields } from "../json-file.ts";
import { countElements, type Weight } from "../weights.ts";
import { BYTE_VALUES, type ByteType } from "./byte-values.ts";
import {
  FLOAT_TYPES,
  matrixSizes,
  requireShape,
  type StoredTensors,
  type StoredValues,
  takePart,
  wrongTensor,
} from "./stored-values.ts";
import { type FillRows, singlePrecision, type UnpackedWeight, type Unpacking } from "./unpacked.ts";

/** Of activations and caches, which llama.cpp does not round in this way; and the layout of INT8 weights, which is one only. */
const UNUSED =
  /\.(input_scale|input_scale_inv|output_scale|activation_scale|weight_format|[qkv]_scale|qscale_act)$|_activation_scale$/;

interface ScaledKind {
  /** Numbers of a row and of a column that share a scale, where they come in blocks. */
  block: readonly [rows: number, columns: number] | null;
}

export function planScaled(stored: StoredTensors, { block }: ScaledKind): Unpacking {
  const weights: UnpackedWeight[] = [];
  for (const weight of stored.values()) {
    if (!(weight.dtype in BYTE_VALUES) || !/(\.|^)weight$/.test(weight.name)) continue;
    const scale = findScale(stored, weight.name);
    const zeros = stored.has(`${weight.name}_zero_point`)
      ? takePart(stored, `${weight.name}_zero_point`, ["I8"])
      : null;
    if (zeros !== null) requireShape(zeros, scale.shape);
    const spread = planSpread(weight, scale, block);
    weights.push({
      weight: singlePrecision(weight.name, weight.shape, {}),
      parts: [weight.name, scale.name, ...(zeros === null ? [] : [zeros.name])],
      open: (values) => openScaled(values, weight, { scale, zeros, spread }),
    });
  }
  return { weights, hidden: [...stored.keys()].filter((name) => UNUSED.test(name)), isAppended: false };
}

interface Scaling {
  scale: Weight;
  zeros: Weight | null;
  spread: Spread;
}

function openScaled(values: StoredValues, weight: Weight, { scale, zeros, spread }: Scaling): FillRows {
  const [, columns] = matrixSizes(weight);
  const table = BYTE_VALUES[weight.dtype as ByteType];
  const scales = values.floats(scale);
  // bitsandbytes keeps the largest number of a row.
  if (scale.name.endsWith(".SCB")) for (let i = 0; i < scales.length; i++) scales[i] = (scales[i] as number) / 127;
  const offsets = zeros === null ? new Float32Array(scales.length) : values.floats(zeros);
  return (fromRow, rows, out) => {
    const bytes = values.bytes(weight, fromRow * columns, rows * columns);
    for (let row = 0; row < rows; row++) {
      for (let from = 0; from < columns; from += spread.columns) {
        const index = spread.find(fromRow + row, from);
        const [by, offset] = [scales[index] as number, offsets[index] as number];
        const start = row * columns + from;
        const end = row * columns + Math.min(columns, from + spread.columns);
        for (let at = start; at < end; at++) out[at] = ((table[bytes[at] as number] as number) - offset) * by;
      }
    }
  };
}

function findScale(stored: StoredTensors, name: string): Weight {
  const stem = name.slice(0, -"weight".length);
  const names = [`${name}_scale_inv`, `${name}_scale`, `${stem}qscale_weight`, `${stem}SCB`];
  return takePart(stored, names.find((candidate) => stored.has(candidate)) ?? `${name}_scale`, FLOAT_TYPES);
}

interface Spread {
  /** Neighbours in a row that share one. */
  columns: number;
  find: (row: number, column: number) => number;
}

/** Which scale an element has. Throws where the scales' shape fits in no way. */
function planSpread(weight: Weight, scale: Weight, block: ScaledKind["block"]): Spread {
  const [rows, columns] = matrixSizes(weight);
  const { shape } = scale;
  if (countElements(shape) === 1) return { columns, find: () => 0 };
  if (block !== null) {
    const [blockRows, blockColumns] = block;
    const across = Math.ceil(columns / blockColumns);
    if (shape.length === 2 && shape[0] === Math.ceil(rows / blockRows) && shape[1] === across) {
      const find = (row: number, column: number) => Math.floor(row / blockRows) * across + column / blockColumns;
      return { columns: blockColumns, find };
    }
  }
  if (shape[0] === rows && countElements(shape) === rows) return { columns, find: (row) => row };
  const blocks = block === null ? "" : ` nor its blocks of ${block.join(" × ")}`;
  const claim = `[${shape.join(", ")}], which fits neither the rows of [${rows}, ${columns}]${blocks}`;
  throw wrongTensor(scale.name, `has the shape ${claim}`);
}

/** `[128, 128]` or `128x128`; null where there is none. */
export function readBlock(settings: Fields | null, name: string): ScaledKind["block"] {
  const stated = settings?.value(name) ?? null;
  if (settings === null || stated === null) return null;
  const sizes = typeof stated === "string" ? stated.split("x").map(Number) : stated;
  const isSize = (value: unknown): value is number =>
    typeof value === "number" && Number.isSafeInteger(value) && value > 0;
  if (!Array.isArray(sizes) || sizes.length !== 2 || !sizes.every(isSize)) {
    throw settings.wrong(name, "two whole numbers over 0");
  }
  return [sizes[0] as number, sizes[1] as number];
}
