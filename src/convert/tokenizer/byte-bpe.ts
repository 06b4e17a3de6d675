// Byte-level BPE (Llama 3, Qwen, SmolLM): tokenizer.json's vocabulary and merges as GGUF's "gpt2" tokenizer.

import { isRecord } from "../../lib/is-record.ts";
import { damagedModel, type Fields, readTextFile } from "../json-file.ts";
import { findPreTokenizer } from "./pre-tokenizers.ts";
import {
  checkTokenId,
  fillVocabulary,
  listAddedTokens,
  looksSpecial,
  TOKEN_TYPES,
  type Token,
  type TokenizerFiles,
  type TokenizerPlan,
  tokenEntries,
} from "./tokenizer-files.ts";

/** As many as a vocabulary may have tokens: each merge makes one. */
const MERGES_MAX = 4_194_304;

export function planByteBpe(files: TokenizerFiles, tokenizer: Fields): TokenizerPlan {
  const model = tokenizer.object("model");
  if (model === null || (model.text("type") ?? "BPE") !== "BPE") {
    throw damagedModel(
      `tokenizer.json has a model of the kind ${model?.text("type") ?? "none"}, where BPE was expected`,
    );
  }
  const pre = findPreTokenizer(tokenizer, model.truth("ignore_merges") ?? false);
  const tokens = listTokens(files, model);
  const merges = readMerges(files.folder, model);
  return {
    entries: [
      ["tokenizer.ggml.model", { type: "string", value: "gpt2" }],
      ["tokenizer.ggml.pre", { type: "string", value: pre }],
      ...tokenEntries(tokens, false),
      ["tokenizer.ggml.merges", { type: "array", of: "string", values: merges }],
    ],
    notes: noteNormalizer(tokenizer),
  };
}

/** Of a vocabulary that names each token with its id, and what was added to it. */
export function listTokens(files: TokenizerFiles, model: Fields): Token[] {
  const tokens = fillVocabulary(files.vocabularySize, 0);
  for (const [text, value] of readVocabulary(model, files.vocabularySize)) {
    tokens[value] = { text, type: TOKEN_TYPES.normal, score: 0 };
  }
  for (const { id, content, special } of listAddedTokens(files)) {
    const isControl = special || looksSpecial(content);
    // Texts of user-defined tokens are looked for as they are written, so a marked space is a space.
    const text = isControl ? content : content.replaceAll("▁", " ");
    tokens[id] = { text, type: isControl ? TOKEN_TYPES.control : TOKEN_TYPES.userDefined, score: 0 };
  }
  return tokens;
}

export function readVocabulary(model: Fields, size: number): [text: string, id: number][] {
  const vocabulary = model.value("vocab");
  if (!isRecord(vocabulary)) throw damagedModel("tokenizer.json: the model has no vocab");
  const seen = new Set<number>();
  return Object.entries(vocabulary).map(([text, value]) => {
    const id = checkTokenId(value, size, "tokenizer.json");
    if (seen.has(id)) throw damagedModel(`tokenizer.json gives the id ${id} to two tokens`);
    seen.add(id);
    return [text, id];
  });
}

/** Pairs as one text with a space between; a space inside a part is written as byte-level BPE writes it. */
export function readMerges(folder: string, model: Fields): string[] {
  const merges = model.list("merges");
  if (merges.length === 0) return readMergesFile(folder);
  if (merges.length > MERGES_MAX) throw damagedModel(`tokenizer.json has ${merges.length} merges`);
  return merges.map((merge) => {
    if (typeof merge === "string") return merge;
    const [left, right] = Array.isArray(merge) && merge.length === 2 ? merge : [];
    if (typeof left !== "string" || typeof right !== "string") throw damagedModel("tokenizer.json: a merge is no pair");
    return `${left.replaceAll(" ", "Ġ")} ${right.replaceAll(" ", "Ġ")}`;
  });
}

function readMergesFile(folder: string): string[] {
  const lines = (readTextFile(folder, "merges.txt") ?? "").split("\n");
  const body = lines[0]?.startsWith("#") === true ? lines.slice(1) : lines;
  const merges = body.map((line) => line.trim()).filter((line) => /^\S+\s+\S+$/.test(line));
  if (merges.length === 0) throw damagedModel("tokenizer.json has no merges, and there is no merges.txt");
  return merges.map((line) => line.replace(/\s+/, " "));
}

/** llama.cpp takes texts as they come: composed forms, which NFC makes, are what people type. */
function noteNormalizer(tokenizer: Fields): string[] {
  const type = tokenizer.object("normalizer")?.text("type") ?? null;
  if (type === null || type === "NFC") return [];
  return [`tokenizer.json normalises texts (${type.slice(0, 40)}), which llama.cpp does not do for this tokenizer`];
}
