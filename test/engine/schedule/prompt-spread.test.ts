// While requests wait for places, prompts are spread over the steps, so that they ride with the tokens of answers
// instead of having steps of their own.

import { describe, expect, test } from "bun:test";
import { PromptSpread } from "../../../src/engine/schedule/prompt-spread.ts";
import { plan, type Runnable } from "../../../src/engine/schedule/scheduler.ts";
import type { GenerationRequest } from "../../../src/protocol/generation.ts";
import { EngineRun, outcome, runAlone } from "../../support/engine-run.ts";

const budget = { batchSize: 64, promptRows: 64, freeCells: 1000 };
const runnable = (id: number, missing: number): Runnable => ({ id, missing, rankMs: 0, arrival: id });

describe("prompts of a step", () => {
  test("as many as may be complete, in order", () => {
    const running = [runnable(1, 5), runnable(2, 6), runnable(3, 1), runnable(4, 7)];
    const ids = (prompts: number) => {
      const decision = plan(running, { ...budget, prompts });
      return decision.kind === "fits" ? decision.rows.map(({ id }) => id) : decision.kind;
    };
    expect(ids(1)).toEqual([3, 1]);
    expect(ids(2)).toEqual([3, 1, 2]);
    expect(ids(9)).toEqual([3, 1, 2, 4]);
  });

  test("a long one begins in the rows that are left, a short one behind it does not overtake", () => {
    const running = [runnable(1, 5), runnable(2, 100), runnable(3, 4)];
    const decision = plan(running, { ...budget, prompts: 1 });
    expect(decision).toEqual({
      kind: "fits",
      rows: [
        { id: 1, count: 5 },
        { id: 2, count: 59 },
      ],
    });
    const short = [runnable(1, 5), runnable(2, 6), runnable(3, 100)];
    expect(plan(short, { ...budget, prompts: 1 })).toEqual({ kind: "fits", rows: [{ id: 1, count: 5 }] });
  });
});

describe("how many", () => {
  test("all, unless somebody waits and an answer has ended", () => {
    const spread = new PromptSpread();
    expect(spread.promptsPerStep(8, 100)).toBe(Number.POSITIVE_INFINITY);
    spread.note(4);
    expect(spread.promptsPerStep(8, 0)).toBe(Number.POSITIVE_INFINITY);
    expect(spread.promptsPerStep(8, 1)).toBe(2);
  });

  test("the places by the tokens of an answer, one at least", () => {
    const spread = new PromptSpread();
    spread.note(0);
    expect(spread.promptsPerStep(8, 1)).toBe(8);
    for (let i = 0; i < 100; i++) spread.note(3);
    expect(spread.promptsPerStep(8, 1)).toBe(3);
    for (let i = 0; i < 100; i++) spread.note(500);
    expect(spread.promptsPerStep(8, 1)).toBe(1);
  });
});

const ask = (i: number): GenerationRequest => ({
  prompt: { kind: "text", text: `${i} is a question of its own` },
  sampling: { temperature: 0, ignoreEos: true },
  stop: [],
  maxTokens: 4,
});

test("answers of one length do not stay in step: prompts ride with others' tokens, and all come out the same", () => {
  using run = new EngineRun({ parallel: 4, contextLength: 2048, batchSize: 256 });
  for (let id = 0; id < 64; id++) run.generate(id, ask(id));
  const { decode } = run.backend;
  const steps: { prompts: number; tokens: number }[] = [];
  run.backend.decode = (parts) => {
    const prompts = parts.filter(({ tokens }) => tokens.length > 1).length;
    steps.push({ prompts, tokens: parts.length - prompts });
    return decode.call(run.backend, parts);
  };
  run.finish();
  const middle = steps.slice(16, -16);
  expect(middle.length).toBeGreaterThan(20);
  for (const step of middle) expect(step).toEqual({ prompts: 1, tokens: 3 });
  for (const id of [0, 5, 31, 63]) expect(outcome(run.story(id))).toEqual(outcome(runAlone(ask(id))));
  run.checkEmpty();
});
