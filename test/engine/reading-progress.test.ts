// How far a prompt is read, as clients that ask are told: never backwards, up to the whole prompt, and before its answer.

import { describe, expect, test } from "bun:test";
import type { GenerationEvent, GenerationRequest } from "../../src/protocol/generation.ts";
import { EngineRun, outcome, runAlone } from "../support/engine-run.ts";

type Progress = Extract<GenerationEvent, { type: "progress" }>;

const request = (text: string, changes: Partial<GenerationRequest> = {}): GenerationRequest => ({
  prompt: { kind: "text", text },
  sampling: { temperature: 0, ignoreEos: true },
  maxTokens: 5,
  stop: [],
  ...changes,
});

const LONG = "a prompt that is read in many steps ".repeat(4);

function readSteps(run: EngineRun, id: number): Progress[] {
  return run.story(id).events.filter((event) => event.type === "progress");
}

describe("the reading of a prompt", () => {
  test("is told step by step, up to its last token", () => {
    using run = new EngineRun({ parallel: 2, batchSize: 16 });
    run.generate(1, request(LONG, { progress: true }));
    run.settle();
    const steps = readSteps(run, 1);
    const [started] = run.story(1).events;
    const total = started?.type === "started" ? started.promptTokens : 0;
    expect(steps.length).toBe(Math.ceil(total / 16));
    expect(steps.map(({ processed }) => processed)).toEqual(steps.map((_, i) => Math.min(total, 16 * (i + 1))));
    expect(steps.every((step) => step.total === total && step.cached === 0 && step.elapsedMs >= 0)).toBe(true);
    const kinds = run.story(1).events.map(({ type }) => type);
    expect(kinds.lastIndexOf("progress")).toBeLessThan(kinds.indexOf("delta"));
    expect(outcome(run.story(1))).toEqual(outcome(runAlone(request(LONG))));
  });

  test("begins with what was there", () => {
    using run = new EngineRun({ retainedMax: 4, contextLength: 512, batchSize: 16 });
    run.generate(1, request(LONG));
    run.settle();
    run.generate(2, request(`${LONG} and some more of it`, { progress: true }));
    run.settle();
    const [first] = readSteps(run, 2);
    expect(first?.cached).toBeGreaterThan(100);
    expect(first?.processed).toBeGreaterThan(first?.cached ?? 0);
  });

  test("is not told to those who did not ask, or who read nothing along", () => {
    using run = new EngineRun({ parallel: 2, batchSize: 16 });
    run.generate(1, request(LONG));
    run.generate(2, request(LONG, { progress: true, whole: true }));
    run.settle();
    expect([...readSteps(run, 1), ...readSteps(run, 2)]).toEqual([]);
  });
});
