// Questions about texts, against the fake and against llama.cpp with the demo model: what a text is as tokens, and that
// tokens are that text again.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Backend, TextFacts, TextSource } from "../../src/engine/backend.ts";
import { FakeBackend } from "../support/fake-backend.ts";
import { finish } from "../support/finish.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, loadDemo, loadModelFile } from "../support/llama-library.ts";
import { BERT_MEAN_SPEC, TINY_SPEC } from "../support/model-specs.ts";

const subjects: [string, () => Promise<Backend>][] = [["the fake", async () => new FakeBackend()]];
if (HAS_NATIVE) subjects.push(["llama.cpp", () => loadDemo()]);

const pieces = (...list: (string | number)[]): Extract<TextSource, { kind: "pieces" }> => ({
  kind: "pieces",
  pieces: list,
  addSpecial: false,
  parseSpecial: true,
});

describe.each(subjects)("questions about texts: %s", (_name, make) => {
  let backend: Backend;
  let handles: Record<string, number>;

  beforeAll(async () => {
    backend = await make();
    handles = backend.liveHandles();
  });
  afterAll(() => {
    expect(backend.liveHandles()).toEqual(handles);
    backend[Symbol.dispose]();
  });

  const read = (source: TextSource): TextFacts => finish(backend.readText(source));
  const textOf = (tokens: Iterable<number>): string =>
    Buffer.concat(Array.from(tokens, (token) => backend.tokenBytes(token, true))).toString();

  test("a text as tokens is the text again", () => {
    expect(textOf(read(pieces("hello there")).tokens)).toContain("hello there".slice(1));
    expect(read(pieces("")).tokens).toHaveLength(0);
    expect(read(pieces()).tokens).toHaveLength(0);
  });

  test("texts and ids follow each other, and ids must be in the vocabulary", () => {
    const first = read(pieces("one")).tokens;
    expect([...read(pieces(5, "one", 6)).tokens]).toEqual([5, ...first, 6]);
    for (const bad of [-1, backend.info.vocabularySize]) {
      expect(() => read(pieces("a", bad))).toThrow(`token ${bad} is not in the vocabulary`);
    }
  });

  test("a chat is written as its template has it, with the tokens that a prompt of it has", () => {
    const chat = { kind: "chat", messages: [{ role: "user", content: "Count from 1 to 10" }] } as const;
    const facts = read({ ...chat, messages: [...chat.messages] });
    expect(facts.text).toContain("Count from 1 to 10");
    using prompt = finish(backend.preparePrompt({ ...chat, messages: [...chat.messages] }, null));
    expect([...facts.tokens]).toEqual([...prompt.tokens]);
  });
});

describe.skipIf(!HAS_NATIVE)("llama.cpp's own", () => {
  const read = (backend: Backend, source: TextSource): number[] => [...finish(backend.readText(source)).tokens];

  test("control tokens are read out of a text, or are text like any other", async () => {
    using backend = await loadDemo();
    const control = read(backend, pieces("<|im_start|>user"));
    const plain = read(backend, { ...pieces("<|im_start|>user"), parseSpecial: false });
    expect(control.length).toBeLessThan(plain.length);
    expect(Buffer.from(backend.tokenBytes(control[0] ?? 0, true)).toString()).toBe("<|im_start|>");
    expect(backend.tokenBytes(control[0] ?? 0, false)).toHaveLength(0);
  });

  test.each([
    ["llama-spm", "<s>", ""],
    ["bert-bge", "[CLS]", "[SEP]"],
  ] as const)("%s: what is added goes around a text that comes first", async (tokenizer, before, behind) => {
    const spec = tokenizer === "bert-bge" ? BERT_MEAN_SPEC : { ...TINY_SPEC, tokenizer };
    using backend = await loadModelFile(cacheModel(spec));
    const plain = read(backend, pieces("one"));
    const around = read(backend, { ...pieces("one"), addSpecial: true });
    const at = around.indexOf(plain[0] ?? -1);
    const textOf = (tokens: number[]): string => tokens.map((t) => Buffer.from(backend.tokenBytes(t, true))).join("");
    expect([textOf(around.slice(0, at)), textOf(around.slice(at + plain.length))]).toEqual([before, behind]);
    expect(read(backend, { ...pieces("one", "one"), addSpecial: true })).toEqual([...around, ...plain]);
    expect(read(backend, { ...pieces(5, "one"), addSpecial: true })).toEqual([5, ...plain]);
  });

  test("a character that the vocabulary has not is its bytes, a token each", async () => {
    using backend = await loadModelFile(cacheModel({ ...TINY_SPEC, tokenizer: "llama-spm" }));
    const bytes = read(backend, pieces("🫠")).map((token) =>
      Buffer.from(backend.tokenBytes(token, true)).toString("hex"),
    );

    expect(bytes.slice(-4)).toEqual(["f0", "9f", "ab", "a0"]);
  });
});
