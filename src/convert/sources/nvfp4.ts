// NVFP4's weights, as modelopt and compressed-tensors write them: two 4-bit floating point numbers in a byte, an FP8 scale for
// each sixteen of a row, and one scale for all.

import type { Weight } from "../weights.ts";
import { E2M1_VALUES } from "./byte-values.ts";
import { planScaled } from "./scaled.ts";
import {
  FLOAT_TYPES,
  matrixSizes,
  requireShape,
  type StoredTensors,
  type StoredValues,
  takePart,
} from "./stored-values.ts";
import { type FillRows, singlePrecision, type UnpackedWeight, type Unpacking } from "./unpacked.ts";

const GROUP = 16;

interface Nvfp4Parts {
  bytes: Weight;
  scales: Weight;
  global: Weight;
  /** compressed-tensors keeps what the scales were multiplied by, modelopt what they are to be multiplied by. */
  isDivisor: boolean;
}

/** Layers that are FP8 may stand among them. */
export function planNvfp4(stored: StoredTensors): Unpacking {
  const plain = new Map(stored);
  const weights = [...stored.values()].flatMap((bytes): UnpackedWeight[] => {
    const [, name] = /^(.*\bweight)(?:_packed)?$/.exec(bytes.name) ?? [];
    if (name === undefined || bytes.dtype !== "U8") return [];
    const isDivisor = bytes.name !== name;
    const scales = takePart(stored, `${name}_scale`, ["F8_E4M3"]);
    const global = takePart(stored, isDivisor ? `${name}_global_scale` : `${name}_scale_2`, FLOAT_TYPES);
    const [rows, halves] = matrixSizes(bytes);
    requireShape(scales, [rows, Math.ceil((halves * 2) / GROUP)]);
    requireShape(global, global.shape.length === 0 ? [] : [1]);
    const parts = [bytes.name, scales.name, global.name];
    for (const part of parts) plain.delete(part);
    return [
      {
        weight: singlePrecision(name, [rows, halves * 2], {}),
        parts,
        open: (values) => openNvfp4(values, { bytes, scales, global, isDivisor }),
      },
    ];
  });
  const scaled = planScaled(plain, { block: null });
  const globals = [...stored.keys()].filter((name) => name.endsWith(".input_global_scale"));
  return { ...scaled, weights: [...weights, ...scaled.weights], hidden: [...scaled.hidden, ...globals] };
}

function openNvfp4(values: StoredValues, { bytes, scales, global, isDivisor }: Nvfp4Parts): FillRows {
  const [, halves] = matrixSizes(bytes);
  const columns = halves * 2;
  const groups = Math.ceil(columns / GROUP);
  const stated = values.floats(global)[0] as number;
  const whole = Math.fround(isDivisor ? 1 / stated : stated);
  return (fromRow, rows, out) => {
    const packed = values.bytes(bytes, fromRow * halves, rows * halves);
    const by = values.floats(scales, fromRow * groups, rows * groups);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const byte = packed[row * halves + (column >> 1)] as number;
        const value = E2M1_VALUES[(column & 1) === 0 ? byte & 15 : byte >> 4] as number;
        const scale = Math.fround((by[row * groups + Math.floor(column / GROUP)] as number) * whole);
        out[row * columns + column] = value * scale;
      }
    }
  };
}
