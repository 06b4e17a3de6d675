// A smaller model's context as a guesser: what a slot holds never shows in a guess, only in how much is left to run.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { NativeContext } from "../../src/ffi/context.ts";
import { NativeDrafter } from "../../src/ffi/drafter.ts";
import { NativeModel } from "../../src/ffi/model.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { GEMMA_SPEC, LLAMA_SPEC, type ModelSpec } from "../support/model-specs.ts";
import { makeRandom } from "../support/random.ts";

const SETTINGS = {
  contextLength: 512,
  batchSize: 64,
  microBatchSize: 64,
  outputs: 4,
  sequences: 4,
  threads: 1,
  embeddings: false,
  pooling: -1,
};

async function loadSpec(spec: ModelSpec): Promise<NativeModel> {
  const { library } = await openLlama();
  using job = NativeModel.load(library, cacheModel(spec), { gpuLayers: 0 });
  while (job.poll().kind === "running") Bun.sleepSync(1);
  return job.take();
}

/** Shows a slot all of it, in pieces. */
function showAll(drafter: NativeDrafter, slot: number, tokens: Int32Array): void {
  for (let left = tokens.length; left > 8; ) {
    const next = drafter.show(slot, tokens, 50);
    expect(next).toBeLessThan(left);
    left = next;
  }
}

function tokensOf(seed: number, length: number): Int32Array {
  const random = makeRandom(seed);
  return Int32Array.from({ length }, () => 300 + random(20_000));
}

describe.skipIf(!HAS_NATIVE)("a drafter", () => {
  const small = { ...LLAMA_SPEC, tokenizer: "llama-spm" } as const;
  let model: NativeModel;
  let context: NativeContext;
  let drafter: NativeDrafter;

  beforeAll(async () => {
    model = await loadSpec(small);
    context = NativeContext.make(model, SETTINGS);
    drafter = NativeDrafter.make(model, context, 0);
  });
  afterAll(() => {
    drafter[Symbol.dispose]();
    context[Symbol.dispose]();
    model[Symbol.dispose]();
  });

  /** What a context without a past says. */
  function guessAnew(tokens: Int32Array, limit: number): number[] {
    using fresh = NativeContext.make(model, SETTINGS);
    using clean = NativeDrafter.make(model, fresh, 0);
    showAll(clean, 0, tokens);
    return [...(clean.guess([{ slot: 0, limit }])[0] ?? [])];
  }

  test("guesses the same whatever its slot held before", () => {
    const text = tokensOf(1, 120);
    showAll(drafter, 0, text);
    expect(drafter.show(0, text, 0)).toBe(1);
    const expected = guessAnew(text, 6);
    expect(expected).toHaveLength(6);
    expect([...(drafter.guess([{ slot: 0, limit: 6 }])[0] ?? [])]).toEqual(expected);
    // Its own guess was right for two tokens, and went on otherwise: what is left is the bonus token.
    const next = Int32Array.from([...text, ...expected.slice(0, 2), 777]);
    expect(drafter.show(0, next, 0)).toBe(1);
    expect([...(drafter.guess([{ slot: 0, limit: 4 }])[0] ?? [])]).toEqual(guessAnew(next, 4));
    // Another text altogether.
    const other = tokensOf(2, 40);
    showAll(drafter, 0, other);
    expect([...(drafter.guess([{ slot: 0, limit: 4 }])[0] ?? [])]).toEqual(guessAnew(other, 4));
  });

  test("shares a beginning that another slot has", () => {
    const text = tokensOf(3, 100);
    showAll(drafter, 1, text);
    const used = context.cells()[0]?.used ?? 0;
    const fork = Int32Array.from([...text.subarray(0, 80), 5, 6, 7]);
    expect(drafter.show(2, fork, 0)).toBe(3);
    expect(context.cells()[0]?.used).toBe(used);
    const guesses = drafter.guess([
      { slot: 2, limit: 3 },
      { slot: 1, limit: 5 },
    ]);
    expect(guesses.map((guess) => [...guess])).toEqual([guessAnew(fork, 3), guessAnew(text, 5)]);
  });

  test("frees the slot that was used longest ago when there is no room, and reads nothing when none is left", () => {
    for (const slot of [0, 1, 2]) showAll(drafter, slot, tokensOf(10 + slot, 160));
    expect(drafter.show(3, tokensOf(20, 100), 64)).toBe(36);
    expect(drafter.show(0, tokensOf(10, 160), 0)).toBe(160);
    expect(drafter.show(2, tokensOf(12, 160), 0)).toBe(1);
    const long = tokensOf(30, 700);
    let left = 700;
    for (let i = 0; i < 20; i++) left = drafter.show(3, long, 64);
    expect(left).toBeGreaterThan(180);
    expect(() => drafter.guess([{ slot: 3, limit: 4 }])).toThrow("more than one batch takes");
  });

  test("guesses nothing in a slot that was freed after it was shown its tokens", () => {
    for (const slot of [0, 1, 2]) showAll(drafter, slot, tokensOf(10 + slot, 160));
    const text = tokensOf(10, 160);
    for (const slot of [2, 1, 0]) expect(drafter.show(slot, tokensOf(10 + slot, 160), 0)).toBeLessThan(9);
    // Who is shown next takes the room of all others, one after the other.
    const long = tokensOf(31, 500);
    for (let i = 0; i < 8; i++) drafter.show(3, long, 64);
    expect([...(drafter.guess([{ slot: 0, limit: 4 }])[0] ?? [])]).toEqual([]);
    expect(drafter.show(0, text, 0)).toBe(160);
  });

  test("stops where no token is likely enough", () => {
    using strict = NativeContext.make(model, SETTINGS);
    using sure = NativeDrafter.make(model, strict, 0.999);
    const text = tokensOf(4, 30);
    showAll(sure, 0, text);
    expect((sure.guess([{ slot: 0, limit: 8 }])[0]?.length ?? 8) < 8).toBe(true);
  });

  test("names what differs in the vocabularies", async () => {
    using bpe = await loadSpec(LLAMA_SPEC);
    using other = NativeContext.make(bpe, SETTINGS);
    expect(() => NativeDrafter.make(model, other, 0)).toThrow("its vocabulary is of type BPE, the model's is SPM");
    using gemma = await loadSpec({ ...GEMMA_SPEC, tokenizer: "llama-spm" });
    using compatible = NativeContext.make(gemma, SETTINGS);
    NativeDrafter.make(model, compatible, 0)[Symbol.dispose]();
  });

  test("refuses what it is not made for", () => {
    expect(() => drafter.show(4, tokensOf(1, 3), 0)).toThrow("there is no slot 4");
    expect(() => drafter.show(0, new Int32Array(0), 0)).toThrow("without tokens");
  });
});
