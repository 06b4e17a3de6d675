// Log probabilities over the fake backend: of each token by what its row saw, in step with the text, in any company.

import { describe, expect, test } from "bun:test";
import type { GenerationRequest, TokenScore } from "../../../src/protocol/generation.ts";
import { EngineRun, type RunOptions, runAlone, type Story } from "../../support/engine-run.ts";
import { seeTokens } from "../../support/fake-memory.ts";
import { scoreFakeRows } from "../../support/fake-scores.ts";
import { fakeTokens } from "../../support/fake-vocabulary.ts";

const TEXT = "the quick brown fox jumps over the lazy dog and is back before the rain comes";

function request(changes: Partial<GenerationRequest> = {}): GenerationRequest {
  const sampling = { temperature: 0, ignoreEos: true };
  return { prompt: { kind: "text", text: TEXT }, sampling, maxTokens: 12, stop: [], logprobs: 3, ...changes };
}

const scoresOf = ({ events }: Story): TokenScore[] =>
  events.flatMap((event) => (event.type === "delta" ? (event.scores ?? []) : []));

/** What the fake's row says of a token that follows these. */
function expectedLogprob(before: Int32Array, token: number): number {
  const { logits, sums } = scoreFakeRows([seeTokens([...before])], Int32Array.of(token), 0);
  return (logits[0] ?? 0) - (sums[0] ?? 0);
}

describe("the prompt's", () => {
  test("are those of each row, the first one's are null, and they come in pieces", () => {
    const story = runAlone(request({ echo: true, maxTokens: 0 }));
    const scores = scoresOf(story);
    const tokens = fakeTokens(TEXT);
    expect(story.text).toBe(TEXT);
    expect(story.end).toMatchObject({ type: "done", finishReason: "length", usage: { completionTokens: 0 } });
    expect(scores).toHaveLength(tokens.length);
    expect(scores[0]).toMatchObject({ logprob: null, top: [], offset: 0 });
    for (const [i, token] of tokens.entries()) {
      if (i === 0) continue;
      const { logprob, top, offset } = scores[i] as TokenScore;
      expect(logprob).toBeCloseTo(expectedLogprob(tokens.subarray(0, i), token), 4);
      expect(offset).toBe(i);
      expect(top).toHaveLength(3);
      expect(top.map(([, value]) => value)).toEqual(top.map(([, value]) => value).toSorted((a, b) => b - a));
      expect(Math.max(...top.map(([, value]) => value))).toBeGreaterThanOrEqual(logprob ?? 0);
    }
    // The fake takes 32 rows with output in a batch, so no message holds more.
    const largest = Math.max(
      ...story.events.map((event) => (event.type === "delta" ? (event.scores?.length ?? 0) : 0)),
    );
    expect(largest).toBeLessThanOrEqual(33);
  });

  test("are not had from kept state, which they leave for others", () => {
    using run = new EngineRun({ retainedMax: 2, parallel: 2 });
    run.generate(1, request({ echo: true, maxTokens: 0 }));
    run.settle();
    run.generate(2, request({ echo: true, maxTokens: 0 }));
    run.settle();
    run.generate(3, request({ maxTokens: 2 }));
    run.settle();
    expect(scoresOf(run.story(2))).toEqual(scoresOf(run.story(1)));
    expect(run.story(2).end).toMatchObject({ usage: { cachedTokens: 0 } });
    expect(run.story(3).end).toMatchObject({ usage: { cachedTokens: TEXT.length - 1 } });
  });

  test("a prompt of one token has one entry, and the answer goes on from there", () => {
    const story = runAlone(request({ prompt: { kind: "tokens", tokens: [3] }, echo: true, maxTokens: 2 }));
    expect(scoresOf(story).map(({ offset, logprob }) => [offset, logprob === null])).toEqual([
      [0, true],
      [1, false],
      [2, false],
    ]);
    expect(story.text).toHaveLength(3);
  });
});

describe("the answer's", () => {
  test("stand where their text is", () => {
    const story = runAlone(request({ echo: true }));
    const scores = scoresOf(story);
    expect(scores).toHaveLength(TEXT.length + 12);
    const characters = [...story.text];
    for (const { text, offset } of scores.slice(TEXT.length)) {
      if (!text.startsWith("bytes:")) expect(characters.slice(offset).join("")).toStartWith(text);
    }
  });

  test("are what the rows said before sampling", () => {
    const free = scoresOf(runAlone(request()));
    expect(free).toHaveLength(12);
    // Greedy sampling takes what the fake's sampler prefers, which is not what its logits say: they are read apart.
    for (const { top, logprob } of free) expect(top[0]?.[1] ?? 0).toBeGreaterThanOrEqual(logprob ?? 0);
    const without = runAlone(request({ logprobs: 0 }));
    expect(scoresOf(without).map(({ logprob, top }) => [logprob, top.length])).toEqual(
      free.map(({ logprob }) => [logprob, 0]),
    );
  });

  test("end with the text that a stop string cuts", () => {
    const whole = runAlone(request({ logprobs: 1 }));
    const stop = [...whole.text].slice(5, 7).join("");
    const story = runAlone(request({ logprobs: 1, stop: [stop] }));
    expect(story.end).toMatchObject({ finishReason: "stop" });
    expect(scoresOf(story).every(({ offset }) => offset < [...story.text].length)).toBe(true);
    expect(scoresOf(story).length).toBeGreaterThan(0);
  });

  test("come in pieces although nobody reads along", () => {
    const [piecewise, whole] = [runAlone(request()), runAlone(request({ whole: true }))];
    expect(whole.events).toEqual(piecewise.events);
  });

  test("list the token that ends it", () => {
    const sampling = { temperature: 0 };
    const ended = Array.from({ length: 40 }, (_, seed) =>
      runAlone(request({ prompt: { kind: "text", text: `${TEXT} ${"x".repeat(seed)}` }, sampling, maxTokens: 60 })),
    ).filter(({ end }) => end?.type === "done" && end.finishReason === "stop");
    expect(ended.length).toBeGreaterThan(0);
    for (const story of ended) {
      const tokens = story.end?.type === "done" ? story.end.usage.completionTokens : -1;
      expect(scoresOf(story)).toHaveLength(tokens);
    }
  });
});

test("steps with them teach nobody what a step costs", () => {
  using run = new EngineRun({ parallel: 4 });
  run.backend.faults.decode = () => {
    run.clock.advance(30);
    return null;
  };
  run.generate(1, request());
  run.generate(2, request({ echo: true, prompt: { kind: "text", text: TEXT.repeat(2) } }));
  run.settle();
  expect(run.engine.stats().rates).toBeNull();
  const { logprobs: _, ...plain } = request();
  run.generate(3, plain);
  run.settle();
  const { rates } = run.engine.stats();
  expect(rates?.stepMs).toBe(30);
  run.backend.faults.decode = () => {
    run.clock.advance(900);
    return null;
  };
  run.generate(4, request({ echo: true }));
  run.settle();
  expect(run.engine.stats().rates).toEqual(rates);
});

describe("over the room that there is for them", () => {
  const refused = (most: number) => ({
    code: "invalid_request",
    param: "logprobs",
    message: expect.stringContaining(`${most} are`),
  });

  test("a prompt is refused before it is read, with the numbers", () => {
    using run = new EngineRun();
    const most = TEXT.length * 4;
    run.generate(1, request({ echo: true, maxTokens: 0, logprobsMax: most - 1 }));
    run.generate(2, request({ echo: true, maxTokens: 0, logprobsMax: most }));
    run.settle();
    expect(run.story(1).end).toMatchObject({ type: "error", error: refused(most - 1) });
    expect(run.story(1).events).toHaveLength(1);
    expect(run.story(2).end).toMatchObject({ type: "done" });
  });

  test("an answer ends there, and costs nobody else anything", () => {
    using run = new EngineRun();
    run.generate(1, request({ logprobsMax: 20 }));
    run.generate(2, request({ logprobsMax: 48 }));
    run.settle();
    expect(run.story(1).end).toMatchObject({ type: "error", error: refused(20) });
    expect(scoresOf(run.story(1)).length).toBeLessThanOrEqual(5);
    expect(scoresOf(run.story(2))).toHaveLength(12);
    expect(run.story(2).end).toMatchObject({ type: "done" });
    run.checkEmpty();
  });
});

test.each([
  [{ parallel: 4, batchSize: 32 }],
  [{ parallel: 8, batchSize: 5, retainedMax: 3 }],
  [{ parallel: 4, batchSize: 32, contextLength: 130 }],
  [{ parallel: 4, batchSize: 32, memory: "sliding", retainedMax: 2 }],
  [{ parallel: 4, batchSize: 32, memory: "recurrent", retainedMax: 2 }],
  [{ parallel: 4, batchSize: 32, memory: "hybrid", retainedMax: 2 }],
  [{ parallel: 3, batchSize: 64, speculates: true, guessFails: () => false }],
] as [RunOptions][])("in company they are as alone, with %j", (options) => {
  using run = new EngineRun(options);
  const requests = Array.from({ length: 16 }, (_, i) =>
    request({
      prompt: { kind: "text", text: TEXT.slice(i % 3, 20 + 3 * i) },
      maxTokens: i % 4 === 0 ? 0 : 20,
      ...(i % 4 === 3 ? {} : { echo: true }),
    }),
  );
  const plain = request({ maxTokens: 20 });
  delete plain.logprobs;
  for (const [i, one] of requests.entries()) {
    run.generate(i, one);
    run.generate(100 + i, plain);
  }
  run.settle();
  for (const [i, one] of requests.entries()) {
    // Kinds of memory see differently; so they are compared with themselves.
    const alone = runAlone(one, { memory: options.memory ?? "plain" });
    expect(run.story(i).end).toMatchObject({ type: "done" });
    expect(run.story(i).text).toBe(alone.text);
    expect(scoresOf(run.story(i))).toEqual(scoresOf(alone));
  }
  run.checkEmpty();
});
