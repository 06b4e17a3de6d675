// The tokenizer part of a GGUF: picks the kind by the files that are there, and adds special tokens and chat template.

import type { GgufEntry } from "../../formats/gguf/write-header.ts";
import { AppError } from "../../protocol/errors.ts";
import { type Fields, readSmallFile } from "../json-file.ts";
import { planByteBpe } from "./byte-bpe.ts";
import { planChatTemplate } from "./chat-template.ts";
import { isFallbackBpe, planFallbackBpe } from "./fallback-bpe.ts";
import { planSentencePiece } from "./sentencepiece.ts";
import { MODEL_BYTES_MAX } from "./sentencepiece-model.ts";
import { planSpecialTokens } from "./special-tokens.ts";
import { readTokenizerFiles, type TokenizerFiles, type TokenizerPlan } from "./tokenizer-files.ts";

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
const WITHOUT_SPACE: readonly string[] = ["gemma2", "gemma3"];

export function planTokenizer(folder: string, config: Fields, architecture: string): TokenizerPlan {
  const files = readTokenizerFiles(folder, config);
  const entries: [string, GgufEntry][] = [];
  const isLlama = LLAMA_FORMS.includes(architecture);
  const addsSpace = isLlama ? (files.settings?.truth("add_prefix_space") ?? null) : null;
  if (addsSpace !== null) entries.push(["tokenizer.ggml.add_space_prefix", { type: "bool", value: addsSpace }]);
  const { plan, idsMax } = planVocabulary(files, architecture);
  entries.push(...plan.entries, ...planSpecialTokens(files, idsMax), ...planChatTemplate(files));
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

function planVocabulary(files: TokenizerFiles, architecture: string): { plan: TokenizerPlan; idsMax: number | null } {
  const { tokenizer, folder, vocabularySize } = files;
  const pieces = readSmallFile(folder, "tokenizer.model", MODEL_BYTES_MAX);
  if (pieces !== null) return { plan: planSentencePiece(files, pieces), idsMax: vocabularySize };
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
