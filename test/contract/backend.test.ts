// What the engine may rely on in a backend: one suite, run against the fake and against llama.cpp.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Backend, BatchPart, PreparedPrompt, Sampled, Sampler } from "../../src/engine/backend.ts";
import type { Prompt } from "../../src/protocol/generation.ts";
import { FakeBackend } from "../support/fake-backend.ts";
import { finish } from "../support/finish.ts";
import { HAS_NATIVE, loadDemo } from "../support/llama-library.ts";

const SETTINGS = { contextLength: 256, parallel: 4, batchSize: 64 };
const CHAT: Prompt = { kind: "chat", messages: [{ role: "user", content: "Count from 1 to 10" }] };
const HELLO: Prompt = { kind: "chat", messages: [{ role: "user", content: "Say hello in one sentence" }] };
const TOOL_CHAT: Prompt = {
  ...CHAT,
  tools: [{ type: "function", function: { name: "add", parameters: { type: "object", properties: {} } } }],
};

const prepare = (backend: Backend, prompt: Prompt): PreparedPrompt => finish(backend.preparePrompt(prompt, null));
const used = (backend: Backend): number => backend.cells()[0]?.used ?? -1;
const tokenOf = (sampled: Sampled): number => {
  if (sampled.kind === "failed") throw sampled.error;
  return sampled.token;
};
const sampleOne = (backend: Backend, sampler: Sampler): number => backend.sample([sampler]).map(tokenOf)[0] ?? -1;
const greedy = { temperature: 0, ignoreEos: true };

/** Reads a prompt in pieces of at most `pieceTokens`, then decodes greedily; the sequence is removed in the end. */
function generate(backend: Backend, prompt: PreparedPrompt, seqId: number, count: number, pieceTokens = 64): number[] {
  using sampler = backend.makeSampler(greedy, prompt);
  const out: number[] = [];
  for (let start = 0; start < prompt.tokens.length; start += pieceTokens) {
    const tokens = prompt.tokens.subarray(start, start + pieceTokens);
    const output = start + tokens.length === prompt.tokens.length;
    expect(backend.decode([{ seqId, tokens, start, output }])).toBe("done");
  }
  for (;;) {
    const token = sampleOne(backend, sampler);
    out.push(token);
    if (out.length === count) break;
    const start = prompt.tokens.length + out.length - 1;
    expect(backend.decode([{ seqId, tokens: Int32Array.of(token), start, output: true }])).toBe("done");
  }
  backend.removeSequence(seqId);
  return out;
}

const subjects: [string, () => Promise<Backend>][] = [["the fake", async () => new FakeBackend(SETTINGS)]];
if (HAS_NATIVE) subjects.push(["llama.cpp", () => loadDemo(SETTINGS)]);

describe.each(subjects)("a backend: %s", (_name, make) => {
  let backend: Backend;
  let handlesBefore: Record<string, number>;

  beforeAll(async () => {
    backend = await make();
    handlesBefore = backend.liveHandles();
  });

  afterAll(() => backend[Symbol.dispose]());

  test("says what it is", () => {
    expect(backend.info).toMatchObject({ parallel: 4, batchSize: 64, canGenerate: true });
    expect(backend.cells()[0]?.size).toBe(backend.info.contextLength);
    expect(backend.info.sequenceContextLength).toBeLessThanOrEqual(backend.info.contextLength);
    expect(used(backend)).toBe(0);
  });

  test("prepares the same tokens for the same prompt", () => {
    using first = prepare(backend, CHAT);
    using second = prepare(backend, CHAT);
    using other = prepare(backend, HELLO);
    expect([...first.tokens]).toEqual([...second.tokens]);
    expect([...first.tokens]).not.toEqual([...other.tokens]);
  });

  test("takes tokens as they are, and refuses those outside of the vocabulary", () => {
    using prompt = prepare(backend, { kind: "tokens", tokens: [5, 6, 7] });
    expect([...prompt.tokens]).toEqual([5, 6, 7]);
    for (const token of [-1, backend.info.vocabularySize]) {
      expect(() => prepare(backend, { kind: "tokens", tokens: [5, token] })).toThrow(`token ${token} `);
    }
  });

  test("gives the bytes of tokens", () => {
    using prompt = prepare(backend, { kind: "text", text: "hello" });
    const bytes = [...prompt.tokens].map((token) => backend.tokenBytes(token, false));
    expect(Buffer.concat(bytes).toString()).toContain("hello");
    expect([...prompt.tokens].some((token) => backend.isEnd(token))).toBe(false);
  });

  test("counts the cells of each sequence and frees them", () => {
    using prompt = prepare(backend, CHAT);
    const length = prompt.tokens.length;
    backend.decode([{ seqId: 0, tokens: prompt.tokens, start: 0, output: true }]);
    expect(used(backend)).toBe(length);
    backend.decode([{ seqId: 1, tokens: prompt.tokens.subarray(0, 3), start: 0, output: false }]);
    expect(used(backend)).toBe(length + 3);
    backend.removeSequence(0);
    expect(used(backend)).toBe(3);
    backend.removeSequence(1);
    expect(used(backend)).toBe(0);
    backend.removeSequence(1);
    expect(used(backend)).toBe(0);
  });

  test("says when the cells do not suffice, and leaves them as they were", () => {
    const parts = (seqId: number, count: number, start = 0): BatchPart[] => [
      { seqId, tokens: new Int32Array(count).fill(5), start, output: false },
    ];
    for (let start = 0; start < 192; start += 64) expect(backend.decode(parts(0, 64, start))).toBe("done");
    expect(backend.decode(parts(1, 40))).toBe("done");
    expect(backend.decode(parts(2, 60))).toBe("full");
    expect(used(backend)).toBe(232);
    expect(backend.decode(parts(2, 24))).toBe("done");
    for (const seqId of [0, 1, 2]) backend.removeSequence(seqId);
    expect(used(backend)).toBe(0);
  });

  test("a prompt read in pieces, under another seq-id, gives the same output", () => {
    using prompt = prepare(backend, CHAT);
    const whole = generate(backend, prompt, 0, 12);
    expect(new Set(whole).size).toBeGreaterThan(3);
    for (const [seqId, pieceTokens] of [
      [1, 64],
      [2, 7],
      [3, 1],
    ] as const) {
      expect(generate(backend, prompt, seqId, 12, pieceTokens)).toEqual(whole);
    }
  });

  test("a lost cell or another position changes the output", () => {
    using prompt = prepare(backend, CHAT);
    const whole = generate(backend, prompt, 0, 12);
    const shortened: PreparedPrompt = { ...prompt, tokens: prompt.tokens.slice(-4) };
    using sampler = backend.makeSampler(greedy, prompt);
    backend.decode([{ seqId: 0, tokens: shortened.tokens, start: 0, output: true }]);
    const got = [sampleOne(backend, sampler)];
    for (let i = 0; i < 11; i++) {
      backend.decode([{ seqId: 0, tokens: Int32Array.of(got.at(-1) ?? 0), start: 4 + i, output: true }]);
      got.push(sampleOne(backend, sampler));
    }
    backend.removeSequence(0);
    expect(got).not.toEqual(whole);
  });

  test("sequences in one batch do not see each other", () => {
    using first = prepare(backend, CHAT);
    using second = prepare(backend, HELLO);
    const solo = [generate(backend, first, 0, 10), generate(backend, second, 0, 10)];
    using firstSampler = backend.makeSampler(greedy, first);
    using secondSampler = backend.makeSampler(greedy, second);
    const samplers = [firstSampler, secondSampler];
    const lengths = [first.tokens.length, second.tokens.length];
    const together: number[][] = [[], []];
    let parts: BatchPart[] = [
      { seqId: 2, tokens: first.tokens, start: 0, output: true },
      { seqId: 1, tokens: second.tokens, start: 0, output: true },
    ];
    for (let step = 0; step < 10; step++) {
      expect(backend.decode(parts)).toBe("done");
      const tokens = backend.sample(samplers).map(tokenOf);
      for (const [i, token] of tokens.entries()) together[i]?.push(token);
      parts = parts.map((part, i) => ({
        ...part,
        tokens: Int32Array.of(tokens[i] ?? 0),
        start: (lengths[i] ?? 0) + step,
      }));
    }
    backend.removeSequence(1);
    backend.removeSequence(2);
    expect(together).toEqual(solo);
  });

  test("a seed decides what is sampled", () => {
    using prompt = prepare(backend, CHAT);
    const draw = (seed: number): number[] => {
      using sampler = backend.makeSampler({ temperature: 5, topK: 0, topP: 1, minP: 0, seed }, prompt);
      const out: number[] = [];
      for (let i = 0; i < 8; i++) {
        const tokens = i === 0 ? prompt.tokens : Int32Array.of(out.at(-1) ?? 0);
        const start = i === 0 ? 0 : prompt.tokens.length + i - 1;
        backend.decode([{ seqId: 0, tokens, start, output: true }]);
        out.push(sampleOne(backend, sampler));
      }
      backend.removeSequence(0);
      return out;
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  test("a parser loses nothing of a plain answer", () => {
    using prompt = prepare(backend, TOOL_CHAT);
    expect(prompt.needsParser).toBe(true);
    using parser = backend.makeParser(prompt);
    const pieces = [...parser.push("Hello ", false), ...parser.push("there.", false), ...parser.push("", true)];
    expect(pieces.map((piece) => piece.text ?? "").join("")).toBe("Hello there.");
  });

  test("embeds: normalised, the same alone and in a batch, without a cell", () => {
    const inputs = ["hello there", "count from one to ten", "é"].map((text) => {
      using prompt = finish(backend.prepareEmbedding(text));
      return prompt.tokens;
    });
    const together = backend.embed(inputs);
    expect(together).toHaveLength(3);
    for (const [i, vector] of together.entries()) {
      expect(vector).toHaveLength(backend.info.embeddingLength);
      expect(Math.hypot(...vector)).toBeCloseTo(1, 4);
      const [alone] = backend.embed([inputs[i] ?? new Int32Array(0)]);
      for (const [d, value] of vector.entries()) expect(alone?.[d]).toBeCloseTo(value, 3);
    }
    expect(together[0]).not.toEqual(together[1]);
    expect(used(backend)).toBe(0);
    expect(backend.embeddingLimit()).toBeLessThanOrEqual(backend.embeddingBatch.tokens);
    expect(backend.embeddingBatch.inputs).toBeGreaterThan(0);
  });

  test("refuses a sampler that it can't make, and a task that is not taken frees its result", () => {
    using prompt = prepare(backend, CHAT);
    if (!(backend instanceof FakeBackend)) {
      expect(() => backend.makeSampler({ grammar: "root ::= (" }, prompt)).toThrow();
    }
    const task = backend.preparePrompt(CHAT, null);
    while (task.poll().kind === "running") Bun.sleepSync(1);
    task[Symbol.dispose]();
  });

  test("leaves no object behind", () => {
    // The context that embeddings are made in stays for the next ones.
    const { context: _before, ...before } = handlesBefore;
    const { context: _after, ...after } = backend.liveHandles();
    expect(after).toEqual(before);
    expect(used(backend)).toBe(0);
  });
});
