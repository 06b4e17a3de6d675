// The tokenizer part of a GGUF: picks the kind by the files that are there, and adds special tokens and chat template.

import type { GgufEntry } from "../../formats/gguf/write-header.ts";
import { AppError } from "../../protocol/errors.ts";
import { type Fields, readSmallFile } from "../json-file.ts";
import { countTokenTypes } from "../token-types.ts";
import { planByteBpe } from "./byte-bpe.ts";
import { planChatTemplate } from "./chat-template.ts";
import { isFallbackBpe, planFallbackBpe } from "./fallback-bpe.ts";
import { planNormalizer } from "./normalizer.ts";
import { planSentencePiece } from "./sentencepiece.ts";
import { MODEL_BYTES_MAX } from "./sentencepiece-model.ts";
import { planSpecialTokens } from "./special-tokens.ts";
import { readTokenizerFiles, type TokenizerFiles, type TokenizerPlan } from "./tokenizer-files.ts";
import { framePieces, isUnigram, PIECES_FILE, planUnigram } from "./unigram.ts";
import { completeWordPiece, isWordPiece, planWordPiece } from "./wordpiece.ts";

/** CodeLlama's vocabulary: the tokens that frame what is to be filled in are named in no file. */
const CODE_LLAMA_SIZE = 32_016;
const CODE_LLAMA_TOKENS: readonly [string, number][] = [
  ["prefix_token_id", 32_007],
  ["suffix_token_id", 32_008],
  ["middle_token_id", 32_009],
  ["eot_token_id", 32_010],
];
/** Granite's small code models, which have Llama's form, must not get a beginning token. */
const GRANITE_SIZE = 49_152;
/** llama.cpp's converter takes the same steps for these. */
const LLAMA_FORMS: readonly string[] = ["llama", "granite", "granitemoe"];
/** Their SentencePiece vocabularies put no space before a text. */
const WITHOUT_SPACE: readonly string[] = ["gemma2", "gemma3", "gemma-embedding"];
/** Those that add a vector for the kind of text part. */
const TOKEN_TYPES_KEY = "tokenizer.ggml.token_type_count";
const WITH_TOKEN_TYPES: ReadonlySet<string> = new Set(["bert", "nomic-bert"]);
/** ModernBERT's texts are framed, whatever its tokenizer says. */
const FRAMED = "modern-bert";
const ADDED_FRAME: TokenizerPlan["entries"] = ["bos", "eos", "sep"].map((kind) => [
  `tokenizer.ggml.add_${kind}_token`,
  { type: "bool", value: true },
]);

export function planTokenizer(folder: string, config: Fields, architecture: string): TokenizerPlan {
  const read = readTokenizerFiles(folder, config);
  const wordPiece = completeWordPiece(read);
  const shifted =
    wordPiece === null && read.tokenizer === null ? readSmallFile(folder, PIECES_FILE, MODEL_BYTES_MAX) : null;
  const files = wordPiece ?? (shifted === null ? read : framePieces(read));
  const entries: [string, GgufEntry][] = [];
  const types = planTokenTypes(config, architecture);
  if (wordPiece !== null) entries.push(...types);
  if (architecture === FRAMED) entries.push(...ADDED_FRAME);
  const isLlama = LLAMA_FORMS.includes(architecture);
  const addsSpace = isLlama ? (files.settings?.truth("add_prefix_space") ?? null) : null;
  if (addsSpace !== null) entries.push(["tokenizer.ggml.add_space_prefix", { type: "bool", value: addsSpace }]);
  const { plan, idsMax } = planVocabulary(files, shifted, architecture, types);
  entries.push(...plan.entries, ...planSpecialTokens(files, idsMax), ...planChatTemplate(files));
  entries.push(...planNormalizer(files.tokenizer));
  if (wordPiece === null && !plan.entries.some(([key]) => key === TOKEN_TYPES_KEY)) entries.push(...types);
  if (isLlama && files.vocabularySize === CODE_LLAMA_SIZE) {
    for (const [key, value] of CODE_LLAMA_TOKENS) entries.push([`tokenizer.ggml.${key}`, { type: "u32", value }]);
  }
  if (isLlama && files.vocabularySize === GRANITE_SIZE) {
    entries.push(["tokenizer.ggml.add_bos_token", { type: "bool", value: false }]);
  }
  // Only those that merge by scores take only the ids that have a row.
  if (WITHOUT_SPACE.includes(architecture) && idsMax !== null) {
    entries.push(["tokenizer.ggml.add_space_prefix", { type: "bool", value: false }]);
  }
  return { entries, notes: plan.notes };
}

function planTokenTypes(config: Fields, architecture: string): TokenizerPlan["entries"] {
  if (!WITH_TOKEN_TYPES.has(architecture)) return [];
  return [[TOKEN_TYPES_KEY, { type: "u32", value: countTokenTypes(config) }]];
}

function planVocabulary(
  files: TokenizerFiles,
  shifted: Uint8Array | null,
  architecture: string,
  types: TokenizerPlan["entries"],
): { plan: TokenizerPlan; idsMax: number | null } {
  const { tokenizer, folder, vocabularySize } = files;
  if (isWordPiece(files)) return { plan: planWordPiece(files), idsMax: vocabularySize };
  const pieces = readSmallFile(folder, "tokenizer.model", MODEL_BYTES_MAX);
  if (pieces !== null) return { plan: planSentencePiece(files, pieces), idsMax: vocabularySize };
  if (shifted !== null || isUnigram(files)) return { plan: planUnigram(files, shifted, types), idsMax: vocabularySize };
  if (tokenizer === null) {
    throw new AppError({
      code: "format_unsupported",
      message: `${folder} has neither tokenizer.json nor tokenizer.model`,
      hint: "Fetch the tokenizer's files into the folder.",
    });
  }
  const model = tokenizer.object("model");
  if (model !== null && isFallbackBpe(tokenizer)) {
    const keepsAdded = WITHOUT_SPACE.includes(architecture);
    return { plan: planFallbackBpe(files, model, keepsAdded), idsMax: vocabularySize };
  }
  return { plan: planByteBpe(files, tokenizer), idsMax: null };
}
