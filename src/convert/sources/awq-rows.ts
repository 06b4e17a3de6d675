// AWQ's weights in the version "gemv": rows of outputs with eight 4-bit inputs in a word, one behind the other, and rows of zero
// points and scales, which are filled up to whole words.

import type { Fields } from "../json-file.ts";
import type { Weight } from "../weights.ts";
import { readField } from "./bit-fields.ts";
import {
  FLOAT_TYPES,
  halfTypeOf,
  matrixSizes,
  requireShape,
  type StoredTensors,
  type StoredValues,
  takePart,
  WORD_TYPES,
  wrongTensor,
} from "./stored-values.ts";
import { type FillRows, singlePrecision, type UnpackedWeight, type Unpacking } from "./unpacked.ts";

const BITS = 4;
const WORD_FIELDS = 32 / BITS;

interface AwqRows {
  words: Weight;
  zeros: Weight;
  scales: Weight;
  inputs: number;
  outputs: number;
  groupInputs: number;
  /** Of a row of zero points. */
  zeroWords: number;
}

export function planAwqRows(stored: StoredTensors, settings: Fields): Unpacking {
  const groupInputs = settings.size("group_size") ?? settings.size("q_group_size") ?? 128;
  const weights = [...stored.values()].flatMap(({ name }): UnpackedWeight[] => {
    if (!name.endsWith(".qweight")) return [];
    const parts = readParts(stored, name.slice(0, -"qweight".length), groupInputs);
    const { words, zeros, scales, outputs, inputs } = parts;
    return [
      {
        weight: singlePrecision(name.replace(/qweight$/, "weight"), [outputs, inputs], halfTypeOf(scales)),
        parts: [words, zeros, scales].map((part) => part.name),
        open: (values) => openRows(values, parts),
      },
    ];
  });
  return { weights, hidden: [], isAppended: false };
}

function readParts(stored: StoredTensors, stem: string, groupInputs: number): AwqRows {
  const words = takePart(stored, `${stem}qweight`, WORD_TYPES);
  const zeros = takePart(stored, `${stem}qzeros`, WORD_TYPES);
  const scales = takePart(stored, `${stem}scales`, FLOAT_TYPES);
  const [outputs, rowWords] = matrixSizes(words);
  const [zeroRows, zeroWords] = matrixSizes(zeros);
  const inputs = rowWords * WORD_FIELDS;
  if (inputs % groupInputs !== 0) throw wrongTensor(words.name, `has ${inputs} inputs in groups of ${groupInputs}`);
  const isWide = zeroWords * WORD_FIELDS >= inputs / groupInputs;
  if (zeroRows !== outputs || !isWide) {
    throw wrongTensor(zeros.name, `has the shape [${zeros.shape.join(", ")}] for ${outputs} rows of ${inputs} inputs`);
  }
  requireShape(scales, [outputs, zeroWords * WORD_FIELDS]);
  return { words, zeros, scales, inputs, outputs, groupInputs, zeroWords };
}

function openRows(values: StoredValues, parts: AwqRows): FillRows {
  const { inputs, groupInputs, zeroWords } = parts;
  const rowWords = inputs / WORD_FIELDS;
  const rowScales = zeroWords * WORD_FIELDS;
  return (fromRow, rows, out) => {
    const words = values.words(parts.words, fromRow * rowWords, rows * rowWords);
    const zeros = values.words(parts.zeros, fromRow * zeroWords, rows * zeroWords);
    const scales = values.floats(parts.scales, fromRow * rowScales, rows * rowScales);
    for (let row = 0; row < rows; row++) {
      for (let input = 0; input < inputs; input++) {
        const group = Math.floor(input / groupInputs);
        const steps =
          readField(words, row * rowWords, 1, input, BITS) - readField(zeros, row * zeroWords, 1, group, BITS);
        out[row * inputs + input] = steps * (scales[row * rowScales + group] as number);
      }
    }
  };
}
