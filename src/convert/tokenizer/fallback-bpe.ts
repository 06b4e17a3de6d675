// BPE over characters with bytes as fallback (Llama 1 and 2, Mistral, Gemma), where only tokenizer.json is there: GGUF's "llama"
// tokenizer, which merges by scores. tokenizer.json has no scores but ranks of merges, so a token's score is the rank
// of the first merge that makes it. (llama.cpp's converter gives all the same score, and its order of merges is lost.)

import type { Fields } from "../json-file.ts";
import { readMerges, readVocabulary } from "./byte-bpe.ts";
import {
  fillVocabulary,
  listAddedTokens,
  looksSpecial,
  TOKEN_TYPES,
  type Token,
  type TokenizerFiles,
  type TokenizerPlan,
  tokenEntries,
} from "./tokenizer-files.ts";

/** Of tokens that no merge makes: below every rank, so nothing is merged into them by chance. */
const UNMERGED_SCORE = -1e9;

export function isFallbackBpe(tokenizer: Fields): boolean {
  const model = tokenizer.object("model");
  const decoder = tokenizer.object("decoder");
  return model?.text("type") === "BPE" && model.truth("byte_fallback") === true && decoder?.text("type") === "Sequence";
}

/** `keepsAdded`: added tokens count as such also where the vocabulary has them, as Gemma's runs of spaces and lines. */
export function planFallbackBpe(files: TokenizerFiles, model: Fields, keepsAdded: boolean): TokenizerPlan {
  const scores = new Map<string, number>();
  readMerges(files.folder, model).forEach((merge, rank) => {
    const made = merge.replace(" ", "");
    if (!scores.has(made)) scores.set(made, -rank);
  });
  const added = new Map(listAddedTokens(files).map((token) => [token.id, token]));
  const tokens: Token[] = fillVocabulary(files.vocabularySize, UNMERGED_SCORE);
  for (const [text, id] of readVocabulary(model, files.vocabularySize)) {
    const isByte = /^<0x[0-9A-Fa-f]{2}>$/.test(text);
    const plain = added.get(id)?.special === true ? TOKEN_TYPES.control : TOKEN_TYPES.normal;
    tokens[id] = { text, type: isByte ? TOKEN_TYPES.byte : plain, score: scores.get(text) ?? UNMERGED_SCORE };
  }
  for (const { id, content, special } of added.values()) {
    if (tokens[id]?.type !== TOKEN_TYPES.unused && !keepsAdded) continue;
    const isControl = special || (keepsAdded && looksSpecial(content));
    tokens[id] = {
      // Texts of user-defined tokens are looked for as they are written, so a marked space is a space.
      text: keepsAdded && !isControl ? content.replaceAll("▁", " ") : content,
      type: isControl ? TOKEN_TYPES.control : TOKEN_TYPES.userDefined,
      score: UNMERGED_SCORE,
    };
  }
  return {
    entries: [
      ["tokenizer.ggml.model", { type: "string", value: "llama" }],
      ["tokenizer.ggml.pre", { type: "string", value: "default" }],
      ...tokenEntries(tokens, true),
    ],
    notes: [],
  };
}
