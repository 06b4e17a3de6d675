// The types that a model's file can have: llama.cpp's names and numbers, what each takes, and who writes it. One table;
// it knows nothing of how a type is computed.

import { AppError } from "../protocol/errors.ts";
import type { TargetType } from "./encode-values.ts";

/** Types that the converter writes by itself, tensor by tensor as it reads them. */
export const PLAIN_TYPES = ["f32", "f16", "bf16", "q8_0"] as const;
export type PlainType = (typeof PLAIN_TYPES)[number];

/** Types that llama.cpp's quantiser makes of a file of plain numbers, largest first. */
export const QUANTIZED_TYPES = [
  "q6_k",
  "q5_1",
  "q5_k_m",
  "q5_k_s",
  "q5_0",
  "q4_1",
  "q4_k_m",
  "q4_k_s",
  "iq4_nl",
  "q4_0",
  "iq4_xs",
  "q3_k_l",
  "q3_k_m",
  "iq3_m",
  "iq3_s",
  "q3_k_s",
  "iq3_xs",
  "iq3_xxs",
  "q2_k",
  "q2_k_s",
  "iq2_m",
  "iq2_s",
  "iq2_xs",
  "iq2_xxs",
  "iq1_m",
  "iq1_s",
] as const;

export const OUT_TYPES = [...PLAIN_TYPES, ...QUANTIZED_TYPES] as const;
export type OutType = (typeof OUT_TYPES)[number];

interface OutTypeFacts {
  /** `enum llama_ftype`, as `general.file_type` has it. */
  fileType: number;
  /** Of a whole file of Llama 3 8B; models with a larger part of embeddings take more. */
  bitsPerWeight: number;
  /** Its rows must divide into blocks of so many values; others get a type with smaller blocks. */
  block: number;
  /** llama.cpp refuses to make it without an importance matrix: the result would be garbage. */
  needsImatrix: boolean;
}

const facts = (fileType: number, bitsPerWeight: number, block: number, needsImatrix = false): OutTypeFacts => ({
  fileType,
  bitsPerWeight,
  block,
  needsImatrix,
});

const FACTS: Readonly<Record<OutType, OutTypeFacts>> = {
  f32: facts(0, 32, 1),
  f16: facts(1, 16, 1),
  bf16: facts(32, 16, 1),
  q8_0: facts(7, 8.5, 32),
  q6_k: facts(18, 6.57, 256),
  q5_1: facts(9, 6.04, 32),
  q5_k_m: facts(17, 5.7, 256),
  q5_k_s: facts(16, 5.57, 256),
  q5_0: facts(8, 5.57, 32),
  q4_1: facts(3, 5.11, 32),
  q4_k_m: facts(15, 4.9, 256),
  q4_k_s: facts(14, 4.67, 256),
  iq4_nl: facts(25, 4.66, 32),
  q4_0: facts(2, 4.64, 32),
  iq4_xs: facts(30, 4.43, 256),
  q3_k_l: facts(13, 4.31, 256),
  q3_k_m: facts(12, 4, 256),
  iq3_m: facts(27, 3.77, 256),
  iq3_s: facts(26, 3.67, 256),
  q3_k_s: facts(11, 3.65, 256),
  iq3_xs: facts(22, 3.5, 256, true),
  iq3_xxs: facts(23, 3.26, 256, true),
  q2_k: facts(10, 3.17, 256),
  q2_k_s: facts(21, 2.98, 256, true),
  iq2_m: facts(29, 2.93, 256, true),
  iq2_s: facts(28, 2.74, 256, true),
  iq2_xs: facts(20, 2.6, 256, true),
  iq2_xxs: facts(19, 2.38, 256, true),
  iq1_m: facts(31, 2.15, 256, true),
  iq1_s: facts(24, 2, 256, true),
};

/** Short names that people use. */
const ALIASES: Readonly<Record<string, OutType>> = { q3_k: "q3_k_m", q4_k: "q4_k_m", q5_k: "q5_k_m" };

/** ggml's type of the tensors that the converter writes itself. */
export const PLAIN_TENSOR_TYPES: Readonly<Record<PlainType, TargetType>> = {
  f32: "F32",
  f16: "F16",
  bf16: "BF16",
  q8_0: "Q8_0",
};

export function factsOf(type: OutType): OutTypeFacts {
  return FACTS[type];
}

export function isPlainType(type: OutType): type is PlainType {
  return PLAIN_TYPES.some((plain) => plain === type);
}

/** Null: there is no such type. */
export function findOutType(text: string): OutType | null {
  const name = text.toLowerCase();
  return OUT_TYPES.find((type) => type === name) ?? ALIASES[name] ?? null;
}

/** What a person names: one of the types, or `auto`. `label`: where it was named. Throws `invalid_request`. */
export function parseOutType(text: string, label: string): OutType | "auto" {
  if (text.toLowerCase() === "auto") return "auto";
  const known = findOutType(text);
  if (known !== null) return known;
  throw new AppError({
    code: "invalid_request",
    message: `${label} must be a type that models are converted to, not "${text.slice(0, 40)}"`,
    hint: `These are: auto, ${OUT_TYPES.join(", ")}.`,
  });
}
