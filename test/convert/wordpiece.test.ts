// WordPiece: the vendored vocabulary of BGE, put back into tokenizer.json and into vocab.txt, gives the ids that
// llama.cpp's own tests expect; and what frames a text, is found under other names, or is damaged.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertFolder, readWritten } from "../support/convert-folder.ts";
import { finish } from "../support/finish.ts";
import { readExpectations, readVocabularyOf } from "../support/hf-tokenizers.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { TINY_BERT, writeEncoderFolder } from "../support/tiny-encoders.ts";
import {
  BERT_SETTINGS,
  readWords,
  tinyWordPiece,
  tinyWords,
  toWordPieceJson,
} from "../support/wordpiece-tokenizers.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-wordpiece-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function convert(files: Record<string, unknown>, vocabulary = TINY_BERT.vocabulary): Promise<string> {
  const source = mkdtempSync(join(folder, "source-"));
  writeEncoderFolder(source, { ...TINY_BERT, layers: 1, width: 32, inner: 32, vocabulary }, files);
  const { path } = await convertFolder(source, "f16");
  return path;
}

/** Ids as an embedding gets them; `addSpecial`: with what frames the text. */
async function tokenize(path: string, texts: readonly string[], addSpecial = false): Promise<number[][]> {
  using backend = await loadModelFile(path, { contextLength: 64 });
  return texts.map((text) => [
    ...finish(backend.readText({ kind: "pieces", pieces: [text], addSpecial, parseSpecial: false })).tokens,
  ]);
}

describe.skipIf(!HAS_NATIVE)("ids of a multilingual text", () => {
  const { words, vocabulary } = readWords("bert-bge");
  const sources: [string, Record<string, unknown>][] = [
    ["tokenizer.json", { "tokenizer.json": toWordPieceJson(words), "tokenizer_config.json": BERT_SETTINGS }],
    ["vocab.txt", { "vocab.txt": words.join("\n") }],
  ];

  test.each(sources)("%s", async (_, files) => {
    const path = await convert(files, words.length);
    const converted = readVocabularyOf(path);
    expect(converted.tokens).toEqual(vocabulary.tokens);
    expect([...converted.types]).toEqual([...vocabulary.types]);
    const expectations = readExpectations("bert-bge");
    expect(expectations.length).toBeGreaterThan(40);
    const found = await tokenize(
      path,
      expectations.map(({ text }) => text),
    );
    for (const [i, { text, ids }] of expectations.entries()) expect({ text, ids: found[i] }).toEqual({ text, ids });
  });
});

describe.skipIf(!HAS_NATIVE)("a text is framed and made alike", () => {
  const words = tinyWords();
  const idOf = (word: string) => words.indexOf(word);

  test("by the special tokens, wherever they stand", async () => {
    const moved = ["a", "b", ...words.filter((word) => !["a", "b"].includes(word))];
    for (const files of [{ "tokenizer.json": toWordPieceJson(moved) }, { "vocab.txt": moved.join("\r\n") }]) {
      const [ids] = await tokenize(await convert(files), ["the"], true);
      expect(ids).toEqual(["[CLS]", "the", "[SEP]"].map((word) => moved.indexOf(word)));
    }
  });

  test("small letters and no accents, unless the tokenizer keeps them", async () => {
    const texts = ["THE Ab e\u0301 é 中a"];
    const small = ["the", "a", "##b", "e", "e", "中", "a"].map(idOf);
    expect(await tokenize(await convert(tinyWordPiece()), texts)).toEqual([small]);
    const kept = ["[UNK]", "[UNK]", "[UNK]", "é", "中", "a"].map(idOf);
    const cased = { "tokenizer.json": toWordPieceJson(words, false) };
    expect(await tokenize(await convert(cased), texts)).toEqual([kept]);
    const file = { "vocab.txt": words.join("\n"), "tokenizer_config.json": { do_lower_case: false } };
    expect(await tokenize(await convert(file), texts)).toEqual([kept]);
  });

  test("tokenizer_config.json names other tokens", async () => {
    const renamed = words.map((word) => (word === "[CLS]" ? "<s>" : word === "[SEP]" ? "</s>" : word));
    const settings = { cls_token: "<s>", sep_token: { content: "</s>" } };
    const path = await convert({ "vocab.txt": renamed.join("\n"), "tokenizer_config.json": settings });
    expect(await tokenize(path, ["a"], true)).toEqual([[2, 5, 3]]);
    expect([...readVocabularyOf(path).types].slice(0, 6)).toEqual([3, 3, 3, 3, 3, 1]);
  });
});

describe("what is said and refused", () => {
  test("the normaliser, the kinds of text parts, unused rows", async () => {
    const path = await convert(tinyWordPiece());
    const { value, entry } = readWritten(path);
    expect(value("tokenizer.ggml.normalizer.lowercase")).toBe(true);
    expect(entry("tokenizer.ggml.normalizer.strip_accents")).toBeUndefined();
    expect(value("tokenizer.ggml.token_type_count")).toBe(2);
    expect(readVocabularyOf(path).tokens.slice(58, 62)).toEqual(["▁中", "▁the", "▁[PAD60]", "▁[PAD61]"]);
  });

  const json = toWordPieceJson(tinyWords());
  const model = json.model as Record<string, unknown>;
  const refusals: [string, Record<string, unknown>, string][] = [
    ["a vocabulary without a frame", { "vocab.txt": "a\nb\n" }, "vocab.txt has no [SEP] and [CLS]"],
    ["an empty vocabulary", { "vocab.txt": "" }, "vocab.txt has no"],
    ["more tokens than rows", { "vocab.txt": [...tinyWords(), ..."ABCDE"].join("\n") }, "the model has 64"],
    ["no vocabulary", { "tokenizer.json": { ...json, model: { ...model, vocab: null } } }, "the model has no vocab"],
    [
      "an id out of range",
      { "tokenizer.json": { ...json, model: { ...model, vocab: { a: 64 } } } },
      "the model has 64",
    ],
  ];

  test.each(refusals)("%s", async (_, files, message) => {
    await expect(convert(files)).rejects.toThrow(message);
  });
});
