// Tokenizers as Hugging Face folders have them: a small byte-level one, and the vendored vocabularies of llama.cpp put
// back into tokenizer.json or tokenizer.model, so that their expected token ids can be asked of what is converted.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type MetadataEntry, readInts, readStrings, scanGguf } from "./gguf-layout.ts";
import { locateLlamaSource } from "./tokenizers.ts";

export const LLAMA3_PATTERN =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
export const QWEN2_PATTERN = LLAMA3_PATTERN.replace("\\p{N}{1,3}", "\\p{N}");

export const cutBy = (pattern: string): Record<string, unknown> => ({
  type: "Sequence",
  pretokenizers: [
    { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
  ],
});

/** GPT-2's characters for the 256 bytes. */
function byteCharacters(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCodePoint(printable ? byte : next++);
  });
}

export const special = (id: number, content: string) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

export const CHAT_TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}";

/** 256 bytes, two special tokens, two merges: 260 tokens. */
export function tinyTokenizer(): Record<string, unknown> {
  const characters = byteCharacters();
  const vocab = Object.fromEntries([...characters, "<|bos|>", "<|eos|>", "th", "the"].map((text, id) => [text, id]));
  return {
    "tokenizer.json": {
      version: "1.0",
      added_tokens: [special(256, "<|bos|>"), special(257, "<|eos|>")],
      normalizer: null,
      pre_tokenizer: cutBy(QWEN2_PATTERN),
      post_processor: { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true },
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: { type: "BPE", ignore_merges: false, byte_fallback: false, vocab, merges: ["t h", "th e"] },
    },
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      bos_token: "<|bos|>",
      eos_token: { __type: "AddedToken", content: "<|eos|>" },
      pad_token: "<|eos|>",
      add_bos_token: false,
      chat_template: CHAT_TEMPLATE,
    },
    "generation_config.json": { temperature: 0.6, top_k: 20, top_p: 0.95, repetition_penalty: 1.05, do_sample: true },
  };
}

export interface Vocabulary {
  tokens: string[];
  types: Int32Array;
  merges: string[];
  scores: Float32Array;
}

/** One of llama.cpp's. */
export function readVocabulary(name: string): Vocabulary {
  return readVocabularyOf(join(locateLlamaSource(), `models/ggml-vocab-${name}.gguf`));
}

export function readVocabularyOf(path: string): Vocabulary {
  const bytes = new Uint8Array(readFileSync(path));
  const { metadata } = scanGguf(bytes);
  const find = (key: string): MetadataEntry | undefined =>
    metadata.find((entry) => entry.key === `tokenizer.ggml.${key}`);
  const [tokens, types, merges, scores] = ["tokens", "token_type", "merges", "scores"].map(find);
  if (tokens === undefined || types === undefined) throw new Error(`${path} has no tokens`);
  const scoresAt = (scores?.valueAt ?? 0) + 12;
  return {
    tokens: readStrings(bytes, tokens),
    types: readInts(bytes, types),
    merges: merges === undefined ? [] : readStrings(bytes, merges),
    scores: scores === undefined ? new Float32Array() : new Float32Array(bytes.slice(scoresAt, scores.end).buffer),
  };
}

/** Control tokens, the 256 bytes, and some pieces: 290 tokens. */
export function tinyPieces(): Vocabulary {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const pieces = ["▁t", "he", "▁the", "in", "▁", ..."etaoinshrdlcumwfgypbvk,.üж"];
  const tokens = ["<unk>", "<s>", "</s>", ...bytes, ...pieces];
  const types = Int32Array.from(tokens, (_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1));
  const scores = Float32Array.from(tokens, (_, id) => (id < 259 ? 0 : 259 - id));
  return { tokens, types, merges: [], scores };
}

/** As Gemma has them: other places for the control tokens, and pieces that are kept whole. */
export function gemmaPieces(): Vocabulary {
  const { tokens, types } = tinyPieces();
  const first = ["<pad>", "<eos>", "<bos>", "<unk>", "<unused0>", "<start_of_turn>", "\n\n", "▁▁"];
  const firstTypes = [3, 3, 3, 2, 4, 4, 4, 4];
  const all = [...first, ...tokens.slice(3)];
  const scores = Float32Array.from(all, (_, id) => (id < 264 ? 0 : 264 - id));
  return { tokens: all, types: Int32Array.from([...firstTypes, ...types.slice(3)]), merges: [], scores };
}

/** A byte-level vocabulary as tokenizer.json. */
export function toByteLevelJson(
  { tokens, types, merges }: Vocabulary,
  pattern: string,
  ignoreMerges: boolean,
): unknown {
  const isAdded = (id: number) => types[id] === 3 || types[id] === 4;
  const added = tokens.flatMap((text, id) => (isAdded(id) ? [{ ...special(id, text), special: types[id] === 3 }] : []));
  const plain = tokens.flatMap((text, id): [string, number][] => (isAdded(id) || types[id] === 5 ? [] : [[text, id]]));
  return {
    added_tokens: added,
    pre_tokenizer: cutBy(pattern),
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", ignore_merges: ignoreMerges, vocab: Object.fromEntries(plain), merges },
  };
}

/** As the published tokenizer.json has them: the expressions that llama.cpp's source has, but a step for digits. */
export function readDeepseekSteps(): Record<string, unknown> {
  const source = readFileSync(join(locateLlamaSource(), "src/llama-vocab.cpp"), "utf8");
  const patterns = readExpressions(source, "DEEPSEEK_LLM").slice(0, -1);
  const isolate = (Regex: string) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false });
  return {
    type: "Sequence",
    pretokenizers: [
      ...patterns.map(isolate),
      { type: "Digits", individual_digits: true },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  };
}

/** The expressions that llama.cpp applies for a pre-type, one after the other. */
export function readExpressions(source: string, type: string): string[] {
  const from = source.indexOf(`case LLAMA_VOCAB_PRE_TYPE_${type}:`);
  const block = source.slice(from, source.indexOf("break;", from));
  return [...block.matchAll(/^\s+("(?:[^"\\]|\\.)*"),$/gm)].map(([, text = '""']) => JSON.parse(text) as string);
}

/** Characters with bytes as fallback, and pieces that are kept whole, as Gemma has them. */
export function toGemmaJson({ tokens, types, merges }: Vocabulary): unknown {
  const isAdded = (id: number) => types[id] === 2 || types[id] === 3 || types[id] === 4;
  const added = tokens.flatMap((text, id) => (isAdded(id) ? [{ ...special(id, text), special: types[id] !== 4 }] : []));
  return {
    added_tokens: added,
    normalizer: { type: "Replace", pattern: { String: " " }, content: "▁" },
    pre_tokenizer: { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious", invert: false },
    decoder: { type: "Sequence", decoders: [] },
    model: {
      type: "BPE",
      byte_fallback: true,
      vocab: Object.fromEntries(tokens.map((text, id) => [text, id])),
      merges,
    },
  };
}

/** A SentencePiece BPE vocabulary as tokenizer.json: every cut of a piece into two others is a merge, best scores first. */
export function toFallbackJson({ tokens, types, scores }: Vocabulary): unknown {
  const ids = new Map(tokens.map((text, id) => [text, id]));
  const merges = tokens.flatMap((text, id) => {
    if (types[id] !== 1) return [];
    const characters = [...text];
    return characters.slice(1).flatMap((_, i) => {
      const pair = [characters.slice(0, i + 1).join(""), characters.slice(i + 1).join("")] as const;
      return pair.every((part) => ids.has(part)) ? [{ pair, score: scores[id] ?? 0 }] : [];
    });
  });
  merges.sort((a, b) => b.score - a.score);
  const controls = tokens.flatMap((text, id) => (types[id] === 2 || types[id] === 3 ? [special(id, text)] : []));
  return {
    added_tokens: controls,
    normalizer: { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }] },
    pre_tokenizer: null,
    decoder: { type: "Sequence", decoders: [] },
    model: { type: "BPE", byte_fallback: true, vocab: Object.fromEntries(ids), merges: merges.map(({ pair }) => pair) },
  };
}

/** The same as tokenizer.model: protobuf, with fields that nobody reads in between. */
export function toSentencePieceModel({ tokens, types, scores }: Vocabulary, modelType = 2): Uint8Array {
  const chunks: Uint8Array[] = [];
  for (const [id, text] of tokens.entries()) {
    const piece = new TextEncoder().encode(text);
    const score = new Uint8Array(new Float32Array([scores[id] ?? 0]).buffer);
    const type = types[id] === 1 ? [] : [0x18, types[id] ?? 1];
    const body = [0x0a, ...varint(piece.length), ...piece, 0x15, ...score, ...type];
    chunks.push(Uint8Array.from([0x0a, ...varint(body.length), ...body]));
  }
  // The kind of model, and that bytes are pieces.
  chunks.push(Uint8Array.from([0x12, 5, 0x18, modelType, 0x98, 0x02, 0x01]));
  chunks.push(Uint8Array.from([0x1a, 2, 0x0a, 0x00]));
  return new Uint8Array(Buffer.concat(chunks));
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 128);
  }
}

/** Texts and the ids that llama.cpp's own tests expect of them. */
export function readExpectations(name: string): { text: string; ids: number[] }[] {
  const base = join(locateLlamaSource(), `models/ggml-vocab-${name}.gguf`);
  const texts = readFileSync(`${base}.inp`, "utf8").split("\n__ggml_vocab_test__\n");
  const lines = readFileSync(`${base}.out`, "utf8").split("\n");
  return texts.map((text, i) => ({ text, ids: (lines[i] ?? "").split(" ").filter(Boolean).map(Number) }));
}
