// MLX's quantised weights: 32-bit words with whole numbers of 2 to 8 bits, a scale and an offset for each group of columns.
// Linear layers and embeddings are packed alike, and each may have bits and groups of its own.

import { AppError } from "../../protocol/errors.ts";
import type { Fields } from "../json-file.ts";
import type { Weight } from "../weights.ts";
import { readField } from "./bit-fields.ts";
import {
  FLOAT_TYPES,
  halfTypeOf,
  requireShape,
  type StoredTensors,
  type StoredValues,
  takePart,
  wrongTensor,
} from "./stored-values.ts";
import { type FillRows, singlePrecision, type UnpackedWeight, type Unpacking } from "./unpacked.ts";

const BITS: readonly number[] = [2, 3, 4, 5, 6, 8];
const GROUPS: readonly number[] = [16, 32, 64, 128];

interface MlxParts {
  words: Weight;
  scales: Weight;
  biases: Weight;
  bits: number;
  columns: number;
  groupColumns: number;
}

/** `settings`: `quantization` of config.json. A weight is packed when it has scales. */
export function planMlx(stored: StoredTensors, settings: Fields): Unpacking {
  const weights = [...stored.values()].flatMap((words): UnpackedWeight[] => {
    const path = words.name.replace(/\.weight$/, "");
    if (path === words.name || words.dtype !== "U32") return [];
    const parts = readParts(stored, words, `${path}.`, findSettings(settings, path));
    const shape = [...words.shape.slice(0, -1), parts.columns];
    return [
      {
        weight: singlePrecision(words.name, shape, halfTypeOf(parts.scales)),
        parts: [words, parts.scales, parts.biases].map(({ name }) => name),
        open: (values) => openMlx(values, parts),
      },
    ];
  });
  return { weights, hidden: [], isAppended: false };
}

/** Those of one layer, where it has its own, over those of all. */
function findSettings(settings: Fields, path: string): { bits: number; groupColumns: number } {
  const value = settings.value(path);
  const own = typeof value === "object" && value !== null ? settings.object(path) : null;
  const mode = own?.text("mode") ?? settings.text("mode") ?? "affine";
  const bits = own?.size("bits") ?? settings.requiredSize("bits");
  const groupColumns = own?.size("group_size") ?? settings.requiredSize("group_size");
  if (mode === "affine" && BITS.includes(bits) && GROUPS.includes(groupColumns)) return { bits, groupColumns };
  throw new AppError({
    code: "format_unsupported",
    message: `${path.slice(0, 80)} is packed by MLX as "${mode.slice(0, 20)}" of ${bits} bits in groups of ${groupColumns}`,
    hint: `"affine" of ${BITS.join(", ")} bits in groups of ${GROUPS.join(", ")} is unpacked. Use the original weights.`,
  });
}

function readParts(
  stored: StoredTensors,
  words: Weight,
  stem: string,
  { bits, groupColumns }: { bits: number; groupColumns: number },
): MlxParts {
  const scales = takePart(stored, `${stem}scales`, FLOAT_TYPES);
  const biases = takePart(stored, `${stem}biases`, FLOAT_TYPES);
  const rowWords = words.shape.at(-1) ?? 0;
  const columns = (rowWords * 32) / bits;
  if (words.shape.length < 2 || !Number.isInteger(columns) || columns % groupColumns !== 0 || columns === 0) {
    throw wrongTensor(
      words.name,
      `has ${rowWords} words a row, which groups of ${groupColumns} numbers of ${bits} bits do not fill`,
    );
  }
  const expected = [...words.shape.slice(0, -1), columns / groupColumns];
  requireShape(scales, expected);
  requireShape(biases, expected);
  return { words, scales, biases, bits, columns, groupColumns };
}

function openMlx(values: StoredValues, { words, scales, biases, bits, columns, groupColumns }: MlxParts): FillRows {
  const rowWords = (columns * bits) / 32;
  const groups = columns / groupColumns;
  return (fromRow, rows, out) => {
    const packed = values.words(words, fromRow * rowWords, rows * rowWords);
    const by = values.floats(scales, fromRow * groups, rows * groups);
    const offsets = values.floats(biases, fromRow * groups, rows * groups);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const group = row * groups + Math.floor(column / groupColumns);
        const value = readField(packed, row * rowWords, 1, column, bits);
        out[row * columns + column] = value * (by[group] as number) + (offsets[group] as number);
      }
    }
  };
}
