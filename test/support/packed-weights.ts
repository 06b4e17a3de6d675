// Matrices of bytes with scales, and as compressed-tensors and bitsandbytes pack them, made from random steps and scales, each
// with the numbers that it stands for: by the formula of its method, from the steps. Shares no code with src.

import {
  brainHalves,
  bytesOf,
  make,
  type Packer,
  packBits,
  type Random,
  randomFor,
  roundScale,
} from "./packed-numbers.ts";
import type { TensorToWrite } from "./safetensors-writer.ts";

/** Through half precision: the exponent's and mantissa's bits are its upper ones, but for E4M3's smaller bias. */
function decodeFp8(byte: number, type: "F8_E4M3" | "F8_E5M2"): number {
  const bits = type === "F8_E5M2" ? byte << 8 : ((byte & 128) << 8) | ((byte & 127) << 7);
  const half = new Float16Array(Uint16Array.of(bits).buffer)[0] ?? 0;
  return type === "F8_E5M2" ? half : half * 256;
}

/** No NaN, no infinity, and nothing that is far larger than the rest. */
const randomFp8 = (random: Random, type: "F8_E4M3" | "F8_E5M2"): number =>
  random(type === "F8_E4M3" ? 0x48 : 0x40) + 128 * random(2);

export interface ScaledOptions {
  type: "F8_E4M3" | "F8_E5M2" | "I8";
  scaleName: string;
  scaleType: "F32" | "BF16";
  /** Of the scale; empty: one for all. */
  scaleShape: (rows: number, columns: number) => number[];
  /** Which scale an element has. */
  scaleAt: (row: number, column: number, columns: number) => number;
  hasZeros?: boolean;
  /** The scale is so many times what it says. */
  factor?: number;
}

export const packScaled =
  (options: ScaledOptions): Packer =>
  (path, rows, columns) => {
    const random = randomFor(path);
    const { type, scaleName, scaleType } = options;
    const bytes = Uint8Array.from({ length: rows * columns }, () =>
      type === "I8" ? random(256) : randomFp8(random, type),
    );
    const shape = options.scaleShape(rows, columns);
    const count = shape.reduce((a, b) => a * b, 1);
    const scales = make(count, () => roundScale(random, 0.05 / (type === "I8" ? 100 : 1)));
    const zeros = Int8Array.from({ length: count }, () => random(21) - 10);
    const values = make(rows * columns, (i) => {
      const at = options.scaleAt(Math.floor(i / columns), i % columns, columns);
      const number = type === "I8" ? ((bytes[i] ?? 0) << 24) >> 24 : decodeFp8(bytes[i] ?? 0, type);
      const zero = options.hasZeros === true ? (zeros[at] ?? 0) : 0;
      return (number - zero) * Math.fround((scales[at] ?? 0) / (options.factor ?? 1));
    });
    const tensors: TensorToWrite[] = [
      { name: `${path}.weight`, dtype: type, shape: [rows, columns], data: bytes },
      {
        name: `${path}.${scaleName}`,
        dtype: scaleType,
        shape,
        data: scaleType === "F32" ? bytesOf(scales) : brainHalves(scales),
      },
    ];
    if (options.hasZeros === true)
      tensors.push({ name: `${path}.weight_zero_point`, dtype: "I8", shape, data: bytesOf(zeros) });
    return { values, tensors };
  };

export interface GroupedOptions {
  bits: number;
  /** Null: one for each row. */
  group: number | null;
  hasZeros: boolean;
  isOrdered: boolean;
}

/** compressed-tensors' `pack-quantized`. */
export const packGrouped =
  ({ bits, group, hasZeros, isOrdered }: GroupedOptions): Packer =>
  (path, rows, columns) => {
    const random = randomFor(path);
    const groups = group === null ? 1 : Math.ceil(columns / group);
    const order = Array.from({ length: columns }, (_, column) => (group === null ? 0 : Math.floor(column / group)));
    if (isOrdered) order.sort(() => random(3) - 1);
    const steps = Uint8Array.from({ length: rows * columns }, () => random(2 ** bits));
    const zeros = Uint8Array.from({ length: rows * groups }, () => random(2 ** bits));
    const scales = make(rows * groups, () => roundScale(random, 0.2 / 2 ** bits));
    const values = make(rows * columns, (i) => {
      const at = Math.floor(i / columns) * groups + (order[i % columns] ?? 0);
      return ((steps[i] ?? 0) - (hasZeros ? (zeros[at] ?? 0) : 2 ** (bits - 1))) * (scales[at] ?? 0);
    });
    const perWord = Math.floor(32 / bits);
    const packLine = (line: (index: number) => number | undefined, count: number): number[] =>
      Array.from({ length: Math.ceil(count / perWord) }, (_, word) => {
        const fields = Array.from({ length: perWord }, (_, i) => (line(word * perWord + i) ?? 0) * 2 ** (i * bits));
        return fields.reduce((a, b) => a + b, 0);
      });
    const words = Array.from({ length: rows }, (_, row) =>
      packLine((column) => (column < columns ? steps[row * columns + column] : 0), columns),
    );
    const zeroColumns = Array.from({ length: groups }, (_, at) => packLine((row) => zeros[row * groups + at], rows));
    const zeroRows = Math.ceil(rows / perWord);
    const tensors: TensorToWrite[] = [
      {
        name: `${path}.weight_packed`,
        dtype: "I32",
        shape: [rows, words[0]?.length ?? 0],
        data: bytesOf(Uint32Array.from(words.flat())),
      },
      { name: `${path}.weight_scale`, dtype: "BF16", shape: [rows, groups], data: brainHalves(scales) },
      {
        name: `${path}.weight_shape`,
        dtype: "I64",
        shape: [2],
        data: bytesOf(BigInt64Array.of(BigInt(rows), BigInt(columns))),
      },
    ];
    if (hasZeros) {
      const packed = Uint32Array.from(
        { length: zeroRows * groups },
        (_, i) => zeroColumns[i % groups]?.[Math.floor(i / groups)] ?? 0,
      );
      tensors.push({
        name: `${path}.weight_zero_point`,
        dtype: "I32",
        shape: [zeroRows, groups],
        data: bytesOf(packed),
      });
    }
    if (isOrdered) {
      tensors.push({
        name: `${path}.weight_g_idx`,
        dtype: "I32",
        shape: [columns],
        data: bytesOf(Int32Array.from(order)),
      });
    }
    return { values, tensors };
  };

const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

export const packNvfp4 =
  (isCompressed: boolean): Packer =>
  (path, rows, columns) => {
    const random = randomFor(path);
    const groups = columns / 16;
    const codes = Uint8Array.from({ length: rows * columns }, () => random(16));
    const scales = Uint8Array.from({ length: rows * groups }, () => 0x30 + random(16));
    const whole = 2 ** -4;
    const values = make(rows * columns, (i) => {
      const code = codes[i] ?? 0;
      const scale = decodeFp8(
        scales[Math.floor(i / columns) * groups + Math.floor((i % columns) / 16)] ?? 0,
        "F8_E4M3",
      );
      return (E2M1[code & 7] ?? 0) * (code > 7 ? -1 : 1) * scale * whole;
    });
    const global = Float32Array.of(isCompressed ? 1 / whole : whole);
    return {
      values,
      tensors: [
        {
          name: `${path}.weight${isCompressed ? "_packed" : ""}`,
          dtype: "U8",
          shape: [rows, columns / 2],
          data: packBits(codes, 4),
        },
        { name: `${path}.weight_scale`, dtype: "F8_E4M3", shape: [rows, groups], data: scales },
        {
          name: `${path}.${isCompressed ? "weight_global_scale" : "weight_scale_2"}`,
          dtype: "F32",
          shape: isCompressed ? [1] : [],
          data: bytesOf(global),
        },
        {
          name: `${path}.${isCompressed ? "input_global_scale" : "input_scale"}`,
          dtype: "F32",
          shape: [1],
          data: new Uint8Array(4),
        },
      ],
    };
  };

export const packNf4 =
  (isNested: boolean): Packer =>
  (path, rows, columns) => {
    const random = randomFor(path);
    const [block, nestedBlock, offset] = [64, 16, 0.125];
    const codes = Uint8Array.from({ length: rows * columns }, () => random(16));
    const table = make(16, (i) => (i - 7) / 8);
    const blocks = (rows * columns) / block;
    const indices = Uint8Array.from({ length: blocks }, () => random(256));
    const nestedTable = make(256, (i) => i / 256);
    const nestedLargest = make(Math.ceil(blocks / nestedBlock), () => roundScale(random, 0.25));
    const largest = make(blocks, (i) =>
      isNested
        ? Math.fround((nestedTable[indices[i] ?? 0] ?? 0) * (nestedLargest[Math.floor(i / nestedBlock)] ?? 0)) + offset
        : roundScale(random, 0.25),
    );
    const values = make(rows * columns, (i) => (table[codes[i] ?? 0] ?? 0) * (largest[Math.floor(i / block)] ?? 0));
    const packed = Uint8Array.from(
      { length: codes.length / 2 },
      (_, i) => (codes[2 * i] ?? 0) * 16 + (codes[2 * i + 1] ?? 0),
    );
    const nested = { nested_blocksize: nestedBlock, nested_dtype: "float32", nested_offset: offset };
    const state = {
      quant_type: "nf4",
      blocksize: block,
      dtype: "bfloat16",
      shape: [rows, columns],
      ...(isNested ? nested : {}),
    };
    const description = new TextEncoder().encode(JSON.stringify(state));
    const name = `${path}.weight`;
    const tensors: TensorToWrite[] = [
      { name, dtype: "U8", shape: [packed.length, 1], data: packed },
      {
        name: `${name}.absmax`,
        dtype: isNested ? "U8" : "F32",
        shape: [blocks],
        data: isNested ? indices : bytesOf(largest),
      },
      { name: `${name}.quant_map`, dtype: "F32", shape: [16], data: bytesOf(table) },
      { name: `${name}.quant_state.bitsandbytes__nf4`, dtype: "U8", shape: [description.length], data: description },
    ];
    if (!isNested) return { values, tensors };
    tensors.push(
      { name: `${name}.nested_absmax`, dtype: "F32", shape: [nestedLargest.length], data: bytesOf(nestedLargest) },
      { name: `${name}.nested_quant_map`, dtype: "F32", shape: [256], data: bytesOf(nestedTable) },
    );
    return { values, tensors };
  };
