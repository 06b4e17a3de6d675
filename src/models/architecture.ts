// What llama.cpp's architectures and file types mean for serving. Tables only; unknown names get the
// general case: the engine has the last word.

import type { Pooling } from "../protocol/model-info.ts";

/** Encoders: they embed, they do not generate. */
const ENCODER_ARCHITECTURES: ReadonlySet<string> = new Set([
  "bert",
  "modern-bert",
  "nomic-bert",
  "nomic-bert-moe",
  "neo-bert",
  "jina-bert-v2",
  "jina-bert-v3",
  "eurobert",
  "gemma-embedding",
  "t5encoder",
]);

/** Parts that a GGUF can hold and that are no text model by themselves, with words for the message. */
const COMPANION_ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ["clip", "a vision or audio projector (mmproj)"],
  ["wavtokenizer-dec", "an audio decoder"],
  ["eagle3", "a draft head for speculative decoding"],
  ["dflash", "a draft head for speculative decoding"],
  ["gemma4-assistant", "a draft head for speculative decoding"],
]);

/**
 * Those whose prediction layers (MTP) llama.cpp can run over a memory that takes back a wrong guess. A file of theirs need
 * not have any: the engine has the last word.
 */
const PREDICTING_ARCHITECTURES: ReadonlySet<string> = new Set([
  "cohere2moe",
  "deepseek2",
  "glm4moe",
  "hy_v3",
  "mimo2",
  "step35",
]);

export function canPredict(architecture: string | null): boolean {
  return architecture !== null && PREDICTING_ARCHITECTURES.has(architecture);
}

export function isEncoder(architecture: string): boolean {
  return ENCODER_ARCHITECTURES.has(architecture);
}

/** What a companion file is, or null for a model. */
export function describeCompanion(architecture: string): string | null {
  return COMPANION_ARCHITECTURES.get(architecture) ?? null;
}

/** `enum llama_pooling_type`; -1 and unknown numbers are null. */
export function poolingFromNumber(value: number): Pooling | null {
  const names: readonly Pooling[] = ["none", "mean", "cls", "last", "rank"];
  return names[value] ?? null;
}

/** `enum llama_ftype`, by the names that people use for files. */
const FILE_TYPES: ReadonlyMap<number, string> = new Map([
  [0, "F32"],
  [1, "F16"],
  [2, "Q4_0"],
  [3, "Q4_1"],
  [7, "Q8_0"],
  [8, "Q5_0"],
  [9, "Q5_1"],
  [10, "Q2_K"],
  [11, "Q3_K_S"],
  [12, "Q3_K_M"],
  [13, "Q3_K_L"],
  [14, "Q4_K_S"],
  [15, "Q4_K_M"],
  [16, "Q5_K_S"],
  [17, "Q5_K_M"],
  [18, "Q6_K"],
  [19, "IQ2_XXS"],
  [20, "IQ2_XS"],
  [21, "Q2_K_S"],
  [22, "IQ3_XS"],
  [23, "IQ3_XXS"],
  [24, "IQ1_S"],
  [25, "IQ4_NL"],
  [26, "IQ3_S"],
  [27, "IQ3_M"],
  [28, "IQ2_S"],
  [29, "IQ2_M"],
  [30, "IQ4_XS"],
  [31, "IQ1_M"],
  [32, "BF16"],
  [36, "TQ1_0"],
  [37, "TQ2_0"],
  [38, "MXFP4_MOE"],
  [39, "NVFP4"],
  [40, "Q1_0"],
  [41, "Q2_0"],
]);

/** LLAMA_FTYPE_GUESSED: set where the file itself did not say. */
const GUESSED_BIT = 1024;

export function quantizationName(fileType: number): string | null {
  return FILE_TYPES.get(fileType & ~GUESSED_BIT) ?? null;
}
