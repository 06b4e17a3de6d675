// GPTQ's weights: columns of 32-bit words, whole-number zero points and scales for groups of inputs, and for each input the
// group that it belongs to (which is in no order when the weights were rounded by activation).

import { AppError } from "../../protocol/errors.ts";
import type { Fields } from "../json-file.ts";
import type { Weight } from "../weights.ts";
import { readField, unpackRows } from "./bit-fields.ts";
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

const BITS: readonly number[] = [2, 3, 4, 8];

interface GptqParts {
  words: Weight;
  zeros: Weight;
  scales: Weight;
  /** Null: groups follow each other. */
  order: Weight | null;
  bits: number;
  inputs: number;
  outputs: number;
  groups: number;
  /** The first version of the format keeps zero points less one. */
  zeroShift: number;
}

export function planGptq(stored: StoredTensors, settings: Fields, values: StoredValues): Unpacking {
  const format = settings.text("checkpoint_format") ?? "gptq";
  if ((format !== "gptq" && format !== "gptq_v2") || settings.truth("is_marlin_format") === true) {
    throw new AppError({
      code: "format_unsupported",
      message: `the weights are in the GPTQ variant "${format.slice(0, 40)}", which is not unpacked`,
      hint: "Use a version of the model in gptq or gptq_v2 format, or its original weights.",
    });
  }
  const stated = settings.value("dynamic") === null ? settings.size("bits") : null;
  const weights = [...stored.values()].flatMap((words): UnpackedWeight[] => {
    if (!words.name.endsWith(".qweight")) return [];
    const parts = readParts(stored, words.name.slice(0, -"qweight".length), format === "gptq" ? 1 : 0);
    if (stated !== null && stated !== parts.bits) {
      throw wrongTensor(words.name, `has ${parts.bits} bits, where the configuration says ${stated}`);
    }
    const { zeros, scales, order, outputs, inputs } = parts;
    return [
      {
        weight: singlePrecision(words.name.replace(/qweight$/, "weight"), [outputs, inputs], halfTypeOf(scales)),
        parts: [words, zeros, scales, ...(order === null ? [] : [order])].map(({ name }) => name),
        open: (of) => openGptq(of, parts),
      },
    ];
  });
  return { weights, hidden: findZeroBiases(stored, values), isAppended: true };
}

/** Some tools give every layer a bias, of zeros where the model has none; architectures know of no such tensors. */
function findZeroBiases(stored: StoredTensors, values: StoredValues): string[] {
  return [...stored.values()].flatMap((bias) => {
    const isBeside = bias.name.endsWith(".bias") && stored.has(bias.name.replace(/bias$/, "qweight"));
    if (!isBeside || !FLOAT_TYPES.includes(bias.dtype)) return [];
    return values.floats(bias).every((value) => value === 0) ? [bias.name] : [];
  });
}

function readParts(stored: StoredTensors, stem: string, zeroShift: number): GptqParts {
  const words = takePart(stored, `${stem}qweight`, WORD_TYPES);
  const zeros = takePart(stored, `${stem}qzeros`, WORD_TYPES);
  const scales = takePart(stored, `${stem}scales`, FLOAT_TYPES);
  const order = stored.has(`${stem}g_idx`) ? takePart(stored, `${stem}g_idx`, ["I32", "I64"]) : null;
  const [wordRows, outputs] = matrixSizes(words);
  const [groups, zeroWords] = matrixSizes(zeros);
  requireShape(scales, [groups, outputs]);
  const bits = (zeroWords * 32) / outputs;
  if (!BITS.includes(bits)) throw wrongTensor(zeros.name, `makes ${bits} bits a number; 2, 3, 4 and 8 are unpacked`);
  const inputs = (wordRows * 32) / bits;
  if (!Number.isInteger(inputs))
    throw wrongTensor(words.name, `has ${wordRows} rows, which numbers of ${bits} bits do not fill`);
  if (order !== null) requireShape(order, [inputs]);
  else if (inputs % groups !== 0) throw wrongTensor(scales.name, `has ${groups} groups for ${inputs} inputs`);
  return { words, zeros, scales, order, bits, inputs, outputs, groups, zeroShift };
}

function openGptq(values: StoredValues, parts: GptqParts): FillRows {
  const { bits, inputs, outputs, groups } = parts;
  const groupOf = readOrder(values, parts);
  const scales = values.floats(parts.scales);
  const zeros = unpackRows(values.words(parts.zeros), groups, outputs, bits);
  return (fromRow, rows, out) => {
    const words = values.heldWords(parts.words);
    for (let input = 0; input < inputs; input++) {
      const group = (groupOf[input] as number) * outputs + fromRow;
      for (let row = 0; row < rows; row++) {
        const value = readField(words, fromRow + row, outputs, input, bits);
        const zero = (zeros[group + row] as number) + parts.zeroShift;
        out[row * inputs + input] = (value - zero) * (scales[group + row] as number);
      }
    }
  };
}

function readOrder(values: StoredValues, { order, inputs, groups }: GptqParts): Int32Array {
  if (order === null) return Int32Array.from({ length: inputs }, (_, input) => Math.floor(input / (inputs / groups)));
  return readGroups(values, order, groups);
}
