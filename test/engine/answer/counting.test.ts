// Prompts that are only counted: told like every request, by an engine that computes nothing for them.

import { expect, test } from "bun:test";
import type { GenerationRequest } from "../../../src/protocol/generation.ts";
import { EngineRun } from "../../support/engine-run.ts";

const request = (text: string, changes: Partial<GenerationRequest> = {}): GenerationRequest => ({
  prompt: { kind: "text", text },
  sampling: { temperature: 0, ignoreEos: true },
  stop: [],
  maxTokens: 30,
  ...changes,
});

test("a prompt is counted beside running ones, without a place and beyond the context's length", () => {
  using run = new EngineRun({ parallel: 1, sequenceContextLength: 50 });
  run.generate(1, request("busy"));
  for (let i = 0; i < 3; i++) run.step();
  run.generate(2, request("x".repeat(300), { countOnly: true }));
  run.step();
  expect(run.story(2).events.map(({ type }) => type)).toEqual(["started", "done"]);
  expect(run.story(2).events[0]).toMatchObject({ promptTokens: 300 });
  expect(run.story(1).end).toBeNull();
  run.settle();
  expect(run.story(1).end).toMatchObject({ type: "done", usage: { completionTokens: 30 } });
  run.checkEmpty();
});

test("a count that is cancelled while its prompt is read ends once", () => {
  using run = new EngineRun({ taskPolls: () => 3 });
  run.generate(1, request("abc", { countOnly: true }));
  run.step();
  run.send("cancel", 1);
  run.settle();
  expect(run.story(1).events).toEqual([{ type: "cancelled" }]);
  run.checkEmpty();
});
