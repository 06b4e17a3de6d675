// What compressed-tensors calls `pack-quantized`: rows of words with whole numbers in them, each row with scales and perhaps
// zero points for groups of its columns. Numbers do not cross the words' borders.

import { AppError } from "../../protocol/errors.ts";
import type { Fields } from "../json-file.ts";
import type { Weight } from "../weights.ts";
import {
  FLOAT_TYPES,
  halfTypeOf,
  matrixSizes,
  readGroups,
  requireShape,
  type StoredTensors,
  type StoredValues,
  takePart,
  WORD_TYPES,
  wrongTensor,
} from "./stored-values.ts";
import { type FillRows, singlePrecision, type UnpackedWeight, type Unpacking } from "./unpacked.ts";

interface PackedParts {
  words: Weight;
  scale: Weight;
  zeros: Weight | null;
  /** Group of each column, where they are in no order. */
  order: Weight | null;
  shape: Weight;
  bits: number;
  rows: number;
  columns: number;
  groups: number;
  groupColumns: number;
}

/** `settings`: `weights` of the configuration's group. */
export function planPackQuantized(stored: StoredTensors, settings: Fields, values: StoredValues): Unpacking {
  const bits = settings.requiredSize("num_bits");
  if (bits < 2 || bits > 8 || (settings.text("type") ?? "int") !== "int") {
    throw new AppError({
      code: "format_unsupported",
      message: `the weights are packed numbers of ${bits} bits of the type "${settings.text("type") ?? "int"}"`,
      hint: "Whole numbers of 2 to 8 bits are unpacked. Use the original weights of the model, or a GGUF of it.",
    });
  }
  const stated = settings.value("group_size");
  const groupColumns = stated === -1 ? null : settings.size("group_size");
  const weights = [...stored.values()].flatMap(({ name }): UnpackedWeight[] => {
    if (!name.endsWith("_packed")) return [];
    const parts = readParts(stored, name.slice(0, -"_packed".length), { bits, groupColumns }, values);
    const { words, scale, zeros, order, shape, rows, columns } = parts;
    return [
      {
        weight: singlePrecision(name.slice(0, -"_packed".length), [rows, columns], halfTypeOf(scale)),
        parts: [words, scale, shape, zeros, order].flatMap((part) => (part === null ? [] : [part.name])),
        open: (of) => openPacked(of, parts),
      },
    ];
  });
  return {
    weights,
    hidden: [...stored.keys()].filter((name) => /\.[kvq]_scale$|\.input_scale$/.test(name)),
    isAppended: true,
  };
}

function readParts(
  stored: StoredTensors,
  name: string,
  { bits, groupColumns }: { bits: number; groupColumns: number | null },
  values: StoredValues,
): PackedParts {
  const words = takePart(stored, `${name}_packed`, WORD_TYPES);
  const scale = takePart(stored, `${name}_scale`, FLOAT_TYPES);
  const shape = takePart(stored, `${name}_shape`, ["I32", "I64"]);
  const zeros = stored.has(`${name}_zero_point`) ? takePart(stored, `${name}_zero_point`, WORD_TYPES) : null;
  const order = stored.has(`${name}_g_idx`) ? takePart(stored, `${name}_g_idx`, ["I32", "I64"]) : null;
  requireShape(shape, [2]);
  const [rows = 0, columns = 0] = values.integers(shape);
  const perWord = Math.floor(32 / bits);
  if (!(columns > 0)) throw wrongTensor(shape.name, `says [${rows}, ${columns}]`);
  requireShape(words, [rows, Math.ceil(columns / perWord)]);
  const width = groupColumns ?? columns;
  const groups = Math.ceil(columns / width);
  if (scale.shape.length !== 1 || groups !== 1) requireShape(scale, [rows, groups]);
  else requireShape(scale, [rows]);
  if (zeros !== null) requireShape(zeros, [Math.ceil(rows / perWord), groups]);
  if (order !== null) requireShape(order, [columns]);
  return { words, scale, shape, zeros, order, bits, rows, columns, groups, groupColumns: width };
}

function openPacked(values: StoredValues, parts: PackedParts): FillRows {
  const { bits, columns, groups } = parts;
  const perWord = Math.floor(32 / bits);
  const mask = 2 ** bits - 1;
  const [, rowWords] = matrixSizes(parts.words);
  const groupOf = readOrder(values, parts);
  const zeroWords = parts.zeros === null ? null : values.words(parts.zeros);
  // Zero points are packed down the rows; without them the middle stands for 0.
  const zeroOf = (row: number, group: number): number => {
    if (zeroWords === null) return 2 ** (bits - 1);
    const word = zeroWords[Math.floor(row / perWord) * groups + group] as number;
    return (word >>> ((row % perWord) * bits)) & mask;
  };
  return (fromRow, rows, out) => {
    const words = values.words(parts.words, fromRow * rowWords, rows * rowWords);
    const scales = values.floats(parts.scale, fromRow * groups, rows * groups);
    const zeros = new Uint8Array(groups);
    for (let row = 0; row < rows; row++) {
      for (let group = 0; group < groups; group++) zeros[group] = zeroOf(fromRow + row, group);
      for (let column = 0; column < columns; column++) {
        const word = words[row * rowWords + Math.floor(column / perWord)] as number;
        const value = (word >>> ((column % perWord) * bits)) & mask;
        const group = groupOf[column] as number;
        out[row * columns + column] = (value - (zeros[group] as number)) * (scales[row * groups + group] as number);
      }
    }
  };
}

function readOrder(values: StoredValues, { order, columns, groups, groupColumns }: PackedParts): Int32Array {
  if (order === null) return Int32Array.from({ length: columns }, (_, column) => Math.floor(column / groupColumns));
  return readGroups(values, order, groups);
}
