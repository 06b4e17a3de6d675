// Unigram: XLM-RoBERTa's vocabulary, as llama.cpp has it, is put back into tokenizer.json and sentencepiece.bpe.model,
// converted, and gives the ids of Hugging Face's tokenizer (test/golden/unigram-ids.json); and what is damaged.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertFolder, readWritten } from "../support/convert-folder.ts";
import { finish } from "../support/finish.ts";
import { readExpectations, readVocabularyOf } from "../support/hf-tokenizers.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { TINY_BERT, writeEncoderFolder } from "../support/tiny-encoders.ts";
import {
  tinyUnigram,
  UNIGRAM_SETTINGS,
  unigramJson,
  unigramPieces,
  vendoredUnigram,
} from "../support/unigram-tokenizers.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-unigram-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function convert(files: Record<string, unknown>, vocabulary = 64): Promise<string> {
  const source = mkdtempSync(join(folder, "source-"));
  const model = { ...TINY_BERT, architecture: "XLMRobertaModel", modelType: "xlm-roberta", tokenTypes: 1, vocabulary };
  writeEncoderFolder(source, { ...model, layers: 1, width: 32, inner: 32, positionOffset: 2 }, files);
  const { path } = await convertFolder(source, "f16");
  return path;
}

async function tokenize(path: string, texts: readonly string[], addSpecial = false): Promise<number[][]> {
  using backend = await loadModelFile(path, { contextLength: 62 });
  return texts.map((text) => [
    ...finish(backend.readText({ kind: "pieces", pieces: [text], addSpecial, parseSpecial: false })).tokens,
  ]);
}

describe.skipIf(!HAS_NATIVE)("ids of a multilingual text", () => {
  const vocabulary = vendoredUnigram();
  const texts = readExpectations("bert-bge").map(({ text }) => text);
  const expected: number[][] = JSON.parse(readFileSync(join(import.meta.dir, "../golden/unigram-ids.json"), "utf8"));
  const sources: [string, Record<string, unknown>][] = [
    ["tokenizer.json", unigramJson(vocabulary)],
    ["sentencepiece.bpe.model", unigramPieces(vocabulary)],
  ];

  test.each(sources)("%s", async (_, files) => {
    const path = await convert(files, vocabulary.tokens.length);
    // SentencePiece's file does not know the mask, which comes last.
    const count = vocabulary.tokens.indexOf("<mask>");
    expect(count).toBeGreaterThan(250_000);
    expect(readVocabularyOf(path).tokens.slice(0, count)).toEqual(vocabulary.tokens.slice(0, count));
    const found = await tokenize(path, texts);
    expect(expected.length).toBeGreaterThan(40);
    for (const [i, ids] of expected.entries())
      expect({ text: texts[i], ids: found[i] }).toEqual({ text: texts[i], ids });
  });
});

describe("what is said", () => {
  const tiny = tinyUnigram();

  test.skipIf(!HAS_NATIVE)("texts are framed, and characters made alike", async () => {
    for (const files of [unigramJson(tiny), unigramPieces(tiny)]) {
      const path = await convert(files);
      const word = (token: string) => tiny.tokens.indexOf(token);
      const [ids] = await tokenize(path, ["the  ａ１"], true);
      expect(ids).toEqual([0, word("▁the"), word("▁a"), word("1"), 2]);
    }
  });

  test("keys, kinds of tokens, scores", async () => {
    for (const files of [unigramJson(tiny), unigramPieces(tiny)]) {
      const path = await convert(files);
      const { value } = readWritten(path);
      expect(value("tokenizer.ggml.model")).toBe("t5");
      expect(value("tokenizer.ggml.token_type_count")).toBe(1);
      expect(value("tokenizer.ggml.remove_extra_whitespaces")).toBe(true);
      expect(value("tokenizer.ggml.add_space_prefix")).toBe(true);
      expect(value("tokenizer.ggml.precompiled_charsmap")).toBe(`[${tiny.charsmap.byteLength}]`);
      const { types, scores, tokens } = readVocabularyOf(path);
      expect([...types.slice(0, 5)]).toEqual([3, 3, 3, 2, 1]);
      expect([...scores.slice(4, 6)]).toEqual([-9 / 16, -11 / 16]);
      expect(tokens.at(-1)).toStartWith("[PAD6");
    }
  });
});

describe("what is refused", () => {
  const files = unigramJson(tinyUnigram());
  const json = files["tokenizer.json"] as Record<string, unknown>;
  const model = json.model as Record<string, unknown>;
  const withVocabulary = (vocab: unknown) => ({ "tokenizer.json": { ...json, model: { ...model, vocab } } });
  const { "sentencepiece.bpe.model": pieces } = unigramPieces(tinyUnigram());
  const whole = pieces as Uint8Array;
  const refusals: [string, Record<string, unknown>, string][] = [
    ["no vocabulary", withVocabulary([]), "the model has no vocab"],
    ["a piece without a score", withVocabulary([["a", -1], ["b"]]), "the piece 1 is no pair"],
    ["more pieces than rows", withVocabulary(Array.from({ length: 65 }, (_, id) => [`${id}`, -1])), "the model has 64"],
    [
      "a file that is cut",
      { "sentencepiece.bpe.model": whole.subarray(0, 100) },
      "sentencepiece.bpe.model is no SentencePiece model",
    ],
    ["no tokenizer", { "tokenizer_config.json": UNIGRAM_SETTINGS }, "neither tokenizer.json nor tokenizer.model"],
  ];

  test.each(refusals)("%s", async (_, changed, message) => {
    await expect(convert(changed)).rejects.toThrow(message);
  });
});
