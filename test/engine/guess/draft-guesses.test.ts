// Guessing with a smaller model: it catches up in small pieces, guesses for several sequences at once, rests where it does
// not pay, and neither its mistakes nor its failure change an answer.

import { describe, expect, test } from "bun:test";
import type { GenerationRequest } from "../../../src/protocol/generation.ts";
import { EngineRun, outcome, type RunOptions, runAlone } from "../../support/engine-run.ts";

function request(i: number, changes: Partial<GenerationRequest> = {}): GenerationRequest {
  const prompt = { kind: "text" as const, text: `request number ${"abc"[i % 3]} with some words` };
  return { prompt, sampling: { temperature: 0, ignoreEos: true }, stop: [], maxTokens: 40, ...changes };
}

/** A step costs 10 ms, a row of it 0.01 ms, and guessing of the smaller model as much as the test says. */
function makeRun(options: RunOptions, guessMs = 0): EngineRun {
  const run = new EngineRun({ contextLength: 1024, draftSlots: 4, ...options });
  run.backend.faults.decode = (parts) => {
    run.clock.advance(10 + parts.reduce((sum, { tokens }) => sum + tokens.length, 0) / 100);
    return null;
  };
  const { drafter } = run.backend;
  if (drafter !== null) {
    drafter.fault = () => {
      run.clock.advance(guessMs);
      return null;
    };
  }
  return run;
}

function expectSameAnswers(run: EngineRun, count: number): void {
  for (let i = 0; i < count; i++) expect(outcome(run.story(i))).toEqual(outcome(runAlone(request(i))));
  run.checkEmpty();
}

describe("an engine with a draft model", () => {
  for (const wrongEvery of [2, 5, 1_000_000]) {
    test(`gives the same answers when one token in ${wrongEvery} is wrong`, () => {
      let guessed = 0;
      using run = makeRun({ draftFails: () => ++guessed % wrongEvery === 0 });
      for (let i = 0; i < 4; i++) run.generate(i, request(i));
      run.settle();
      expectSameAnswers(run, 4);
      const { draftedTokens, acceptedTokens, decodedTokens } = run.engine.stats();
      expect(acceptedTokens).toBeGreaterThan(0);
      expect(acceptedTokens).toBeLessThanOrEqual(draftedTokens);
      expect(decodedTokens).toBe(160);
    });
  }

  test("needs few steps when it is right, and guesses for all in one batch", () => {
    using run = makeRun({});
    for (let i = 0; i < 4; i++) run.generate(i, request(i));
    run.settle();
    expectSameAnswers(run, 4);
    const { acceptedTokens } = run.engine.stats();
    expect(acceptedTokens).toBeGreaterThan(100);
    expect(run.backend.decodeCalls).toBeLessThan(20);
    expect(run.backend.drafter?.guesses).toBeLessThan(run.backend.decodeCalls);
  });

  test("goes without now and then, so that it notices when steps become cheaper", () => {
    using run = makeRun({ contextLength: 4096 });
    run.generate(0, request(0, { maxTokens: 1500 }));
    while ((run.engine.stats().rates?.stepMs ?? 0) === 0) run.step();
    expect(run.engine.stats().rates?.stepMs).toBeCloseTo(10, 0);
    run.backend.faults.decode = (parts) => {
      run.clock.advance(1 + parts.reduce((sum, { tokens }) => sum + tokens.length, 0) / 100);
      return null;
    };
    run.settle();
    expect(run.story(0).text).toBe(runAlone(request(0, { maxTokens: 1500 })).text);
    expect(run.engine.stats().rates?.stepMs).toBeLessThan(6);
    expect(run.engine.stats().acceptedTokens).toBeGreaterThan(1000);
  });

  test("rests when guessing takes longer than it saves", () => {
    using run = makeRun({ contextLength: 4096 }, 200);
    run.generate(0, request(0, { maxTokens: 400 }));
    run.settle();
    expect(run.story(0).text).toBe(runAlone(request(0, { maxTokens: 400 })).text);
    expect(run.backend.drafter?.guesses).toBeLessThan(8);
    expect(run.backend.decodeCalls).toBeGreaterThan(350);
    expect(run.engine.stats().draftRates?.tokenMs).toBeGreaterThan(20);
  });

  test("rests when it is never sure", () => {
    using run = makeRun({ contextLength: 4096, draftFails: () => null }, 1);
    run.generate(0, request(0, { maxTokens: 400 }));
    run.settle();
    expect(run.story(0).text).toBe(runAlone(request(0, { maxTokens: 400 })).text);
    expect(run.engine.stats().draftedTokens).toBe(0);
    expect(run.backend.drafter?.guesses).toBeLessThan(150);
  });

  test("lets it read a long prompt in small pieces", () => {
    using run = makeRun({ contextLength: 2048, batchSize: 512 });
    const text = "a long prompt with many words. ".repeat(20);
    const long = request(0, { prompt: { kind: "text", text }, maxTokens: 120 });
    let read = 0;
    if (run.backend.drafter !== null) {
      run.backend.drafter.onRead = (rows) => {
        read += rows;
        run.clock.advance(rows / 4);
      };
    }
    run.generate(0, long);
    run.settle();
    expect(outcome(run.story(0))).toEqual(outcome(runAlone(long)));
    expect(read).toBeGreaterThan(600);
    // Half a step of 10 ms is worth 20 rows.
    expect(run.backend.drafter?.rowsRead).toBeLessThanOrEqual(21);
    expect(run.engine.stats().draftRates?.rowMs).toBe(0.25);
    expect(run.engine.stats().acceptedTokens).toBeGreaterThan(10);
  });

  test("serves more sequences than it has slots", () => {
    using run = makeRun({ draftSlots: 2, parallel: 6 });
    for (let i = 0; i < 6; i++) run.generate(i, request(i));
    run.settle();
    expectSameAnswers(run, 6);
    expect(run.engine.stats().acceptedTokens).toBeGreaterThan(40);
  });

  test("goes on without it when it fails, and says so once", () => {
    const warnings: string[] = [];
    using run = makeRun({ warn: (message) => warnings.push(message) });
    if (run.backend.drafter !== null) run.backend.drafter.fault = () => "no more memory";
    for (let i = 0; i < 4; i++) run.generate(i, request(i));
    run.settle();
    expectSameAnswers(run, 4);
    expect(warnings).toEqual(["The draft model failed and is not asked any more: no more memory"]);
    expect(run.engine.stats().draftedTokens).toBe(0);
  });

  test("asks it for those only whose own text says nothing", () => {
    using run = makeRun({ speculates: true, guessFails: () => false });
    run.generate(0, request(0));
    run.settle();
    expect(run.engine.stats().acceptedTokens).toBeGreaterThan(20);
    expect(run.backend.drafter?.guesses).toBe(0);
  });

  test("leaves a memory alone that can't take back a row", () => {
    using run = makeRun({ memory: "recurrent" });
    run.generate(0, request(0));
    run.settle();
    expect(outcome(run.story(0))).toEqual(outcome(runAlone(request(0))));
    expect(run.backend.drafter?.guesses).toBe(0);
  });
});
