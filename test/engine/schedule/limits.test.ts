// Lower limits: from the next step on, without an answer that changes, and what is over them is written before it goes.

import { describe, expect, test } from "bun:test";
import { Limits } from "../../../src/engine/schedule/limits.ts";
import type { GenerationRequest } from "../../../src/protocol/generation.ts";
import type { EngineLimits } from "../../../src/protocol/messages.ts";
import type { MemoryKind } from "../../../src/protocol/model-info.ts";
import { EngineRun, outcome, type RunOptions, runAlone } from "../../support/engine-run.ts";
import { KvFolder, TEST_SLICE_TOKENS } from "../../support/kv-folder.ts";

const FULL: EngineLimits = { promptRows: 1e6, places: 1e6, cacheShare: 1 };
const TEXTS = ["the quick brown fox jumps over", "a lazy dog sleeps all day long", "sphinx of black quartz, judge my"];

const ask = (text: string, changes: Partial<GenerationRequest> = {}): GenerationRequest => ({
  prompt: { kind: "text", text },
  sampling: { temperature: 0, ignoreEos: true },
  stop: [],
  maxTokens: 12,
  ...changes,
});

function expectAlone(run: EngineRun, id: number, request: GenerationRequest, options: RunOptions = {}): void {
  expect(outcome(run.story(id))).toEqual(outcome(runAlone(request, options)));
}

describe("what is in force", () => {
  const limits = new Limits({ batchSize: 64, parallel: 8, retainedMax: 5 }, 1000);

  test.each([
    [FULL, { promptRows: 64, places: 8, retained: 5, checkpointBytes: 1000 }],
    [
      { promptRows: 16, places: 2, cacheShare: 0.5 },
      { promptRows: 16, places: 2, retained: 2, checkpointBytes: 500 },
    ],
    [
      { promptRows: 0, places: 0, cacheShare: 0 },
      { promptRows: 1, places: 1, retained: 0, checkpointBytes: 0 },
    ],
    [
      { promptRows: -5, places: -5, cacheShare: -1 },
      { promptRows: 1, places: 1, retained: 0, checkpointBytes: 0 },
    ],
  ])("%j is %j", (asked, expected) => {
    limits.set(asked);
    expect(limits.describe()).toEqual(expected);
  });

  test("rows that decode ride beside those of prompts, as far as a batch goes", () => {
    limits.set({ ...FULL, promptRows: 16 });
    expect([limits.batchRows(0), limits.batchRows(8), limits.batchRows(60)]).toEqual([16, 24, 64]);
  });

  test("memory in which nothing is goes back as soon as anything is lowered, and not when it is over", () => {
    using run = new EngineRun({ parallel: 4, batchSize: 32 });
    for (const lower of [{ promptRows: 16 }, { places: 2 }, { cacheShare: 0.5 }]) {
      const { trims } = run.backend;
      run.adjust({ ...FULL, ...lower });
      expect(run.engine.restMs).toBe(0);
      run.step();
      expect(run.backend.trims).toBe(trims + 1);
      run.adjust(FULL);
      run.settle();
      expect(run.backend.trims).toBe(trims + 1);
    }
  });

  test("the stats tell it", () => {
    using run = new EngineRun({ parallel: 4, retainedMax: 6, batchSize: 32, checkpointBytesMax: 800 });
    run.adjust({ promptRows: 16, places: 2, cacheShare: 0.5 });
    expect(run.engine.stats().limits).toEqual({ promptRows: 16, places: 2, retained: 3, checkpointBytes: 400 });
    run.adjust(FULL);
    expect(run.engine.stats().limits).toEqual({ promptRows: 32, places: 4, retained: 6, checkpointBytes: 800 });
  });
});

describe("rows of prompt", () => {
  /** Rows of each part of each step. */
  function record(run: EngineRun): number[][] {
    const steps: number[][] = [];
    run.backend.faults.decode = (parts) => {
      steps.push(parts.map(({ tokens }) => tokens.length));
      return null;
    };
    return steps;
  }

  test("a prompt is read in smaller pieces, and in larger ones when that is over", () => {
    using run = new EngineRun({ batchSize: 64 });
    const steps = record(run);
    const request = ask("x".repeat(100), { maxTokens: 1 });
    run.adjust({ ...FULL, promptRows: 16 });
    run.generate(1, request);
    while (steps.length < 2) run.step();
    run.adjust(FULL);
    run.settle();
    expect(steps.map(([rows]) => rows)).toEqual([16, 16, 64, 4]);
    expectAlone(run, 1, request);
  });

  test("who decodes does so in every step, however low the limit", () => {
    using run = new EngineRun({ batchSize: 64, parallel: 6, contextLength: 4096 });
    for (let id = 1; id <= 5; id++) run.generate(id, ask(TEXTS[id % 3] ?? "", { maxTokens: 100 }));
    while ([1, 2, 3, 4, 5].some((id) => run.story(id).text === "")) run.step();
    run.adjust({ ...FULL, promptRows: 2 });
    run.generate(6, ask("x".repeat(9), { maxTokens: 1 }));
    const steps = record(run);
    while (run.story(6).end === null) run.step();
    for (const parts of steps) expect(parts.filter((rows) => rows === 1).length).toBeGreaterThanOrEqual(5);
    for (const parts of steps) expect(parts.filter((rows) => rows > 1).every((rows) => rows <= 2)).toBe(true);
    run.settle();
    for (let id = 1; id <= 5; id++) expectAlone(run, id, ask(TEXTS[id % 3] ?? "", { maxTokens: 100 }));
  });
});

describe("places", () => {
  test("who runs goes on, others wait for a place under the limit, and nobody is lost", () => {
    using run = new EngineRun({ parallel: 4 });
    const texts = [...TEXTS, ...TEXTS.map((text) => `${text} again`)];
    for (const [id, text] of texts.entries()) run.generate(id, ask(text));
    while (run.engine.stats().running < 4) run.step();
    run.adjust({ ...FULL, places: 1 });
    const runningNow: number[] = [];
    while (run.engine.stats().waiting > 0) {
      run.step();
      runningNow.push(run.engine.stats().running);
    }
    // Nobody ended for it, and nobody came before there was room below the new limit.
    expect(runningNow[0]).toBe(4);
    const falling = runningNow.slice(0, runningNow.indexOf(1));
    expect(falling.toSorted((a, b) => b - a)).toEqual(falling);
    expect(Math.max(...runningNow.slice(falling.length))).toBe(1);
    run.adjust(FULL);
    run.generate(10, ask("one more"));
    run.settle();
    run.checkEmpty();
    for (const [id, text] of texts.entries()) expectAlone(run, id, ask(text));
  });

  test("an interactive request still gets the place of batch work", () => {
    using run = new EngineRun({ parallel: 3 });
    run.generate(1, ask(TEXTS[0] ?? "", { priority: "batch", maxTokens: 60 }));
    run.generate(2, ask(TEXTS[1] ?? "", { priority: "batch", maxTokens: 60 }));
    while (run.engine.stats().running < 2) run.step();
    run.adjust({ ...FULL, places: 1 });
    run.generate(3, ask(TEXTS[2] ?? ""));
    while (run.story(3).end === null) run.step();
    expect([run.story(1).end, run.story(2).end]).toEqual([null, null]);
    run.settle();
    for (const id of [1, 2]) expectAlone(run, id, ask(TEXTS[id - 1] ?? "", { priority: "batch", maxTokens: 60 }));
  });
});

describe("what is kept", () => {
  const ended = (run: EngineRun): void => {
    for (const [id, text] of TEXTS.entries()) {
      run.generate(id, ask(text));
      run.settle();
    }
  };

  test("is dropped at once where nothing can be written, the least first, and the memory is given back", () => {
    using run = new EngineRun({ retainedMax: 4 });
    ended(run);
    expect(run.engine.stats().retained.sequences).toBe(3);
    const { trims } = run.backend;
    run.adjust({ ...FULL, cacheShare: 0.5 });
    expect(run.engine.restMs).toBe(0);
    run.step();
    expect(run.engine.stats().retained.sequences).toBe(2);
    expect(run.backend.trims).toBe(trims + 1);
    run.adjust({ ...FULL, cacheShare: 0 });
    run.settle();
    expect(run.engine.stats()).toMatchObject({ retained: { sequences: 0 }, ledger: { used: 0 } });
    run.checkEmpty();
  });

  test("ended sequences leave as they end while nothing may be kept, and stay again afterwards", () => {
    using run = new EngineRun({ retainedMax: 4 });
    run.adjust({ ...FULL, cacheShare: 0 });
    ended(run);
    expect(run.engine.stats().retained.sequences).toBe(0);
    run.adjust(FULL);
    run.generate(9, ask(TEXTS[0] ?? ""));
    run.settle();
    expect(run.engine.stats().retained.sequences).toBe(1);
  });

  test.each(["plain", "sliding", "hybrid", "recurrent"] as MemoryKind[])(
    "%s memory: is written before it goes, although others compute, and comes back from disk",
    (memory) => {
      using folder = new KvFolder();
      // A quiet time that does not come: only the limit makes it write.
      using run = new EngineRun({ retainedMax: 4, memory, store: folder.opener({ quietMs: 1e9 }), taskPolls: () => 2 });
      ended(run);
      expect(folder.files()).toEqual([]);
      run.generate(8, ask("somebody is here all the time", { maxTokens: 400 }));
      while (run.story(8).text.length < 3) run.step();
      run.adjust({ ...FULL, cacheShare: 0 });
      while (run.engine.stats().retained.sequences + run.engine.stats().checkpoints.count > 0) {
        const { sequences } = run.engine.stats().retained;
        run.step();
        if (run.engine.stats().retained.sequences < sequences) expect(folder.files().length).toBeGreaterThan(0);
      }
      expect(run.story(8).end).toBeNull();
      run.adjust(FULL);
      for (const [id, text] of TEXTS.entries()) {
        const request = ask(text);
        run.generate(20 + id, request);
        while (run.story(20 + id).end === null) run.step();
        const { end } = run.story(20 + id);
        if (end?.type !== "done") throw new Error(`ended with ${end?.type}`);
        if (memory !== "sliding") expect(end.cache.disk).toBeGreaterThanOrEqual(TEST_SLICE_TOKENS);
        expectAlone(run, 20 + id, request, { memory });
      }
      run.send("cancel", 8);
      run.settle();
      run.checkEmpty();
      expect(folder.warnings).toEqual([]);
    },
  );

  test("is dropped unwritten when the disk fails: memory is what is short", () => {
    using folder = new KvFolder();
    using run = new EngineRun({ retainedMax: 4, store: folder.opener({ quietMs: 1e9 }) });
    run.backend.faults.write = () => "the disk is full";
    ended(run);
    run.adjust({ ...FULL, cacheShare: 0 });
    run.settle();
    expect(run.engine.stats().retained.sequences).toBe(0);
    expect(folder.warnings).toHaveLength(1);
    run.checkEmpty();
  });

  test("the next engine starts from it, as after a restart", () => {
    using folder = new KvFolder();
    const options = { retainedMax: 4, store: folder.opener({ quietMs: 1e9 }) };
    {
      using run = new EngineRun(options);
      ended(run);
      run.adjust({ ...FULL, cacheShare: 0 });
      run.settle();
    }
    using next = new EngineRun(options);
    next.generate(1, ask(TEXTS[1] ?? ""));
    next.settle();
    const { end } = next.story(1);
    expect(end?.type === "done" && end.cache.disk).toBeGreaterThanOrEqual(3 * TEST_SLICE_TOKENS);
    expectAlone(next, 1, ask(TEXTS[1] ?? ""));
  });
});
