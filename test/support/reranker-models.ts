// Tiny Qwen3 rerankers: the dense model with a vocabulary that has the words "yes" and "no".

import { tinyTokenizer } from "./hf-tokenizers.ts";
import { TINY, type TinyDecoder } from "./tiny-decoders.ts";

const RERANKER: TinyDecoder = {
  ...TINY,
  architecture: "Qwen3ForCausalLM",
  headLength: 32,
  contextLength: 1024,
  isTied: true,
};
export const YES = 261;
export const NO = 262;

/** Named after what tells it: the beginning of its name. */
export const RERANKERS: Readonly<Record<string, TinyDecoder>> = {
  "Qwen3-Reranker-tied": RERANKER,
  "Qwen3-Reranker-untied": { ...RERANKER, dtype: "BF16", parts: 2, isTied: false },
};

export function rerankerTokenizer(): Record<string, unknown> {
  const files = tinyTokenizer();
  const json = files["tokenizer.json"] as { model: { vocab: Record<string, number>; merges: string[] } };
  const vocab = { ...json.model.vocab, ye: 260, yes: YES, no: NO };
  const merges = [...json.model.merges, "y e", "ye s", "n o"];
  return { ...files, "tokenizer.json": { ...json, model: { ...json.model, vocab, merges } } };
}
