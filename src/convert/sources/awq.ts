// AWQ's weights: rows of inputs with eight 4-bit outputs in a word, in an order of their own, and zero points and scales for
// groups of inputs that follow each other.

import { AppError } from "../../protocol/errors.ts";
import type { Fields } from "../json-file.ts";
import type { Weight } from "../weights.ts";
import { planAwqRows } from "./awq-rows.ts";
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

/** Where in its word each of eight neighbouring outputs lies: even ones first. */
const SHIFTS: readonly number[] = [0, 4, 1, 5, 2, 6, 3, 7].map((place) => 4 * place);
/** All of these are kept in one form; they name what computes with them. */
const VERSIONS: readonly string[] = ["gemm", "exllama", "ipex"];

interface AwqParts {
  words: Weight;
  zeros: Weight;
  scales: Weight;
  inputs: number;
  outputs: number;
  groups: number;
}

export function planAwq(stored: StoredTensors, settings: Fields): Unpacking {
  const bits = settings.size("bits") ?? settings.size("w_bit") ?? 4;
  const version = (settings.text("version") ?? "gemm").toLowerCase();
  if (bits === 4 && version === "gemv") return planAwqRows(stored, settings);
  if (bits !== 4 || !VERSIONS.includes(version)) {
    throw new AppError({
      code: "format_unsupported",
      message: `the weights are AWQ's of ${bits} bits in the version "${version.slice(0, 40)}", which is not unpacked`,
      hint: "4 bits in the versions gemm and gemv are. Use such a version of the model, or its original weights.",
    });
  }
  const weights = [...stored.values()].flatMap(({ name }): UnpackedWeight[] => {
    if (!name.endsWith(".qweight")) return [];
    const parts = readParts(stored, name.slice(0, -"qweight".length));
    const { words, zeros, scales, outputs, inputs } = parts;
    return [
      {
        weight: singlePrecision(name.replace(/qweight$/, "weight"), [outputs, inputs], halfTypeOf(scales)),
        parts: [words, zeros, scales].map((part) => part.name),
        open: (values) => openAwq(values, parts),
      },
    ];
  });
  return { weights, hidden: [], isAppended: false };
}

function readParts(stored: StoredTensors, stem: string): AwqParts {
  const words = takePart(stored, `${stem}qweight`, WORD_TYPES);
  const zeros = takePart(stored, `${stem}qzeros`, WORD_TYPES);
  const scales = takePart(stored, `${stem}scales`, FLOAT_TYPES);
  const [inputs, outputWords] = matrixSizes(words);
  const [groups, outputs] = matrixSizes(scales);
  if (outputs !== outputWords * 8)
    throw wrongTensor(words.name, `has ${outputWords} words a row for ${outputs} scales`);
  requireShape(zeros, [groups, outputWords]);
  if (inputs % groups !== 0) throw wrongTensor(scales.name, `has ${groups} groups for ${inputs} inputs`);
  return { words, zeros, scales, inputs, outputs, groups };
}

function openAwq(values: StoredValues, parts: AwqParts): FillRows {
  const { inputs, outputs, groups } = parts;
  const rowWords = outputs / 8;
  const groupInputs = inputs / groups;
  const scales = values.floats(parts.scales);
  const zeros = values.words(parts.zeros);
  const fieldOf = (words: Uint32Array, row: number, output: number): number =>
    ((words[row * rowWords + (output >> 3)] as number) >>> (SHIFTS[output & 7] as number)) & 15;
  return (fromRow, rows, out) => {
    const words = values.heldWords(parts.words);
    for (let input = 0; input < inputs; input++) {
      const group = Math.floor(input / groupInputs);
      for (let row = 0; row < rows; row++) {
        const output = fromRow + row;
        const steps = fieldOf(words, input, output) - fieldOf(zeros, group, output);
        out[row * inputs + input] = steps * (scales[group * outputs + output] as number);
      }
    }
  };
}
