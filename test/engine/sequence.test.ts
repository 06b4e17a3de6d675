// A sequence: what is missing, what comes next, when it is full, and what it says in the end.

import { describe, expect, test } from "bun:test";
import { Answer } from "../../src/engine/answer/answer.ts";
import { Detokenizer, TokenTexts } from "../../src/engine/answer/detokenizer.ts";
import { StopMatcher } from "../../src/engine/answer/stop-matcher.ts";
import { NO_ADAPTERS } from "../../src/engine/schedule/adapter-sets.ts";
import { doneEvent, Sequence, toPart } from "../../src/engine/sequence.ts";
import { WaitingList } from "../../src/engine/waiting-list.ts";
import { AssertionFailed } from "../../src/lib/assert.ts";
import type { GenerationRequest } from "../../src/protocol/generation.ts";
import { fakeTokenBytes, fakeTokens } from "../support/fake-vocabulary.ts";

interface Options {
  prompt?: number[];
  maxTokens?: number;
  contextLength?: number;
  stop?: string[];
  arrival?: number;
  disposed?: string[];
}

function makeSequence(options: Options = {}): Sequence {
  const { prompt = [1, 2, 3], maxTokens, contextLength = 100, stop = [], arrival = 0, disposed = [] } = options;
  const request: GenerationRequest = {
    prompt: { kind: "tokens", tokens: prompt },
    sampling: {},
    stop,
    ...(maxTokens === undefined ? {} : { maxTokens }),
  };
  const dispose = (name: string) => ({ [Symbol.dispose]: () => void disposed.push(name) });
  const answer = new Answer({
    detokenizer: new Detokenizer(new TokenTexts({ tokenBytes: fakeTokenBytes }), new Set()),
    stops: new StopMatcher(stop),
    parser: { push: () => [], ...dispose("parser") },
    whole: false,
  });
  const tokens = Int32Array.from(prompt);
  const parts = {
    prompt: {
      tokens,
      stops: [],
      preserved: new Set<number>(),
      needsParser: true,
      preambleLength: 0,
      turns: [],
      ...dispose("prompt"),
    },
    sampler: { kind: "sampler" as const, ...dispose("sampler") },
    answer,
    set: NO_ADAPTERS,
  };
  return new Sequence(7, arrival, request, parts, { contextLength, receivedMs: 1000 });
}

describe("Sequence", () => {
  test("reads its prompt, then one token at a time", () => {
    const sequence = makeSequence({ prompt: [5, 6, 7, 8] });
    sequence.seqId = 2;
    expect(sequence.missing).toBe(4);
    expect(toPart(sequence, 3)).toEqual({ seqId: 2, tokens: Int32Array.of(5, 6, 7), start: 0, output: false });
    sequence.computed = 3;
    expect(toPart(sequence, 1)).toEqual({ seqId: 2, tokens: Int32Array.of(8), start: 3, output: true });
    sequence.computed = 4;
    sequence.append(9);
    expect([sequence.missing, sequence.length, sequence.completionTokens]).toEqual([1, 5, 1]);
    expect(toPart(sequence, 1)).toEqual({ seqId: 2, tokens: Int32Array.of(9), start: 4, output: true });
  });

  test("reads all of it anew after it had to leave", () => {
    const sequence = makeSequence({ prompt: [5, 6] });
    for (const token of [7, 8]) sequence.append(token);
    sequence.computed = 0;
    expect([...sequence.next(4)]).toEqual([5, 6, 7, 8]);
  });

  test("grows over any number of tokens", () => {
    const sequence = makeSequence({ prompt: [0] });
    for (let token = 1; token < 1000; token++) sequence.append(token);
    expect([...sequence.next(1000)]).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  });

  test("is full at max_tokens or at its context, whichever comes first", () => {
    expect(makeSequence({ maxTokens: 5 }).lengthMax).toBe(8);
    expect(makeSequence({ maxTokens: 5, contextLength: 6 }).lengthMax).toBe(6);
    expect(makeSequence({ contextLength: 6 }).lengthMax).toBe(6);
    const sequence = makeSequence({ maxTokens: 1 });
    expect(sequence.isFull).toBe(false);
    sequence.append(4);
    expect(sequence.isFull).toBe(true);
  });

  test("without a seq-id it can't be in a batch", () => {
    expect(() => toPart(makeSequence(), 1)).toThrow(AssertionFailed);
  });

  test("frees what it owns, once each", () => {
    const disposed: string[] = [];
    makeSequence({ disposed })[Symbol.dispose]();
    expect(disposed.sort()).toEqual(["parser", "prompt", "sampler"]);
  });
});

const CACHE = { live: 0, retained: 2, disk: 0 };

describe("doneEvent", () => {
  test("counts tokens and times", () => {
    const sequence = makeSequence();
    sequence.startedMs = 1010;
    sequence.firstTokenMs = 1030;
    sequence.append(4);
    sequence.append(5);
    expect(doneEvent(sequence, "length", CACHE, 1100)).toEqual({
      type: "done",
      finishReason: "length",
      usage: { promptTokens: 3, completionTokens: 2, cachedTokens: 2 },
      cache: CACHE,
      timings: { queuedMs: 10, promptMs: 20, decodeMs: 70 },
    });
  });

  test("a stop string that came with the last token counts as stop", () => {
    const sequence = makeSequence({ stop: ["a"] });
    const [token = 0] = fakeTokens("a");
    sequence.answer.push(token);
    expect(doneEvent(sequence, "length", CACHE, 1100)).toMatchObject({ finishReason: "stop", stopString: "a" });
  });
});

describe("WaitingList", () => {
  const ids = (list: WaitingList) => [...list].map((sequence) => sequence.arrival);

  test("keeps the order of arrival, whoever comes when", () => {
    const list = new WaitingList();
    const sequences = [4, 1, 3, 0, 2].map((arrival) => makeSequence({ arrival }));
    for (const sequence of sequences) list.add(sequence);
    expect(ids(list)).toEqual([0, 1, 2, 3, 4]);
    expect(list.first()?.arrival).toBe(0);
    for (const sequence of list) sequence.paused = sequence.arrival < 2;
    expect(list.first()?.arrival).toBe(2);
    list.remove(sequences[4] as Sequence);
    expect([ids(list), list.size, list.first()?.arrival]).toEqual([[0, 1, 3, 4], 4, 3]);
    expect(list.find(7)?.arrival).toBe(0);
    expect(list.find(8)).toBeUndefined();
  });
});
