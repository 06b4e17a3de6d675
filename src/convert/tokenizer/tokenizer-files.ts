// The files that describe a tokenizer, read once: tokenizer.json, tokenizer_config.json and config.json. Also what all
// kinds of vocabularies share: the bound of their size, the texts of unused tokens, and GGUF's token types.

import type { GgufEntry } from "../../formats/gguf/write-header.ts";
import { isRecord } from "../../lib/is-record.ts";
import { damagedModel, Fields, readJsonFile } from "../json-file.ts";

export interface TokenizerFiles {
  folder: string;
  config: Fields;
  tokenizer: Fields | null;
  settings: Fields | null;
  /** Rows of the embeddings: there are as many tokens, filled up with unused ones. */
  vocabularySize: number;
}

export interface TokenizerPlan {
  entries: [key: string, entry: GgufEntry][];
  notes: string[];
}

/** As GGUF numbers them. */
export const TOKEN_TYPES = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** The largest known vocabularies have 262,144 tokens; every one costs memory here. */
const VOCABULARY_MAX = 1_048_576;

export interface Token {
  text: string;
  type: number;
  score: number;
}

export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
}

export function readTokenizerFiles(folder: string, config: Fields): TokenizerFiles {
  const vocabularySize = config.requiredSize("vocab_size");
  if (vocabularySize > VOCABULARY_MAX) throw config.wrong("vocab_size", `at most ${VOCABULARY_MAX}`);
  return {
    folder,
    config,
    tokenizer: readJsonFile(folder, "tokenizer.json"),
    settings: readJsonFile(folder, "tokenizer_config.json"),
    vocabularySize,
  };
}

/** Every id with a token: those that the vocabulary leaves out get a text of their own. */
export function fillVocabulary(size: number, score: number): Token[] {
  return Array.from({ length: size }, (_, id) => ({ text: `[PAD${id}]`, type: TOKEN_TYPES.unused, score }));
}

export function checkTokenId(id: unknown, size: number, source: string): number {
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id < size) return id;
  const hint = "Use the tokenizer and the config.json of these weights.";
  throw damagedModel(
    `${source} has a token with the id ${JSON.stringify(id)?.slice(0, 40)}; the model has ${size}`,
    hint,
  );
}

/** Of tokenizer.json, and what tokenizer_config.json adds to it. */
export function listAddedTokens({ tokenizer, settings, vocabularySize }: TokenizerFiles): AddedToken[] {
  const found = new Map<number, AddedToken>();
  const add = (id: number, fields: Fields) => {
    const content = fields.text("content");
    if (content === null) throw damagedModel(`${fields.source} has an added token without content`);
    if (!found.has(id)) found.set(id, { id, content, special: fields.truth("special") ?? false });
  };
  for (const item of tokenizer?.list("added_tokens") ?? []) {
    if (!isRecord(item)) throw damagedModel("tokenizer.json: added_tokens holds something else than objects");
    add(checkTokenId(item.id, vocabularySize, "tokenizer.json"), new Fields("tokenizer.json", item));
  }
  const decoder = settings?.object("added_tokens_decoder") ?? null;
  for (const id of Object.keys(decoder?.values ?? {})) {
    const fields = decoder?.object(id);
    if (fields) add(checkTokenId(Number(id), vocabularySize, "tokenizer_config.json"), fields);
  }
  return [...found.values()].sort((a, b) => a.id - b.id);
}

/** Tokens that act as control tokens although their makers did not mark them so. */
export function looksSpecial(text: string): boolean {
  if (["<pad>", "<mask>", "<2mass>", "[@BOS@]"].includes(text)) return true;
  return /^<\|.*\|>$/s.test(text) || /^<｜.*｜>$/s.test(text) || /^<unused.*>$/s.test(text);
}

export function tokenEntries(tokens: readonly Token[], withScores: boolean): [string, GgufEntry][] {
  const entries: [string, GgufEntry][] = [
    ["tokenizer.ggml.tokens", { type: "array", of: "string", values: tokens.map((token) => token.text) }],
  ];
  if (withScores) {
    entries.push(["tokenizer.ggml.scores", { type: "array", of: "f32", values: tokens.map((token) => token.score) }]);
  }
  entries.push(["tokenizer.ggml.token_type", { type: "array", of: "i32", values: tokens.map((token) => token.type) }]);
  return entries;
}
