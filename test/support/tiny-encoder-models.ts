// The tiny encoders that the converter is tested with, each with the files of its tokenizer.

import { poolingFiles, TINY_BERT, type TinyEncoder } from "./tiny-encoders.ts";
import { tinyWordPiece, tinyWords } from "./wordpiece-tokenizers.ts";

export interface TinyEncoderCase {
  model: TinyEncoder;
  files: Record<string, unknown>;
  /** What the folder asks for; a reranker's head otherwise. */
  pooling: "mean" | "cls" | "rank";
}

const bert = (
  changes: Partial<TinyEncoder>,
  files: Record<string, unknown> = {},
): Omit<TinyEncoderCase, "pooling"> => ({
  model: { ...TINY_BERT, ...changes },
  files: { ...tinyWordPiece(), ...files },
});

/** By names that are good as folder names. */
export const TINY_ENCODERS: Readonly<Record<string, TinyEncoderCase>> = {
  "bert-mean": { ...bert({}, poolingFiles("mean_tokens")), pooling: "mean" },
  "bert-cls": { ...bert({ dtype: "F16", heads: 2 }, poolingFiles("cls_token")), pooling: "cls" },
  "bert-masked": {
    ...bert({ architecture: "BertForMaskedLM", prefix: "bert.", dtype: "BF16", tokenTypes: 1 }),
    pooling: "mean",
  },
  "bert-reranker": {
    ...bert({ architecture: "BertForSequenceClassification", prefix: "bert.", labels: 1 }),
    pooling: "rank",
  },
};

/** The same vocabulary as a file with a word a line, and nothing else. */
export const VOCABULARY_FILES = { "vocab.txt": `${tinyWords().join("\n")}\n` };
