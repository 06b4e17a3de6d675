// Who comes first: interactive before batch, nobody for ever, and how much prompt rides beside streams.

import { describe, expect, test } from "bun:test";
import type { GenerationRequest } from "../../../src/protocol/generation.ts";
import { EngineRun, outcome, type RunOptions, runAlone } from "../../support/engine-run.ts";

const TEXTS = ["the first of them", "another one, unlike it", "yet a third that differs", "no, a fourth"];

const ask = (i: number, changes: Partial<GenerationRequest> = {}): GenerationRequest => ({
  prompt: { kind: "text", text: `${i} ${TEXTS[i % TEXTS.length]}` },
  sampling: { temperature: 0, ignoreEos: true },
  stop: [],
  maxTokens: 20,
  ...changes,
});
const batch = (i: number): GenerationRequest => ask(i, { priority: "batch" });

/** Ids in the order in which they end. */
function endings(run: EngineRun): number[] {
  const ended: number[] = [];
  run.stepUntil(() => {
    for (const [id, { end }] of run.stories) if (end !== null && !ended.includes(id)) ended.push(id);
    return ended.length === run.stories.size;
  });
  return ended;
}

describe("batch requests", () => {
  test("wait behind interactive ones that came later", () => {
    using run = new EngineRun({ parallel: 1 });
    run.generate(0, ask(0));
    run.step();
    for (const id of [1, 2]) run.generate(id, batch(id));
    for (const id of [3, 4]) run.generate(id, ask(id));
    expect(endings(run)).toEqual([0, 3, 4, 1, 2]);
  });

  test("are not starved: after half a minute they are before newcomers", () => {
    using run = new EngineRun({ parallel: 1 });
    run.generate(0, batch(0));
    run.generate(1, ask(1));
    run.step();
    run.clock.advance(31_000);
    run.generate(2, ask(2));
    expect(endings(run)).toEqual([1, 0, 2]);

    // However many keep coming, its turn comes.
    using busy = new EngineRun({ parallel: 1 });
    busy.generate(0, batch(0));
    let id = 1;
    for (; busy.story(0).end === null; id++) {
      expect(id).toBeLessThan(60);
      busy.generate(id, ask(id, { maxTokens: 5 }));
      busy.clock.advance(1000);
      for (let i = 0; i < 5; i++) busy.step();
    }
    expect(id).toBeGreaterThan(20);
  });

  test.each([0, 4])("give their place to an interactive one, and go on later, with %i kept", (retainedMax) => {
    using run = new EngineRun({ parallel: 2, retainedMax, contextLength: 512 });
    for (const id of [0, 1]) run.generate(id, batch(id));
    while (run.story(1).text.length < 5) run.step();
    const before = run.engine.stats().evaluatedTokens;
    run.generate(2, ask(2));
    for (let i = 0; i < 3; i++) run.step();
    expect(run.story(2).text.length).toBeGreaterThan(0);
    expect(endings(run)).toEqual([0, 2, 1]);
    for (const id of [0, 1, 2]) expect(outcome(run.story(id))).toEqual(outcome(runAlone(ask(id))));
    const spent = run.engine.stats().evaluatedTokens - before;
    // What was kept is not read again.
    if (retainedMax > 0) expect(spent).toBeLessThan(28);
    else expect(spent).toBeGreaterThan(40);
    run.checkEmpty();
  });

  test("do not give way to each other", () => {
    using run = new EngineRun({ parallel: 1 });
    for (const id of [0, 1, 2]) run.generate(id, batch(id));
    expect(endings(run)).toEqual([0, 1, 2]);
  });
});

describe("prompts beside a stream", () => {
  const DECODE_MS = 20;

  /** Rows of prompt in each step while a stream runs, when a row costs so many ms. */
  function chunks(itlMsMax: number, rowMs: number, options: RunOptions = {}): number[] {
    using run = new EngineRun({ itlMsMax, contextLength: 4096, batchSize: 256, ...options });
    const seen: number[] = [];
    run.backend.faults.decode = (parts) => {
      const rows = parts.filter(({ tokens }) => tokens.length > 1).reduce((sum, part) => sum + part.tokens.length, 0);
      const decodes = parts.some(({ tokens }) => tokens.length === 1);
      run.clock.advance((decodes ? DECODE_MS : 0) + rows * rowMs);
      if (rows > 0 && decodes) seen.push(rows);
      return null;
    };
    run.generate(1, ask(1, { maxTokens: 400 }));
    while (run.story(1).text.length < 20) run.step();
    run.generate(2, ask(2, { prompt: { kind: "text", text: "y".repeat(1500) }, maxTokens: 2 }));
    run.settle();
    expect(run.story(2).end?.type).toBe("done");
    // The last one is what is left.
    return seen.slice(0, -1);
  }

  test("follow the measured rates, and keep the gap", () => {
    for (const [itlMsMax, rowMs] of [
      [100, 1],
      [60, 0.5],
      [200, 2],
    ] as const) {
      const rows = chunks(itlMsMax, rowMs);
      expect(rows.length).toBeGreaterThan(3);
      for (const count of rows.slice(1)) {
        // The clock of the test counts a millisecond a step of its own.
        expect(DECODE_MS + count * rowMs).toBeLessThanOrEqual(itlMsMax);
        expect(DECODE_MS + count * rowMs).toBeGreaterThan(0.8 * itlMsMax);
      }
    }
  });

  test("without a limit are as many as the kernels like, and more where nobody notices", () => {
    // Together with the stream's row they are whole vectors of 16.
    expect(new Set(chunks(0, 5))).toEqual(new Set([47]));
    expect(new Set(chunks(0, 2))).toEqual(new Set([79]));
    expect(Math.min(...chunks(0, 0.1).slice(2))).toBeGreaterThan(100);
  });

  test("fill whole batches when nobody decodes", () => {
    using run = new EngineRun({ itlMsMax: 10, contextLength: 1024, batchSize: 128 });
    const rows: number[] = [];
    run.backend.faults.decode = (parts) => {
      rows.push(parts.reduce((sum, { tokens }) => sum + tokens.length, 0));
      return null;
    };
    run.generate(1, ask(1, { prompt: { kind: "text", text: "z".repeat(300) }, maxTokens: 1 }));
    run.settle();
    expect(rows).toEqual([128, 128, 44]);
  });
});
