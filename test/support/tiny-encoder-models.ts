// The tiny encoders that the converter is tested with, each with the files of its tokenizer.

import { tinyTokenizer } from "./hf-tokenizers.ts";
import { poolingFiles, TINY_BERT, type TinyEncoder } from "./tiny-encoders.ts";
import { tinyUnigram, unigramJson, unigramPieces } from "./unigram-tokenizers.ts";
import { tinyWordPiece } from "./wordpiece-tokenizers.ts";

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

const ROBERTA: Partial<TinyEncoder> = {
  architecture: "RobertaModel",
  modelType: "roberta",
  vocabulary: 300,
  positions: 66,
  positionOffset: 2,
  tokenTypes: 1,
  epsilon: 1e-5,
};
const XLM: Partial<TinyEncoder> = { ...ROBERTA, modelType: "xlm-roberta", vocabulary: 64 };
const NOMIC: Partial<TinyEncoder> = { architecture: "NomicBertModel", modelType: "nomic_bert" };
const MODERN: Partial<TinyEncoder> = {
  architecture: "ModernBertModel",
  modelType: "modernbert",
  layers: 4,
  vocabulary: 300,
  epsilon: 1e-5,
};

const other = (changes: Partial<TinyEncoder>, files: Record<string, unknown>): Omit<TinyEncoderCase, "pooling"> => ({
  model: { ...TINY_BERT, ...changes },
  files,
});

/** The small byte-level vocabulary, with a frame around texts. */
function framedBytes(post: Record<string, unknown>): Record<string, unknown> {
  const { "tokenizer.json": json, "tokenizer_config.json": settings } = tinyTokenizer();
  const names = { eos_token: "<|eos|>", cls_token: "<|bos|>", sep_token: "<|eos|>" };
  const { chat_template: _template, add_bos_token: _adds, ...plain } = settings as Record<string, unknown>;
  return {
    "tokenizer.json": { ...(json as Record<string, unknown>), post_processor: post },
    "tokenizer_config.json": { ...plain, ...names },
  };
}

const ROBERTA_FRAME = {
  type: "RobertaProcessing",
  sep: ["<|eos|>", 257],
  cls: ["<|bos|>", 256],
  trim_offsets: true,
  add_prefix_space: false,
};
const MODERN_FRAME = {
  type: "TemplateProcessing",
  single: [
    { SpecialToken: { id: "<|bos|>", type_id: 0 } },
    { Sequence: { id: "A", type_id: 0 } },
    { SpecialToken: { id: "<|eos|>", type_id: 0 } },
  ],
  pair: [
    { SpecialToken: { id: "<|bos|>", type_id: 0 } },
    { Sequence: { id: "A", type_id: 0 } },
    { SpecialToken: { id: "<|eos|>", type_id: 0 } },
    { Sequence: { id: "B", type_id: 0 } },
    { SpecialToken: { id: "<|eos|>", type_id: 0 } },
  ],
  special_tokens: {
    "<|bos|>": { id: "<|bos|>", ids: [256], tokens: ["<|bos|>"] },
    "<|eos|>": { id: "<|eos|>", ids: [257], tokens: ["<|eos|>"] },
  },
};

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
  distilbert: {
    ...bert({ architecture: "DistilBertModel", modelType: "distilbert" }, poolingFiles("mean_tokens")),
    pooling: "mean",
  },
  "distilbert-masked": {
    ...bert({ architecture: "DistilBertForMaskedLM", modelType: "distilbert", prefix: "distilbert.", dtype: "F16" }),
    pooling: "mean",
  },
  roberta: { ...other(ROBERTA, { ...framedBytes(ROBERTA_FRAME), ...poolingFiles("mean_tokens") }), pooling: "mean" },
  "roberta-masked": {
    ...other({ ...ROBERTA, architecture: "RobertaForMaskedLM", prefix: "roberta." }, framedBytes(ROBERTA_FRAME)),
    pooling: "mean",
  },
  "xlm-roberta": {
    ...other(
      { ...XLM, architecture: "XLMRobertaModel" },
      { ...unigramJson(tinyUnigram()), ...poolingFiles("cls_token") },
    ),
    pooling: "cls",
  },
  "xlm-roberta-reranker": {
    ...other(
      { ...XLM, architecture: "XLMRobertaForSequenceClassification", prefix: "roberta.", labels: 1, dtype: "F16" },
      unigramPieces(tinyUnigram()),
    ),
    pooling: "rank",
  },
  nomic: { ...other(NOMIC, { ...tinyWordPiece(), ...poolingFiles("mean_tokens") }), pooling: "mean" },
  modern: { ...other(MODERN, { ...framedBytes(MODERN_FRAME), ...poolingFiles("cls_token") }), pooling: "cls" },
  "modern-reranker": {
    ...other(
      { ...MODERN, architecture: "ModernBertForSequenceClassification", prefix: "model.", labels: 1 },
      framedBytes(MODERN_FRAME),
    ),
    pooling: "rank",
  },
};
