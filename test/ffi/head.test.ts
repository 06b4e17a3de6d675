// A model's own prediction layer as a guesser: it is given the right rows of the model's steps, and what a slot held before
// never shows in a guess.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type BatchColumns, NativeContext } from "../../src/ffi/context.ts";
import { NativeHead } from "../../src/ffi/head.ts";
import { NativeModel } from "../../src/ffi/model.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { ECHO_HEAD_SPEC, HEAD_SPEC, type ModelSpec, SLIDING_HEAD_SPEC, TINY_SPEC } from "../support/model-specs.ts";
import { makeRandom } from "../support/random.ts";

const SETTINGS = {
  contextLength: 512,
  batchSize: 64,
  microBatchSize: 64,
  outputs: 64,
  sequences: 4,
  threads: 1,
  embeddings: false,
  pooling: -1,
};

async function loadSpec(spec: ModelSpec, head = true): Promise<NativeModel> {
  const { library } = await openLlama();
  using job = NativeModel.load(library, cacheModel(spec), { gpuLayers: 0, head });
  while (job.poll().kind === "running") Bun.sleepSync(1);
  return job.take();
}

function tokensOf(seed: number, length: number): Int32Array {
  const random = makeRandom(seed);
  return Int32Array.from({ length }, () => 300 + random(20_000));
}

/** A model's context with a head beside it; seq-ids and slots are the same. */
class Pair implements Disposable {
  readonly target: NativeContext;
  readonly layers: NativeContext;
  readonly head: NativeHead;

  constructor(model: NativeModel) {
    this.target = NativeContext.make(model, SETTINGS);
    this.layers = NativeContext.make(model, { ...SETTINGS, head: true });
    this.head = NativeHead.make(model, this.target, this.layers, 0);
  }

  /** Runs tokens [start, end) of a sequence, in pieces, and has their rows taken; those from `certain` on are a guess. */
  run(slot: number, tokens: Int32Array, start: number, end: number, piece = 64, certain = end): void {
    this.head.watch(true);
    for (let at = start; at < end; at += piece) {
      const part = tokens.subarray(at, Math.min(end, at + piece));
      this.decode(slot, part, at);
      this.head.take(slot, tokens, { start: at, tokens: part, certain: certain - at, row: 0 });
    }
    this.head.watch(false);
  }

  decode(sequence: number, tokens: Int32Array, start: number): void {
    const batch: BatchColumns = {
      length: tokens.length,
      tokens,
      positions: Int32Array.from(tokens, (_, i) => start + i),
      sequences: new Int32Array(tokens.length).fill(sequence),
      outputs: new Int8Array(tokens.length).fill(1),
    };
    expect(this.target.decode(batch)).toBe("done");
  }

  guess(slot: number, tokens: Int32Array, limit: number): number[] | null {
    if (this.head.show(slot, tokens) === null) return null;
    return [...(this.head.guess([{ slot, limit }])[0] ?? [])];
  }

  get cells(): number {
    return this.layers.cells()[0]?.used ?? -1;
  }

  [Symbol.dispose](): void {
    this.head[Symbol.dispose]();
    this.layers[Symbol.dispose]();
    this.target[Symbol.dispose]();
  }
}

describe.skipIf(!HAS_NATIVE).each([
  ["over plain memory", HEAD_SPEC],
  ["over sliding windows", SLIDING_HEAD_SPEC],
])("a head %s", (_name, spec) => {
  let model: NativeModel;
  beforeAll(async () => {
    model = await loadSpec(spec);
  });
  afterAll(() => model[Symbol.dispose]());

  /** What a pair without a past says of a text whose last token has not run. */
  function guessAnew(tokens: Int32Array, limit: number): number[] | null {
    using fresh = new Pair(model);
    fresh.run(0, tokens, 0, tokens.length - 1);
    return fresh.guess(0, tokens, limit);
  }

  test("gets the hidden row before the last token", async () => {
    using echo = await loadSpec(ECHO_HEAD_SPEC);
    using pair = new Pair(echo);
    const text = tokensOf(1, 100);
    for (let length = 90; length < 100; length++) {
      pair.run(0, text, length === 90 ? 0 : length - 1, length);
      // Whatever the last token is, the layer passes on the row before it, which says what the model would have chosen.
      const row = length === 90 ? 90 - 64 - 1 : 0;
      const [best] = pair.target.topLogits(row, 1).tokens;
      expect(pair.guess(0, text.subarray(0, length + 1), 1)).toEqual([best ?? -1]);
    }
  });

  test("guesses the same however its rows came, and whatever its slot held before", () => {
    using pair = new Pair(model);
    const text = tokensOf(2, 120);
    const expected = guessAnew(text, 5);
    expect(expected).toHaveLength(5);
    pair.run(0, text, 0, 119, 7);
    expect(pair.guess(0, text, 5)).toEqual(expected);
    // A guess of other tokens ran with the last one, and only its first token was right.
    const next = Int32Array.from([...text, 777, 778, 779]);
    pair.run(0, next, 119, 123, 64, 120);
    pair.target.removeSequence(0, 121, -1);
    const going = Int32Array.from([...text, 777, 900]);
    expect(pair.guess(0, going, 4)).toEqual(guessAnew(going, 4));
    // It holds the sequence's tokens and nothing of its own guesses.
    expect(pair.cells).toBe(going.length);
    const other = tokensOf(3, 60);
    pair.target.removeSequence(0, 0, -1);
    pair.run(0, other, 0, 59, 50);
    expect(pair.guess(0, other, 4)).toEqual(guessAnew(other, 4));
  });

  test("goes on from another slot's beginning", () => {
    using pair = new Pair(model);
    const text = tokensOf(4, 100);
    pair.run(1, text, 0, 99);
    expect(pair.guess(1, text, 2)).toHaveLength(2);
    const fork = Int32Array.from([...text.subarray(0, 80), 500, 600, 700]);
    pair.target.copySequence(1, 2, 0, 80);
    const used = pair.cells;
    pair.run(2, fork, 80, 82);
    expect(pair.guess(2, fork, 3)).toHaveLength(3);
    expect(pair.cells).toBe(used + 3);
    // The donor is as it was.
    const longer = Int32Array.from([...text, 5]);
    pair.run(1, longer, 99, 100);
    expect(pair.guess(1, longer, 3)).toEqual(guessAnew(longer, 3));
  });

  test("takes all memory that its model's steps need when it is made", async () => {
    const { library } = await openLlama();
    library.readLog();
    {
      using pair = new Pair(model);
      const text = tokensOf(7, 120);
      pair.run(0, text, 0, 119);
      pair.guess(0, text, 4);
      pair.decode(0, text.subarray(119), 119);
    }
    // llama.cpp compares what it reserved with what it had to take in the end.
    const texts = library.readLog().map(({ text }) => text);
    expect(texts.filter((text) => text.includes("does not match expectation"))).toEqual([]);
  });

  test("guesses nothing without the row to guess from, and begins anew where rows come again", () => {
    using pair = new Pair(model);
    const text = tokensOf(5, 100);
    expect(pair.guess(0, text, 3)).toBeNull();
    pair.run(0, text, 0, 60);
    // These steps nobody watched.
    pair.decode(0, text.subarray(60, 90), 60);
    expect(pair.guess(0, text.subarray(0, 91), 3)).toBeNull();
    pair.run(0, text, 90, 99);
    expect(pair.guess(0, text, 3)).toHaveLength(3);
    expect(pair.cells).toBe(10);
  });

  test("frees the slot that was used longest ago when there is no room", () => {
    using pair = new Pair(model);
    const texts = [10, 11, 12, 13].map((seed) => tokensOf(seed, 160));
    for (const [slot, text] of texts.entries()) {
      pair.run(slot, text, 0, 159);
      expect(pair.guess(slot, text, 2)).toEqual(guessAnew(text, 2));
      pair.target.removeSequence(slot, 0, -1);
    }
    expect(pair.cells).toBeLessThanOrEqual(480);
    expect(pair.guess(0, texts[0] ?? new Int32Array(1), 2)).toBeNull();
  });

  test("guesses for several slots in one go, and stops where no token is likely enough", () => {
    using pair = new Pair(model);
    const texts = [20, 21].map((seed) => tokensOf(seed, 50));
    for (const [slot, text] of texts.entries()) {
      pair.run(slot, text, 0, 49);
      expect(pair.head.show(slot, text)).toBeLessThan(35);
    }
    const guesses = pair.head.guess([
      { slot: 1, limit: 2 },
      { slot: 0, limit: 4 },
    ]);
    const [first, second] = texts.map((text) => guessAnew(text, 4));
    expect(guesses.map((guess) => [...guess])).toEqual([second?.slice(0, 2) ?? [], first ?? []]);
    using strict = NativeHead.make(model, pair.target, pair.layers, 0.9999);
    expect(strict.show(2, texts[0] ?? new Int32Array(1))).toBeNull();
    expect(strict.guess([{ slot: 2, limit: 4 }])[0]).toHaveLength(0);
  });

  test("refuses what it is not made for", async () => {
    using pair = new Pair(model);
    const text = tokensOf(6, 10);
    const rows = { start: 0, tokens: text, certain: 10, row: 0 };
    pair.decode(0, text, 0);
    expect(() => pair.head.take(0, text, rows)).toThrow("has no such hidden rows");
    pair.head.watch(true);
    pair.decode(0, text, 10);
    expect(() => pair.head.take(0, text, { ...rows, row: 60 })).toThrow("has no such hidden rows");
    expect(() => pair.head.take(4, text, rows)).toThrow("there is no slot 4");
    expect(() => pair.head.show(0, new Int32Array(0))).toThrow("without tokens");
    using other = await loadSpec(TINY_SPEC);
    expect(() => NativeContext.make(other, { ...SETTINGS, head: true })).toThrow("can't guess: there are none");
    using without = await loadSpec(HEAD_SPEC, false);
    expect(() => NativeContext.make(without, { ...SETTINGS, head: true })).toThrow("they are not loaded");
    using foreign = NativeContext.make(other, SETTINGS);
    expect(() => NativeHead.make(model, foreign, pair.layers, 0)).toThrow("different models");
  });
});
