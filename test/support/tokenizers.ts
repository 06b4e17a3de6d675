// Real tokenizers out of the vendored `models/ggml-vocab-*.gguf`: their metadata, copied as it stands,
// and which of their tokens read well as text on their own.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type MetadataEntry, readInts, readStrings, scanGguf } from "./gguf-layout.ts";
import type { MetadataValue } from "./gguf-writer.ts";

export type TokenizerName =
  | "llama-bpe"
  | "llama-spm"
  | "qwen2"
  | "gemma-4"
  | "refact"
  | "bert-bge"
  | "phi-3"
  | "deepseek-llm";

export interface Tokenizer {
  /** Every `tokenizer.*` entry but the chat template, which belongs to a model. */
  metadata: [key: string, value: MetadataValue][];
  vocabularySize: number;
  /** 1 where the token is ordinary and whole UTF-8 by itself, else 0. */
  readable: Uint8Array;
}

const NORMAL_TOKEN = 1;

/** Where llama.cpp's source is: the vendored copy, or the checkout that the developer names. */
export function locateLlamaSource(): string {
  return process.env.ML_OFFLOAD_LLAMA_SRC || join(import.meta.dir, "../../vendor/llama.cpp");
}

/** With these texts as the last tokens. */
export function changeTokens(name: TokenizerName, last: readonly string[]): Record<string, MetadataValue> {
  const bytes = new Uint8Array(readFileSync(join(locateLlamaSource(), `models/ggml-vocab-${name}.gguf`)));
  const key = "tokenizer.ggml.tokens";
  const entry = scanGguf(bytes).metadata.find((candidate) => candidate.key === key);
  if (entry === undefined) throw new Error(`the vocabulary ${name} has no ${key}`);
  const tokens = readStrings(bytes, entry);
  return { [key]: { type: "array", of: "string", values: [...tokens.slice(0, tokens.length - last.length), ...last] } };
}

export function readTokenizer(name: TokenizerName): Tokenizer {
  const bytes = new Uint8Array(readFileSync(join(locateLlamaSource(), `models/ggml-vocab-${name}.gguf`)));
  const entries = scanGguf(bytes).metadata.filter(
    (entry) => entry.key.startsWith("tokenizer.") && entry.key !== "tokenizer.chat_template",
  );
  const find = (key: string): MetadataEntry => {
    const entry = entries.find((candidate) => candidate.key === key);
    if (entry === undefined) throw new Error(`the vocabulary ${name} has no ${key}`);
    return entry;
  };
  const tokens = readStrings(bytes, find("tokenizer.ggml.tokens"));
  const types = readInts(bytes, find("tokenizer.ggml.token_type"));
  const byteLevel = ["llama-bpe", "qwen2", "refact", "deepseek-llm"].includes(name);
  const readable = Uint8Array.from(tokens, (token, id) =>
    types[id] === NORMAL_TOKEN && !/^<.+>$/.test(token) && (!byteLevel || isWholeText(token)) ? 1 : 0,
  );
  return {
    metadata: entries.map((entry) => [
      entry.key,
      { type: "raw", typeId: entry.typeId, bytes: bytes.slice(entry.valueAt, entry.end) },
    ]),
    vocabularySize: tokens.length,
    readable,
  };
}

const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/** Byte-level BPE writes each byte as one character; a token may hold a part of a character. */
function isWholeText(token: string): boolean {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTE_OF_CHARACTER.get(character);
    if (byte === undefined) return false;
    bytes.push(byte);
  }
  try {
    strictDecoder.decode(new Uint8Array(bytes));
    return true;
  } catch (thrown) {
    if (thrown instanceof TypeError) return false;
    throw thrown;
  }
}

/** GPT-2's table: printable bytes stand for themselves, the others from U+0100 on. */
const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = makeByteTable();

function makeByteTable(): Map<string, number> {
  const table = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    table.set(String.fromCodePoint(printable ? byte : next++), byte);
  }
  return table;
}
