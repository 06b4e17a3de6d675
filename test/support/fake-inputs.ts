// What the fake backend makes of prompts and of inputs to embed or to rank: tokens, or why it refuses them, and vectors.

import type { TextSource } from "../../src/engine/backend.ts";
import type { EmbeddingInput, Prompt } from "../../src/protocol/generation.ts";
import type { Pooling } from "../../src/protocol/model-info.ts";
import { DIMENSIONS } from "./fake-options.ts";
import { mix } from "./fake-sampler.ts";
import { checkTokens, END, fakeTokens } from "./fake-vocabulary.ts";

export function readFakePrompt(prompt: Prompt): Int32Array | string {
  switch (prompt.kind) {
    case "tokens":
      return checkTokens(prompt.tokens);
    case "text":
      return fakeTokens(prompt.text);
    case "infill":
      return fakeTokens(prompt.prefix + prompt.suffix);
    case "chat":
      return fakeTokens(prompt.messages.map((message) => String(message.content)).join(" "));
  }
}

export function readFakeInput(input: EmbeddingInput): Int32Array | string {
  if (typeof input === "string") return fakeTokens(input);
  return Array.isArray(input) ? checkTokens(input) : fakeTokens(`${input.query} ${input.document}`);
}

/** A text's beginning is marked with the end token where special ones are added. */
export function readFakePieces({ pieces, addSpecial }: Extract<TextSource, { kind: "pieces" }>): Int32Array | string {
  const isMarked = addSpecial && typeof pieces[0] === "string";
  const tokens = pieces.flatMap((piece) => (typeof piece === "number" ? [piece] : [...fakeTokens(piece)]));
  return checkTokens(isMarked ? [END, ...tokens] : tokens);
}

/** Hangs on every token; a ranking is one number. */
export function embedFakeTokens(tokens: Int32Array, pooling: Pooling): Float32Array {
  const seed = tokens.reduce((hash, token) => mix(hash, token), 1);
  const at = (i: number): number => (mix(seed, i) % 2001) - 1000;
  if (pooling === "rank") return Float32Array.of(at(0));
  const raw = Float32Array.from({ length: DIMENSIONS }, (_, i) => at(i));
  const norm = Math.hypot(...raw);
  return raw.map((value) => value / norm);
}
