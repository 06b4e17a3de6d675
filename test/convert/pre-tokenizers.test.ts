// Ways to cut texts: the patterns that llama.cpp's source quotes from tokenizer.json files are told by the names under
// which it quotes them.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Fields } from "../../src/convert/json-file.ts";
import { findPreTokenizer } from "../../src/convert/tokenizer/pre-tokenizers.ts";
import { cutBy, readExpressions } from "../support/hf-tokenizers.ts";
import { locateLlamaSource } from "../support/tokenizers.ts";

const source = readFileSync(join(locateLlamaSource(), "src/llama-vocab.cpp"), "utf8");

/** Pre-type of llama.cpp → the pattern in the comment of its case. */
function readQuotes(): Map<string, string> {
  const quotes = new Map<string, string>();
  let names: string[] = [];
  for (const line of source.split("\n")) {
    const name = /case LLAMA_VOCAB_PRE_TYPE_(\w+):/.exec(line)?.[1];
    const quoted = /^\s*\/\/\s*("(?:[^"\\]|\\.)*")/.exec(line)?.[1];
    // Several names may stand before one pattern.
    if (name !== undefined) names.push(name);
    else if (line.includes("break;")) names = [];
    if (quoted === undefined) continue;
    for (const of of names) if (!quotes.has(of)) quotes.set(of, JSON.parse(quoted) as string);
  }
  return quotes;
}

const isolate = (pattern: string) => ({
  type: "Split",
  pattern: { Regex: pattern },
  behavior: "Isolated",
  invert: false,
});

const find = (preTokenizer: unknown, ignoresMerges = false) =>
  findPreTokenizer(new Fields("tokenizer.json", { pre_tokenizer: preTokenizer }), ignoresMerges);

const quotes = readQuotes();
const bytes = (useRegex: boolean) => ({ type: "ByteLevel", add_prefix_space: false, use_regex: useRegex });

describe("by the quoted pattern", () => {
  test.each([
    ["LLAMA3", true, "llama-bpe"],
    ["LLAMA3", false, "smaug-bpe"],
    ["QWEN2", false, "qwen2"],
    ["QWEN35", false, "qwen35"],
    ["TEKKEN", true, "tekken"],
    ["TEKKEN", false, "tekken"],
    ["GPT4O", false, "gpt-4o"],
  ])("%s (ignores merges: %p) → %s", (type, ignoresMerges, name) => {
    const pattern = quotes.get(type);
    expect(pattern).toBeString();
    expect(find(cutBy(pattern ?? ""), ignoresMerges)).toBe(name);
  });

  test("kept apart, or what does not match removed: the same", () => {
    const split = { type: "Split", pattern: { Regex: quotes.get("QWEN2") }, behavior: "Removed", invert: true };
    expect(find({ type: "Sequence", pretokenizers: [split, bytes(false)] })).toBe("qwen2");
    const merged = { ...split, behavior: "MergedWithNext" };
    expect(() => find({ type: "Sequence", pretokenizers: [merged, bytes(false)] })).toThrow("Split (MergedWithNext)");
  });
});

describe("DeepSeek's, of several steps", () => {
  const digits = { type: "Digits", individual_digits: true };

  test("deepseek-v3, with ends of lines as they are and by their names", () => {
    const patterns = readExpressions(source, "DEEPSEEK3_LLM");
    expect(patterns).toHaveLength(3);
    for (const form of [patterns, patterns.map((pattern) => pattern.replaceAll("\r", "\\r").replaceAll("\n", "\\n"))]) {
      const steps = [...form.map(isolate), bytes(false)];
      expect(find({ type: "Sequence", pretokenizers: steps })).toBe("deepseek-v3");
      expect(() => find({ type: "Sequence", pretokenizers: steps.slice(1) })).toThrow("is not known here");
    }
  });

  test("deepseek-llm and deepseek-coder", () => {
    for (const [type, name] of [
      ["DEEPSEEK_LLM", "deepseek-llm"],
      ["DEEPSEEK_CODER", "deepseek-coder"],
    ] as const) {
      const patterns = readExpressions(source, type);
      expect(patterns.length).toBeGreaterThan(4);
      // Their tokenizer.json has a step of its own for digits.
      const steps = [...patterns.slice(0, -1).map(isolate), digits, bytes(false)];
      expect(find({ type: "Sequence", pretokenizers: steps })).toBe(name);
    }
  });
});

test("those without a pattern of their own", () => {
  expect(find(bytes(true))).toBe("gpt-2");
  const digits = { type: "Digits", individual_digits: true };
  expect(find({ type: "Sequence", pretokenizers: [digits, bytes(true)] })).toBe("smollm");
  expect(() => find({ type: "Sequence", pretokenizers: [digits, bytes(false)] })).toThrow("single digits; bytes");
  expect(() => find({ ...bytes(true), add_prefix_space: true })).toThrow("(ByteLevel)");
  expect(() => find({ type: "Whitespace" })).toThrow("(Whitespace)");
});
