// What llama.cpp's architectures mean for serving. Tables only; unknown names get the
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

export function isProjector(architecture: string): boolean {
  return architecture === "clip";
}

const DRAFT_HEADS: ReadonlySet<string> = new Set(["eagle3", "dflash", "gemma4-assistant"]);

export function isDraftHead(architecture: string): boolean {
  return DRAFT_HEADS.has(architecture);
}

/** `enum llama_pooling_type`; -1 and unknown numbers are null. */
export function poolingFromNumber(value: number): Pooling | null {
  const names: readonly Pooling[] = ["none", "mean", "cls", "last", "rank"];
  return names[value] ?? null;
}
