// Guessing ahead: how far is decided by what it saves, and the answer is the same with and without.

import { describe, expect, test } from "bun:test";
import { Speculation } from "../../../src/engine/guess/speculation.ts";
import type { GenerationRequest } from "../../../src/protocol/generation.ts";
import { EngineRun, outcome, type RunOptions, runAlone } from "../../support/engine-run.ts";

const CHEAP = { tokenMs: 40, rowMs: 1 };
const DEAR = { tokenMs: 10, rowMs: 9 };

describe("how far to guess", () => {
  test("grows while guesses are right, and falls back when they are not", () => {
    const speculation = new Speculation();
    const lengths: number[] = [];
    for (let i = 0; i < 4; i++) {
      const limit = speculation.limit(100, CHEAP);
      lengths.push(limit);
      speculation.note(limit, limit);
    }
    expect(lengths).toEqual([6, 12, 24, 24]);
    speculation.note(24, 3);
    expect(speculation.limit(100, CHEAP)).toBe(6);
  });

  test("rests where rows cost more than right guesses save, and tries again later", () => {
    const speculation = new Speculation();
    expect(speculation.limit(100, DEAR)).toBe(0);
    expect(speculation.limit(163, CHEAP)).toBe(0);
    expect(speculation.limit(164, CHEAP)).toBe(6);
    for (let i = 0; i < 12; i++) speculation.note(6, 0);
    expect(speculation.limit(170, CHEAP)).toBe(0);
  });

  test("rests longer each time, until a guess is right again", () => {
    const speculation = new Speculation();
    const rests: number[] = [];
    let length = 100;
    for (let round = 0; round < 6; round++) {
      while (speculation.limit(length, CHEAP) > 0) speculation.note(6, 0);
      const restedFrom = length;
      while (speculation.limit(length, CHEAP) === 0) length++;
      rests.push(length - restedFrom);
    }
    expect(rests).toEqual([64, 128, 256, 512, 1024, 1024]);
    speculation.note(6, 6);
    while (speculation.limit(length, CHEAP) > 0) speculation.note(6, 0);
    expect(speculation.limit(length + 63, CHEAP)).toBe(0);
    expect(speculation.limit(length + 64, CHEAP)).toBe(6);
  });
});

describe("what others were like", () => {
  test("is believed, but one guess is tried", () => {
    const speculation = new Speculation({ lengthMin: 3, lengthMax: 8 }, 0.01);
    expect(speculation.limit(100, CHEAP)).toBe(3);
    speculation.note(3, 0);
    expect(speculation.limit(102, CHEAP)).toBe(0);
    const trusted = new Speculation({ lengthMin: 3, lengthMax: 8 }, 0.95);
    expect([trusted.limit(100, DEAR), new Speculation().limit(100, DEAR)]).toEqual([3, 0]);
  });

  test("a guess that ended early, or of nothing, does not shorten the next one", () => {
    const speculation = new Speculation({ lengthMin: 3, lengthMax: 8 });
    for (const drafted of [3, 6, 1]) speculation.note(drafted, drafted);
    expect(speculation.limit(100, CHEAP)).toBe(8);
    const { rate } = speculation;
    speculation.noteNothing();
    expect(speculation.limit(100, CHEAP)).toBe(8);
    expect(speculation.rate).toBeLessThan(rate);
    expect(speculation.rate).toBeGreaterThan(0.9 * rate);
  });
});

function request(i: number, changes: Partial<GenerationRequest> = {}): GenerationRequest {
  const prompt = { kind: "text" as const, text: `request number ${"abc"[i % 3]} with some words` };
  return { prompt, sampling: { temperature: 0, ignoreEos: true }, stop: [], maxTokens: 40, ...changes };
}

/** A step costs 10 ms and a row hardly anything, so guessing pays. */
function makeRun(wrongEvery: number, changes: RunOptions = {}): EngineRun {
  let guessed = 0;
  const guessFails = (): boolean => ++guessed % wrongEvery === 0;
  const run = new EngineRun({ speculates: true, guessFails, contextLength: 1024, ...changes });
  run.backend.faults.decode = (parts) => {
    run.clock.advance(10 + parts.reduce((sum, { tokens }) => sum + tokens.length, 0) / 100);
    return null;
  };
  return run;
}

describe("an engine that guesses", () => {
  for (const wrongEvery of [2, 5, 1_000_000]) {
    test(`gives the same answers when one guess in ${wrongEvery} is wrong`, () => {
      using run = makeRun(wrongEvery);
      for (let i = 0; i < 4; i++) run.generate(i, request(i));
      run.settle();
      for (let i = 0; i < 4; i++) expect(outcome(run.story(i))).toEqual(outcome(runAlone(request(i))));
      const { draftedTokens, acceptedTokens, decodedTokens } = run.engine.stats();
      expect(draftedTokens).toBeGreaterThan(0);
      expect(acceptedTokens).toBeLessThanOrEqual(draftedTokens);
      expect(decodedTokens).toBe(160);
      run.checkEmpty();
    });
  }

  test("needs fewer steps when its guesses are right", () => {
    using run = makeRun(1_000_000);
    run.generate(1, request(1));
    run.settle();
    expect(run.engine.stats().acceptedTokens).toBeGreaterThan(20);
    expect(run.backend.decodeCalls).toBeLessThan(20);
  });

  test("ends where the answer ends, in the middle of a guess too, and keeps no cell beyond", () => {
    const stopped = request(0, { stop: ["e"] });
    using run = makeRun(1_000_000);
    run.generate(1, stopped);
    run.settle();
    expect(outcome(run.story(1))).toEqual(outcome(runAlone(stopped)));
    run.checkEmpty();
  });

  test("tries again after a rest that a shift of the context falls into", () => {
    let isWrong = true;
    using run = makeRun(1, { guessFails: () => isWrong, sequenceContextLength: 64 });
    const shifting = request(1, { maxTokens: 400, contextShift: true });
    run.generate(1, shifting);
    // By then guessing rests, until a length that a context of 64 tokens never has.
    while (run.engine.stats().decodedTokens < 60) run.step();
    isWrong = false;
    run.settle();
    expect(run.story(1).text).toBe(runAlone(shifting, { sequenceContextLength: 64 }).text);
    expect(run.engine.stats().acceptedTokens).toBeGreaterThan(100);
    run.checkEmpty();
  });

  test("does not take a guess along that was never tried", () => {
    using run = makeRun(1_000_000);
    const { decode } = run.backend.faults;
    for (const id of [1, 2]) run.generate(id, request(id, { maxTokens: 60 }));
    while ((run.stories.get(2)?.text.length ?? 0) < 20) run.step();
    // The second one has to leave, with a guess, and comes back in pieces beside the first one's rows.
    run.backend.faults.decode = (parts) => {
      run.backend.faults.decode = decode ?? (() => null);
      return parts.some(({ drafted }) => (drafted ?? 0) > 0) ? "full" : null;
    };
    run.settle();
    for (const id of [1, 2]) {
      expect(outcome(run.story(id))).toEqual(outcome(runAlone(request(id, { maxTokens: 60 }))));
    }
    run.checkEmpty();
  });
});
