// Prompts of the model tests: different lengths, scripts and beginnings, and some that differ in one early word.

import { makeNormalSource } from "./gguf-builder.ts";

export const TEXT_PROMPTS: readonly string[] = [
  "Hello",
  "The capital of France is",
  "Once upon a time, in a village by the sea, there lived a clockmaker who",
  "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30",
  "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
  "Grüße aus Köln! Привет, мир! 你好,世界! こんにちは 🌍🚀",
  '{"name": "Ada", "born": 1815, "tags": ["math", "engine"], "note": "',
  "A long sentence, which goes on and on about nothing in particular, so that the sliding window of the " +
    "smallest layers is surely shorter than it, and so that the prompt is cut into several batches, ends",
  "red: the quick brown fox jumps over the lazy dog and runs into the forest, where it",
  "blue: the quick brown fox jumps over the lazy dog and runs into the forest, where it",
  "\n\n\t  spaces   and\ttabs\r\n",
  "SELECT id, name FROM users WHERE age > 30 ORDER BY",
  "Q: What is 17 times 23?\nA:",
  "!!!???...---===+++***",
  "<|im_start|>user\nSay hello.<|im_end|>\n<|im_start|>assistant\n",
  "http://example.com/path?query=1&other=%20#fragment",
  "The patient, a 54-year-old man, presented with",
  "ÅÄÖ åäö ñ ç ß Ø ł ő ğ й ї ё",
  "a",
  "Das Pferd frißt keinen Gurkensalat. ".repeat(6),
];

/** Token ids that every tokenizer here has, below the smallest vocabulary and above the special ones. */
export const TOKEN_PROMPTS: readonly number[][] = [1, 7, 24, 40, 90, 150].map((length, index) => {
  const random = makeNormalSource(`token prompt ${index}`);
  return Array.from({ length }, () => 5_000 + (Math.floor(Math.abs(random()) * 5_000) % 20_000));
});

/** What the demo model was trained on: elsewhere it babbles, and its best tokens lie close together. */
export const DEMO_PROMPTS: readonly string[] = [
  "Say hello in one sentence",
  "Count from 1 to 10",
  "What is 7 + 8?",
  "What is 12 + 5?",
  "What is the capital of France?",
  "What is the opposite of hot?",
  "Repeat: apple banana cherry",
  "What is a context?",
  "What is GGUF?",
  "Who are you?",
].map((question) => `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`);
