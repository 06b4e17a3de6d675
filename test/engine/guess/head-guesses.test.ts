// Guessing from rows of the model's own steps: rows are taken of prompts and answers while guesses pay, of nobody while they
// do not, and a failure costs guesses, never answers.

import { describe, expect, test } from "bun:test";
import { assert } from "../../../src/lib/assert.ts";
import type { GenerationRequest } from "../../../src/protocol/generation.ts";
import { EngineRun, outcome, type RunOptions, runAlone } from "../../support/engine-run.ts";
import { FakeHead } from "../../support/fake-head.ts";

function request(i: number, changes: Partial<GenerationRequest> = {}): GenerationRequest {
  const prompt = { kind: "text" as const, text: `request number ${"abc"[i % 3]} with some words` };
  return { prompt, sampling: { temperature: 0, ignoreEos: true }, stop: [], maxTokens: 40, ...changes };
}

/** A step costs 10 ms, and a row of it 0.01 ms. */
function makeRun(options: RunOptions = {}): EngineRun {
  const run = new EngineRun({ contextLength: 4096, draftSlots: 4, draftsFromRows: true, ...options });
  run.backend.faults.decode = (parts) => {
    run.clock.advance(10 + parts.reduce((sum, { tokens }) => sum + tokens.length, 0) / 100);
    return null;
  };
  return run;
}

function headOf({ backend }: EngineRun): FakeHead {
  assert(backend.drafter instanceof FakeHead, "the run has a head");
  return backend.drafter;
}

function expectSameAnswers(run: EngineRun, count: number): void {
  for (let i = 0; i < count; i++) expect(outcome(run.story(i))).toEqual(outcome(runAlone(request(i))));
  run.checkEmpty();
}

describe("an engine with prediction layers", () => {
  for (const wrongEvery of [2, 5, 1_000_000]) {
    test(`gives the same answers when one token in ${wrongEvery} is wrong`, () => {
      let guessed = 0;
      using run = makeRun({ draftFails: () => ++guessed % wrongEvery === 0 });
      for (let i = 0; i < 4; i++) run.generate(i, request(i));
      run.settle();
      expectSameAnswers(run, 4);
      expect(run.engine.stats().acceptedTokens).toBeGreaterThan(0);
      expect(run.engine.stats().decodedTokens).toBe(160);
    });
  }

  test("needs few steps when they are right", () => {
    using run = makeRun();
    for (let i = 0; i < 4; i++) run.generate(i, request(i));
    run.settle();
    expectSameAnswers(run, 4);
    expect(run.backend.decodeCalls).toBeLessThan(20);
    // The prompts' rows were taken too.
    expect(headOf(run).takenRows).toBeGreaterThan(4 * 40 + 60);
  });

  test("takes no rows while guesses rest, and tries again later", () => {
    using run = makeRun({ draftFails: () => true });
    run.generate(0, request(0, { maxTokens: 600 }));
    run.settle();
    expect(run.story(0).text).toBe(runAlone(request(0, { maxTokens: 600 })).text);
    const { draftedTokens, acceptedTokens } = run.engine.stats();
    expect(acceptedTokens).toBe(0);
    expect(headOf(run).guesses).toBeGreaterThan(3);
    expect(draftedTokens).toBeLessThan(100);
    expect(headOf(run).watchedSteps).toBeLessThan(60);
    const { watchedSteps } = headOf(run);
    // What is known of others keeps the next prompt's rows where they are, but for its one trial.
    run.generate(1, request(1, { maxTokens: 20 }));
    run.settle();
    expect(headOf(run).watchedSteps).toBeLessThan(watchedSteps + 6);
  });

  test("guesses again where rows come again, after a sequence had to leave", () => {
    using run = makeRun({ contextLength: 160, parallel: 4 });
    for (let i = 0; i < 4; i++) run.generate(i, request(i));
    run.settle();
    expectSameAnswers(run, 4);
    expect(run.engine.stats().acceptedTokens).toBeGreaterThan(20);
  });

  test("serves more sequences than there are slots", () => {
    using run = makeRun({ draftSlots: 2, parallel: 6 });
    for (let i = 0; i < 6; i++) run.generate(i, request(i));
    run.settle();
    expectSameAnswers(run, 6);
    expect(run.engine.stats().acceptedTokens).toBeGreaterThan(40);
  });

  test("goes on without them when they fail, and says so once", () => {
    const warnings: string[] = [];
    using run = makeRun({ warn: (message) => warnings.push(message) });
    headOf(run).takeFault = "no more memory";
    for (let i = 0; i < 4; i++) run.generate(i, request(i));
    run.settle();
    expectSameAnswers(run, 4);
    expect(warnings).toEqual(["The head failed and is not asked any more: no more memory"]);
    expect(headOf(run).watchedSteps).toBe(1);
    expect(run.engine.stats().draftedTokens).toBe(0);
  });
});
