// A full context that drops its middle: what stays, that the answer goes on as one over what stayed, and that nobody
// else notices.

import { describe, expect, test } from "bun:test";
import { planShift, SHIFTING_CONTEXT_MIN } from "../../../src/engine/answer/context-shift.ts";
import type { GenerationRequest } from "../../../src/protocol/generation.ts";
import type { MemoryKind } from "../../../src/protocol/model-info.ts";
import { EngineRun, outcome, type RunOptions, runAlone } from "../../support/engine-run.ts";
import { seeTokens } from "../../support/fake-memory.ts";
import { pickGreedily } from "../../support/fake-sampler.ts";
import { fakeTokenBytes, fakeTokens } from "../../support/fake-vocabulary.ts";

const PROMPT = "the quick brown fox jumps";
const CONTEXT = 48;

function request(changes: Partial<GenerationRequest> = {}): GenerationRequest {
  const sampling = { temperature: 0, ignoreEos: true };
  const prompt = { kind: "text", text: PROMPT } as const;
  return { prompt, sampling, maxTokens: 120, stop: [], contextShift: true, keepTokens: 4, ...changes };
}

/** Token by token, as a context of this length that shifts gives it. */
function simulate(text: string, keep: number, maxTokens: number, contextLength = CONTEXT): string {
  let tokens = [...fakeTokens(text)];
  const promptLength = tokens.length;
  const bytes: number[] = [];
  for (let i = 0; i < maxTokens; i++) {
    const token = pickGreedily(seeTokens(tokens));
    tokens.push(token);
    bytes.push(...fakeTokenBytes(token, false));
    if (tokens.length < contextLength) continue;
    const { head, dropped } = planShift(tokens.length, keep, promptLength, contextLength);
    tokens = [...tokens.slice(0, head), ...tokens.slice(head + dropped)];
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

test.each<MemoryKind>(["plain", "sliding", "recurrent"])("%s memory: the smallest contexts", (memory) => {
  const endOf = (sequenceContextLength: number): object | null => {
    using run = new EngineRun({ contextLength: 64, sequenceContextLength, memory });
    run.generate(1, request({ prompt: { kind: "text", text: "t" }, maxTokens: 20 }));
    run.settle();
    run.checkEmpty();
    return run.story(1).end;
  };
  // One token that stays and the one that was just made: nothing can go.
  const full = { promptTokens: 1, completionTokens: 1, cachedTokens: 0 };
  expect(endOf(2)).toMatchObject({ type: "done", finishReason: "length", usage: full });
  expect(endOf(3)).toMatchObject({ finishReason: "length", usage: { completionTokens: 20, droppedTokens: 18 } });
});

describe("what stays", () => {
  test.each([
    [100, 0, 60, 100, { head: 1, dropped: 50 }],
    [100, 10, 60, 100, { head: 10, dropped: 45 }],
    [100, -1, 30, 100, { head: 30, dropped: 35 }],
    [100, -1, 99, 100, { head: 50, dropped: 25 }],
    [100, 5000, 99, 100, { head: 50, dropped: 25 }],
    [3, -1, 2, 3, { head: 1, dropped: 1 }],
  ])("of %d tokens with %d to keep and a prompt of %d in %d", (length, keep, prompt, context, expected) => {
    expect(planShift(length, keep, prompt, context)).toEqual(expected);
  });

  test("there is always something that goes, and the beginning always stays", () => {
    for (let context = 2; context < 80; context++) {
      for (let keep = -1; keep < 90; keep += 7) {
        const { head, dropped } = planShift(context, keep, context - 1, context);
        expect(head).toBeGreaterThanOrEqual(1);
        expect(dropped).toBeGreaterThanOrEqual(1);
        if (context >= SHIFTING_CONTEXT_MIN) expect(head + dropped).toBeLessThan(context);
      }
    }
  });
});

describe("an answer beyond the context", () => {
  test.each(["plain", "sliding", "recurrent", "hybrid"] as MemoryKind[])("with %s memory", (memory) => {
    using run = new EngineRun({ contextLength: 256, sequenceContextLength: CONTEXT, memory, retainedMax: 2 });
    run.generate(1, request());
    run.settle();
    expect(run.story(1).text).toBe(simulate(PROMPT, 4, 120));
    expect(run.story(1).end).toMatchObject({
      finishReason: "length",
      // 48 tokens become 26, five times.
      usage: { promptTokens: PROMPT.length, completionTokens: 120, droppedTokens: 110 },
    });
    run.checkEmpty();
  });

  test("is only had when it is asked for, by the request or by the setting", () => {
    using run = new EngineRun({ contextLength: 256, sequenceContextLength: CONTEXT });
    run.generate(1, request({ contextShift: false }));
    const unset = request();
    delete unset.contextShift;
    run.generate(2, unset);
    run.settle();
    for (const id of [1, 2]) {
      expect(run.story(id).end).toMatchObject({ usage: { completionTokens: CONTEXT - PROMPT.length } });
    }
    using shifting = new EngineRun({ contextLength: 256, sequenceContextLength: CONTEXT, shiftsContext: true });
    shifting.generate(1, unset);
    shifting.generate(2, request({ contextShift: false }));
    shifting.settle();
    expect(shifting.story(1).end).toMatchObject({ usage: { completionTokens: 120 } });
    expect(shifting.story(2).end).toMatchObject({ usage: { completionTokens: CONTEXT - PROMPT.length } });
  });

  test("ends some time also when nobody limits it", () => {
    const endless = request();
    delete endless.maxTokens;
    using run = new EngineRun({ contextLength: 64, sequenceContextLength: 16, batchSize: 64 });
    run.generate(1, { ...endless, prompt: { kind: "text", text: "a fox" } });
    run.settle();
    expect(run.story(1).end).toMatchObject({ finishReason: "length", usage: { completionTokens: 64 * 16 } });
  });

  test("log probabilities go on with it", () => {
    using run = new EngineRun({ contextLength: 256, sequenceContextLength: CONTEXT });
    run.generate(1, request({ logprobs: 0, echo: true }));
    run.settle();
    const { events, text } = run.story(1);
    const scores = events.flatMap((event) => (event.type === "delta" ? (event.scores ?? []) : []));
    expect(text).toBe(PROMPT + simulate(PROMPT, 4, 120));
    expect(scores).toHaveLength(PROMPT.length + 120);
  });

  test.each([
    [{ contextLength: 110, parallel: 4, retainedMax: 3 }],
    [{ contextLength: 400, parallel: 4, retainedMax: 3, speculates: true, guessFails: () => false }],
    [{ contextLength: 90, parallel: 3, batchSize: 7, memory: "sliding" }],
    [{ contextLength: 120, parallel: 4, retainedMax: 4, memory: "hybrid" }],
  ] as [RunOptions][])("in company, with %j", (options) => {
    using run = new EngineRun({ ...options, sequenceContextLength: CONTEXT });
    const others = Array.from({ length: 8 }, (_, i) =>
      request({ contextShift: false, maxTokens: 12, prompt: { kind: "text", text: `${PROMPT} over ${i % 3}` } }),
    );
    for (let i = 0; i < 4; i++) run.generate(i, request({ keepTokens: i * 3 }));
    for (const [i, one] of others.entries()) run.generate(100 + i, one);
    run.settle();
    for (let i = 0; i < 4; i++) expect(run.story(i).text).toBe(simulate(PROMPT, i * 3, 120));
    for (const [i, one] of others.entries()) {
      const alone = runAlone(one, { memory: options.memory ?? "plain" });
      expect(outcome(run.story(100 + i))).toEqual(outcome(alone));
    }
    run.checkEmpty();
  });
});
