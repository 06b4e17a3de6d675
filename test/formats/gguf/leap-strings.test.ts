// Leaping over vocabularies: the same header as by walking, with a part of the reading; and texts that must not mislead it.

import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { findStringsEnd } from "../../../src/formats/gguf/leap-strings.ts";
import { type GgufHeader, readGgufHeader } from "../../../src/formats/gguf/read-header.ts";
import { bytesAsFile, type ReadAt, withFile } from "../../../src/formats/read-at.ts";
import { makeRandom } from "../../support/random.ts";

const VOCABULARIES = join(import.meta.dir, "..", "..", "..", "vendor", "llama.cpp", "models");

function countReads(file: ReadAt): { file: ReadAt; bytes: () => number } {
  let bytes = 0;
  const read = (target: Uint8Array, offset: number): number => {
    const count = file.read(target, offset);
    bytes += count;
    return count;
  };
  return { file: { sizeBytes: file.sizeBytes, read }, bytes: () => bytes };
}

function readBoth(path: string): { walked: GgufHeader; leapt: GgufHeader; bytes: number } {
  return withFile(path, (file) => {
    const counted = countReads(file);
    const leapt = readGgufHeader(counted.file, { leaps: true });
    return { walked: readGgufHeader(file), leapt, bytes: counted.bytes() };
  });
}

describe("real vocabularies", () => {
  const names = readdirSync(VOCABULARIES).filter((name) => name.endsWith(".gguf"));

  test.each(names)("%s: the same header", (name) => {
    const { walked, leapt } = readBoth(join(VOCABULARIES, name));
    expect(leapt).toEqual(walked);
  });

  test.each(["llama-bpe", "qwen2", "command-r", "gemma-4"])("%s: a part of the reading", (name) => {
    const { bytes, walked } = readBoth(join(VOCABULARIES, `ggml-vocab-${name}.gguf`));
    // What is between the vocabularies is read through the header's buffer of 256 KiB.
    expect(bytes).toBeLessThan(Math.min(1_300_000, walked.fileBytes / 4));
  });
});

const START = 24;
const COUNT = 40_000;

function encodeTexts(texts: readonly string[]): Buffer {
  return Buffer.concat(
    texts.map((text) => {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(8);
      length.writeUInt32LE(bytes.byteLength);
      return Buffer.concat([length, bytes]);
    }),
  );
}

/** A key with a value that is no length. */
const following = (key: string): Buffer => Buffer.concat([encodeTexts([key]), Buffer.from([9, 0, 0, 0, 5, 0, 0, 0])]);

function endOf(texts: readonly string[], rest: Buffer): { found: number | null; end: number } {
  const body = encodeTexts(texts);
  const bytes = Buffer.concat([Buffer.alloc(START, 255), body, rest, Buffer.alloc(8_192, 7)]);
  return { found: findStringsEnd(bytesAsFile(bytes), START, texts.length), end: START + body.byteLength };
}

describe("where an array of texts ends", () => {
  const random = makeRandom(5);
  const word = () => random(2 ** 31).toString(36);
  const words = Array.from({ length: COUNT }, word);
  const pairs = words.map((text) => `${text} ${word()}`);

  test("words, pairs, and words before pairs", () => {
    for (const texts of [words, pairs]) {
      const { found, end } = endOf(texts, following("tokenizer.ggml.token_type"));
      expect(found).toBe(end);
    }
    const rest = Buffer.concat([following("tokenizer.ggml.merges"), Buffer.alloc(4), encodeTexts(pairs)]);
    const { found, end } = endOf(words, rest);
    expect(found).toBe(end);
  });

  test("texts that are keys themselves do not end it", () => {
    const texts = words.map((text, index) => (index % 7 === 0 ? "tokenizer.ggml.scores" : text));
    const { found, end } = endOf(texts, following("tokenizer.ggml.scores"));
    expect(found).toBe(end);
  });

  test("what can't be told is left to walking", () => {
    const after = following("tokenizer.ggml.scores");
    const half = words.map((text, index) => (index % 4 === 0 ? text : `${text} x`));
    expect(endOf(half, after).found).toBeNull();
    expect(endOf(words.with(3, ""), after).found).toBeNull();
    expect(endOf(words, following("no key at all")).found).toBeNull();
    expect(endOf(words, Buffer.alloc(0)).found).toBeNull();
    expect(findStringsEnd(bytesAsFile(Buffer.alloc(600_000)), START, COUNT)).toBeNull();
    expect(findStringsEnd(bytesAsFile(Buffer.alloc(10)), START, COUNT)).toBeNull();
  });

  test("a count that is too high for the bytes is not believed", () => {
    const body = encodeTexts(words);
    const bytes = Buffer.concat([Buffer.alloc(START, 255), body, following("tokenizer.ggml.scores"), Buffer.alloc(99)]);
    expect(findStringsEnd(bytesAsFile(bytes), START, COUNT * 3)).toBeNull();
  });

  test("looks are bounded, whatever the file says", () => {
    const texts = encodeTexts(Array.from({ length: 600_000 }, () => "x".repeat(20)));
    const counted = countReads(bytesAsFile(texts));
    expect(findStringsEnd(counted.file, 0, COUNT)).toBeNull();
    expect(counted.bytes()).toBeLessThan(1_000_000);
  });
});
