// XLM-RoBERTa's kind of tokenizer, as tokenizer.json and as sentencepiece.bpe.model: a small one, and the vendored
// vocabulary of llama.cpp put back.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { scanGguf } from "./gguf-layout.ts";
import { readVocabulary, special } from "./hf-tokenizers.ts";
import { bytesField, message, numberField, varint } from "./protobuf-writer.ts";
import { locateLlamaSource } from "./tokenizers.ts";

export interface UnigramVocabulary {
  tokens: readonly string[];
  scores: readonly number[];
  charsmap: Uint8Array;
}

const VENDORED = "nomic-bert-moe";
/** Where fairseq put them, whatever SentencePiece's own ids are. */
const FRAME = ["<s>", "<pad>", "</s>", "<unk>"];

/** 60 tokens; the table of characters is the vendored one. */
export function tinyUnigram(): UnigramVocabulary {
  const pieces = ["▁", "▁the", "▁th", "e", "▁a", ...[..."abcdfghijklmnopqrstuvwxyz0123456789,.üж中日本"]];
  const tokens = [...FRAME, ...pieces, "<mask>"];
  // Exact in single precision, in which SentencePiece keeps them, and written as fractions, which the converter's script needs.
  return { tokens, scores: tokens.map((_, id) => -(2 * id + 1) / 16), charsmap: readCharsmap() };
}

export function vendoredUnigram(): UnigramVocabulary {
  const { tokens, scores } = readVocabulary(VENDORED);
  return { tokens, scores: [...scores], charsmap: readCharsmap() };
}

function readCharsmap(): Uint8Array {
  const bytes = new Uint8Array(readFileSync(join(locateLlamaSource(), `models/ggml-vocab-${VENDORED}.gguf`)));
  const entry = scanGguf(bytes).metadata.find(({ key }) => key === "tokenizer.ggml.precompiled_charsmap");
  if (entry === undefined) throw new Error(`${VENDORED} has no table of characters`);
  return bytes.slice(entry.valueAt + 12, entry.end);
}

export const UNIGRAM_SETTINGS = {
  tokenizer_class: "XLMRobertaTokenizer",
  bos_token: "<s>",
  eos_token: "</s>",
  unk_token: "<unk>",
  sep_token: "</s>",
  pad_token: "<pad>",
  cls_token: "<s>",
  mask_token: "<mask>",
  add_prefix_space: true,
  clean_up_tokenization_spaces: true,
};

export function unigramJson({ tokens, scores, charsmap }: UnigramVocabulary): Record<string, unknown> {
  const piece = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const text = (id: string) => ({ Sequence: { id, type_id: 0 } });
  const added = [...FRAME, "<mask>"].map((token) => special(tokens.indexOf(token), token));
  const single = [piece("<s>"), text("A"), piece("</s>")];
  return {
    "tokenizer.json": {
      version: "1.0",
      added_tokens: added.filter(({ id }) => id >= 0),
      normalizer: { type: "Precompiled", precompiled_charsmap: Buffer.from(charsmap).toString("base64") },
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          { type: "WhitespaceSplit" },
          { type: "Metaspace", replacement: "▁", add_prefix_space: true, prepend_scheme: "always" },
        ],
      },
      post_processor: {
        type: "TemplateProcessing",
        single,
        pair: [...single, piece("</s>"), text("B"), piece("</s>")],
        special_tokens: Object.fromEntries(
          ["<s>", "</s>"].map((id) => [id, { id, ids: [tokens.indexOf(id)], tokens: [id] }]),
        ),
      },
      decoder: { type: "Metaspace", replacement: "▁", add_prefix_space: true, prepend_scheme: "always" },
      model: { type: "Unigram", unk_id: 3, vocab: tokens.map((token, id) => [token, scores[id] ?? 0]) },
    },
    "tokenizer_config.json": UNIGRAM_SETTINGS,
  };
}

/** SentencePiece has <unk>, <s> and </s> at the beginning, and no <mask>. */
export function unigramPieces({ tokens, scores, charsmap }: UnigramVocabulary): Record<string, unknown> {
  const own = tokens.flatMap((token, id) =>
    id < FRAME.length || /^(<mask>|\[PAD\d+\])$/.test(token) ? [] : [{ token, score: scores[id] ?? 0 }],
  );
  const framed: [string, number, number][] = [
    ["<unk>", 0, 2],
    ["<s>", 0, 3],
    ["</s>", 0, 3],
    ...own.map(({ token, score }): [string, number, number] => [token, score, 1]),
  ];
  const pieces = framed.map(([token, score, type]) =>
    bytesField(1, message(bytesField(1, token), floatField(2, score), numberField(3, type))),
  );
  const normalizer = message(bytesField(1, "nmt_nfkc"), bytesField(2, charsmap), numberField(3, 1), numberField(4, 1));
  const file = message(...pieces, bytesField(2, message(numberField(3, 1))), bytesField(3, normalizer));
  return { "sentencepiece.bpe.model": file, "tokenizer_config.json": UNIGRAM_SETTINGS };
}

function floatField(number: number, value: number): Uint8Array {
  return Uint8Array.from([...varint(number * 8 + 5), ...new Uint8Array(new Float32Array([value]).buffer)]);
}
