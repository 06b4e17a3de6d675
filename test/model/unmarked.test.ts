// A file that wants a token at the beginning of each text and names none: llama.cpp gives up on it at the first text, and
// with it would the engine. Here texts go without, of every kind.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { LlamaBackend } from "../../src/engine/llama/llama-backend.ts";
import type { Prompt } from "../../src/protocol/generation.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { UNMARKED_SPEC } from "../support/model-specs.ts";

describe.skipIf(!HAS_NATIVE)("a model without the token that its texts begin with", () => {
  let backend: LlamaBackend;
  beforeAll(async () => {
    backend = await loadModelFile(cacheModel(UNMARKED_SPEC));
  });
  afterAll(() => backend[Symbol.dispose]());

  const tokensOf = async (prompt: Prompt): Promise<number[]> => {
    using task = backend.preparePrompt(prompt, null);
    for (;;) {
      const state = task.poll();
      if (state.kind === "failed") throw state.error;
      if (state.kind === "done") break;
      await Bun.sleep(1);
    }
    using prepared = task.take();
    return [...prepared.tokens];
  };

  test("reads texts and conversations", async () => {
    const text = await tokensOf({ kind: "text", text: "hello there" });
    expect(text.length).toBeGreaterThan(0);
    expect(text.every((token) => token >= 0)).toBe(true);
    const chat = await tokensOf({ kind: "chat", messages: [{ role: "user", content: "hello there" }] } as Prompt);
    expect(chat.length).toBeGreaterThan(text.length);
    expect(chat.every((token) => token >= 0)).toBe(true);
  });

  test("reads texts to embed", async () => {
    using task = backend.prepareEmbedding("hello there");
    while (task.poll().kind === "running") await Bun.sleep(1);
    expect(task.poll().kind).toBe("done");
  });
});
