// Matrices as GPTQ, AWQ and MLX pack them into 32-bit words, made from random steps and scales, each with the numbers that it
// stands for: by the formula of its method, from the steps and not from the packed bytes. Shares no code with src.

import { brainHalves, bytesOf, halves, make, type Packer, packBits, randomFor, roundScale } from "./packed-numbers.ts";
import type { TensorToWrite } from "./safetensors-writer.ts";

const transpose = (words: Uint32Array, rows: number, columns: number): Uint32Array =>
  Uint32Array.from({ length: words.length }, (_, i) => words[(i % rows) * columns + Math.floor(i / rows)] ?? 0);

export interface GptqOptions {
  bits: number;
  group: number;
  version: 1 | 2;
  isActOrdered: boolean;
}

export const packGptq =
  ({ bits, group, version, isActOrdered }: GptqOptions): Packer =>
  (path, rows, columns) => {
    const random = randomFor(path);
    const groups = columns / group;
    const order = Array.from({ length: columns }, (_, column) => Math.floor(column / group));
    if (isActOrdered) order.sort(() => random(3) - 1);
    const steps = Uint8Array.from({ length: rows * columns }, () => random(2 ** bits));
    // By group, then by row.
    const zeros = Uint8Array.from({ length: groups * rows }, () => random(2 ** bits));
    const scales = make(groups * rows, () => roundScale(random, 0.2 / 2 ** bits));
    const values = make(rows * columns, (i) => {
      const at = (order[i % columns] ?? 0) * rows + Math.floor(i / columns);
      return ((steps[i] ?? 0) - (zeros[at] ?? 0) - (version === 1 ? 1 : 0)) * (scales[at] ?? 0);
    });
    const wordRows = (columns * bits) / 32;
    const words = transpose(new Uint32Array(packBits(steps, bits).buffer), rows, wordRows);
    // Columns of the file are outputs: what was [rows][words] becomes [words][rows].
    const tensors: TensorToWrite[] = [
      { name: `${path}.qweight`, dtype: "I32", shape: [wordRows, rows], data: bytesOf(words) },
      { name: `${path}.qzeros`, dtype: "I32", shape: [groups, (rows * bits) / 32], data: packBits(zeros, bits) },
      { name: `${path}.scales`, dtype: "F16", shape: [groups, rows], data: halves(scales) },
    ];
    const index = { name: `${path}.g_idx`, dtype: "I32", shape: [columns], data: bytesOf(Int32Array.from(order)) };
    return { values, tensors: isActOrdered || version === 1 ? [...tensors, index] : tensors };
  };

export const packAwq =
  (group: number): Packer =>
  (path, rows, columns) => {
    const random = randomFor(path);
    const groups = columns / group;
    const steps = Uint8Array.from({ length: rows * columns }, () => random(16));
    const zeros = Uint8Array.from({ length: groups * rows }, () => random(16));
    const scales = make(groups * rows, () => roundScale(random, 0.02));
    const at = (group_: number, row: number): number => group_ * rows + row;
    const values = make(rows * columns, (i) => {
      const place = at(Math.floor((i % columns) / group), Math.floor(i / columns));
      return ((steps[i] ?? 0) - (zeros[place] ?? 0)) * (scales[place] ?? 0);
    });
    const order = [0, 2, 4, 6, 1, 3, 5, 7];
    const pack = (lines: number, of: (line: number, row: number) => number): Uint8Array => {
      const words = new Uint32Array((lines * rows) / 8);
      for (let line = 0; line < lines; line++) {
        for (let row = 0; row < rows; row++) {
          const nibble = order.indexOf(row % 8);
          const word = (line * rows) / 8 + Math.floor(row / 8);
          words[word] = (words[word] ?? 0) + of(line, row) * 16 ** nibble;
        }
      }
      return bytesOf(words);
    };
    const words = pack(columns, (column, row) => steps[row * columns + column] ?? 0);
    return {
      values,
      tensors: [
        { name: `${path}.qweight`, dtype: "I32", shape: [columns, rows / 8], data: words },
        {
          name: `${path}.qzeros`,
          dtype: "I32",
          shape: [groups, rows / 8],
          data: pack(groups, (g, row) => zeros[at(g, row)] ?? 0),
        },
        { name: `${path}.scales`, dtype: "F16", shape: [groups, rows], data: halves(scales) },
      ],
    };
  };

/** AWQ for GEMV: by rows of outputs; zero points and scales are filled up to whole words, here with what must not be read. */
export const packAwqRows =
  (group: number): Packer =>
  (path, rows, columns) => {
    const random = randomFor(path);
    const groups = columns / group;
    const padded = Math.ceil(groups / 8) * 8;
    const steps = Uint8Array.from({ length: rows * columns }, () => random(16));
    const zeros = Uint8Array.from({ length: rows * padded }, () => random(16));
    const scales = make(rows * padded, () => roundScale(random, 0.02));
    const values = make(rows * columns, (i) => {
      const place = Math.floor(i / columns) * padded + Math.floor((i % columns) / group);
      return ((steps[i] ?? 0) - (zeros[place] ?? 0)) * (scales[place] ?? 0);
    });
    return {
      values,
      tensors: [
        { name: `${path}.qweight`, dtype: "I32", shape: [rows, columns / 8], data: packBits(steps, 4) },
        { name: `${path}.qzeros`, dtype: "I32", shape: [rows, padded / 8], data: packBits(zeros, 4) },
        { name: `${path}.scales`, dtype: "F16", shape: [rows, padded], data: halves(scales) },
      ],
    };
  };

export const packMlx =
  (bits: number, group: number, dtype: "F16" | "BF16" = "BF16"): Packer =>
  (path, rows, columns) => {
    const random = randomFor(path);
    const groups = columns / group;
    const steps = Uint8Array.from({ length: rows * columns }, () => random(2 ** bits));
    const scales = make(rows * groups, () => roundScale(random, 0.2 / 2 ** bits));
    const biases = make(rows * groups, () => -roundScale(random, 0.1));
    const values = make(rows * columns, (i) => {
      const at = Math.floor(i / columns) * groups + Math.floor((i % columns) / group);
      return (steps[i] ?? 0) * (scales[at] ?? 0) + (biases[at] ?? 0);
    });
    const encode = dtype === "F16" ? halves : brainHalves;
    return {
      values,
      tensors: [
        { name: `${path}.weight`, dtype: "U32", shape: [rows, (columns * bits) / 32], data: packBits(steps, bits) },
        { name: `${path}.scales`, dtype, shape: [rows, groups], data: encode(scales) },
        { name: `${path}.biases`, dtype, shape: [rows, groups], data: encode(biases) },
      ],
    };
  };
