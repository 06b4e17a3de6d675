// The folders of families with definitions of their own that llama.cpp's converter made goldens of.

import type { GoldenFolder } from "./golden-folders.ts";
import { CHAT_TEMPLATE, gemmaPieces, tinyPieces, tinyTokenizer, toSentencePieceModel } from "./hf-tokenizers.ts";
import { writeFamilyFolder } from "./tiny-families.ts";
import { TINY_FAMILIES } from "./tiny-family-models.ts";

export const GEMMA_FILES: Record<string, unknown> = {
  "tokenizer.model": toSentencePieceModel(gemmaPieces()),
  "tokenizer_config.json": {
    tokenizer_class: "GemmaTokenizer",
    bos_token: "<bos>",
    eos_token: "<eos>",
    pad_token: "<pad>",
    unk_token: "<unk>",
    add_bos_token: true,
    add_eos_token: false,
    added_tokens_decoder: {
      "0": { content: "<pad>", special: true },
      "4": { content: "<unused0>", special: false },
      "5": { content: "<start_of_turn>", special: true },
      "6": { content: "\n\n", special: false },
      "7": { content: "▁▁", special: false },
    },
    chat_template: CHAT_TEMPLATE,
  },
  "generation_config.json": { top_k: 64, top_p: 0.95 },
};

const BYTE_LEVEL = tinyTokenizer();
/** By which llama.cpp's converter tells that it is byte-level BPE. */
const PHI4_FILES: Record<string, unknown> = {
  ...BYTE_LEVEL,
  "tokenizer_config.json": {
    ...(BYTE_LEVEL["tokenizer_config.json"] as Record<string, unknown>),
    tokenizer_class: "GPT2Tokenizer",
    // That class adds one of its own where none is named.
    unk_token: "<|eos|>",
  },
};
const PHI3_FILES: Record<string, unknown> = {
  "tokenizer.model": toSentencePieceModel(tinyPieces()),
  "added_tokens.json": { "<|endoftext|>": 290, "<|user|>": 291 },
  "tokenizer_config.json": {
    tokenizer_class: "LlamaTokenizer",
    bos_token: "<s>",
    eos_token: "<|endoftext|>",
    add_bos_token: false,
    add_eos_token: false,
    added_tokens_decoder: {
      "0": { content: "<unk>", special: true },
      "1": { content: "<s>", special: true },
      "2": { content: "</s>", special: false },
      "290": { content: "<|endoftext|>", special: true },
      "291": { content: "<|user|>", special: true },
    },
    chat_template: CHAT_TEMPLATE,
  },
};

/** llama.cpp's converter writes it before everything else, for no reason but when it gets to know it. */
const ELSEWHERE: readonly string[] = ["phi3.rope.scaling.attn_factor"];

/** By the beginning of a model's name; the first that fits. */
const FILES: readonly [string, Record<string, unknown>][] = [
  ["gemma", GEMMA_FILES],
  ["phi-pieces", PHI3_FILES],
  ["phi", PHI4_FILES],
  ["", BYTE_LEVEL],
];

export const FAMILIES: readonly GoldenFolder[] = Object.entries(TINY_FAMILIES).map(([name, family]) => {
  const files = FILES.find(([beginning]) => name.startsWith(beginning))?.[1] ?? {};
  const write = (folder: string) => writeFamilyFolder(folder, family, files);
  return { name: `family-${name}`, outTypes: ["f32"], elsewhere: ELSEWHERE, write };
});
