// SentencePiece (tokenizer.model of Llama 1 and 2, Mistral, Yi) as GGUF's "llama" tokenizer, with the tokens that
// added_tokens.json and tokenizer_config.json put on top.

import { damagedModel, type Fields, readJsonFile } from "../json-file.ts";
import { readSentencePieceModel } from "./sentencepiece-model.ts";
import {
  checkTokenId,
  fillVocabulary,
  looksSpecial,
  TOKEN_TYPES,
  type Token,
  type TokenizerFiles,
  type TokenizerPlan,
  tokenEntries,
} from "./tokenizer-files.ts";

const UNUSED_SCORE = -10_000;
const ADDED_SCORE = -1_000;

export function planSentencePiece(files: TokenizerFiles, bytes: Uint8Array): TokenizerPlan {
  const model = readSentencePieceModel(bytes);
  const tokens = fillVocabulary(files.vocabularySize, UNUSED_SCORE);
  const surplus = model.pieces.length - tokens.length;
  const notes = surplus > 0 ? [`the last ${surplus} pieces of tokenizer.model have no row in the embeddings`] : [];
  if (model.isUnigram) {
    notes.push("tokenizer.model is a unigram model; llama.cpp merges by its scores, which cuts some texts differently");
  }
  for (const [id, piece] of model.pieces.slice(0, tokens.length).entries()) {
    // Pieces that a trainer was told to keep whole count as normal ones, as in llama.cpp's converter.
    const type = piece.type === TOKEN_TYPES.userDefined ? TOKEN_TYPES.normal : piece.type;
    tokens[id] = { text: piece.text, type, score: piece.score };
  }
  addTokens(files, tokens);
  addSettings(files.settings, tokens);
  return {
    entries: [
      ["tokenizer.ggml.model", { type: "string", value: "llama" }],
      ["tokenizer.ggml.pre", { type: "string", value: "default" }],
      ...tokenEntries(tokens, true),
    ],
    notes,
  };
}

/** Ids without a row in the embeddings can't be used: they are left out, as in llama.cpp's converter. */
function addTokens({ folder }: TokenizerFiles, tokens: Token[]): void {
  const added = readJsonFile(folder, "added_tokens.json");
  for (const [text, id] of Object.entries(added?.values ?? {})) {
    if (typeof id !== "number") throw damagedModel(`added_tokens.json: "${text.slice(0, 40)}" has no id`);
    if (id >= tokens.length) continue;
    const known = checkTokenId(id, tokens.length, "added_tokens.json");
    tokens[known] = { text, type: TOKEN_TYPES.userDefined, score: ADDED_SCORE };
  }
}

function addSettings(settings: Fields | null, tokens: Token[]): void {
  const decoder = settings?.object("added_tokens_decoder") ?? null;
  for (const key of Object.keys(decoder?.values ?? {})) {
    const fields = decoder?.object(key);
    const content = fields?.text("content");
    if (!fields || typeof content !== "string")
      throw damagedModel(`tokenizer_config.json: the token ${key} has no content`);
    if (Number(key) >= tokens.length) continue;
    const id = checkTokenId(Number(key), tokens.length, "tokenizer_config.json");
    const isControl = fields.truth("special") === true || looksSpecial(content);
    const text = isControl ? content : content.replaceAll("▁", " ");
    tokens[id] = { text, type: isControl ? TOKEN_TYPES.control : TOKEN_TYPES.userDefined, score: ADDED_SCORE };
  }
}
