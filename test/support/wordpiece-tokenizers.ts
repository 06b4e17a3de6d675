// WordPiece vocabularies as Hugging Face folders have them: a small one, and llama.cpp's vendored one put back.

import { readVocabulary, special, type Vocabulary } from "./hf-tokenizers.ts";

const SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/** 60 tokens, so that a model of 64 has some that nobody uses. */
export function tinyWords(): string[] {
  const letters = [..."abcdefghijklmnopqrstuvwxyz"];
  return [...SPECIALS, ...letters, ...letters.slice(0, 20).map((letter) => `##${letter}`), ..."0123,.é中", "the"];
}

const piece = (id: string, type: number) => ({ SpecialToken: { id, type_id: type } });
const text = (id: string, type: number) => ({ Sequence: { id, type_id: type } });

const BERT_TEMPLATE = {
  type: "TemplateProcessing",
  single: [piece("[CLS]", 0), text("A", 0), piece("[SEP]", 0)],
  pair: [piece("[CLS]", 0), text("A", 0), piece("[SEP]", 0), text("B", 1), piece("[SEP]", 1)],
};

export function toWordPieceJson(tokens: readonly string[], lowercase = true): Record<string, unknown> {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const frame = ["[CLS]", "[SEP]"].map((id) => [id, { id, ids: [ids.get(id)], tokens: [id] }]);
  return {
    version: "1.0",
    added_tokens: SPECIALS.filter((token) => ids.has(token)).map((token) => special(ids.get(token) ?? 0, token)),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: { ...BERT_TEMPLATE, special_tokens: Object.fromEntries(frame) },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(ids),
    },
  };
}

export const BERT_SETTINGS = {
  tokenizer_class: "BertTokenizer",
  do_lower_case: true,
  unk_token: "[UNK]",
  sep_token: "[SEP]",
  pad_token: "[PAD]",
  cls_token: "[CLS]",
  mask_token: "[MASK]",
};

export function tinyWordPiece(): Record<string, unknown> {
  return { "tokenizer.json": toWordPieceJson(tinyWords()), "tokenizer_config.json": BERT_SETTINGS };
}

/** The words of a vendored vocabulary as WordPiece writes them; `▁` marks what begins a word there. */
export function readWords(name: string): { words: string[]; vocabulary: Vocabulary } {
  const vocabulary = readVocabulary(name);
  const words = vocabulary.tokens.map((token, id) => {
    if (vocabulary.types[id] === 3) return token;
    return token.startsWith("▁") ? token.slice(1) : `##${token}`;
  });
  return { words, vocabulary };
}
