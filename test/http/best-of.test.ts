// `best_of`: which of the answers are sent, and what is counted and asked for on the way.

import { expect, test } from "bun:test";
import type { TokenScore } from "../../src/protocol/generation.ts";
import { DONE_EVENT, playEvents, SOME_CACHE } from "../support/fake-inference.ts";
import { createTestApp, type Json, readError, readFrames, readJson, type TestApp } from "../support/http-app.ts";

const PATH = "/v1/completions";

const scores = (...logprobs: (number | null)[]): TokenScore[] =>
  logprobs.map((logprob, offset) => ({ text: "x", offset, logprob, top: [] }));

/** The answers in the order of their requests: a text and its log probabilities. */
function script(app: TestApp, answers: [text: string, TokenScore[]][]): void {
  let next = 0;
  app.inference.script = (request, signal) => {
    const [text, own] = answers[next++] ?? ["", []];
    const started = { type: "started", promptTokens: 7, cache: SOME_CACHE } as const;
    return playEvents(started, { type: "delta", text, scores: own }, DONE_EVENT)(request, signal);
  };
}

const textsOf = async (response: Response): Promise<string[]> =>
  (await readJson(response)).choices.map(({ text }: Json) => text);

test("the best is sent by its mean, however long it is, and all are counted", async () => {
  const app = createTestApp();
  script(app, [
    ["short", scores(-2)],
    ["long", scores(-1, -1, -1, -1, -0.5)],
    ["ended at once", []],
    ["bad", scores(-0.1, -9)],
  ]);
  const body = await readJson(await app.post(PATH, { prompt: "a", best_of: 4, seed: 5 }));
  expect(body.choices).toEqual([{ index: 0, text: "long", logprobs: null, finish_reason: "stop" }]);
  expect(body.usage).toMatchObject({ prompt_tokens: 7, completion_tokens: 12 });
  const requests = app.inference.generateCalls.map(({ request }) => request);
  expect(requests.map(({ logprobs, sampling }) => [logprobs, sampling.seed])).toEqual([
    [0, 5],
    [0, 6],
    [0, 7],
    [0, 8],
  ]);
});

test("of several prompts each has its own best, the best first", async () => {
  const app = createTestApp();
  script(app, [
    ["a1", scores(-3)],
    ["a2", scores(-1)],
    ["a3", scores(-2)],
    ["b1", scores(-1)],
    ["b2", scores(-9)],
    ["b3", scores(-1)],
  ]);
  const body = await readJson(await app.post(PATH, { prompt: ["a", "b"], n: 2, best_of: 3, logprobs: 0 }));
  expect(body.choices.map(({ index, text }: Json) => [index, text])).toEqual([
    [0, "a2"],
    [1, "a3"],
    [2, "b1"],
    [3, "b3"],
  ]);
  expect(body.choices[0].logprobs.token_logprobs).toEqual([-1]);
  expect(body.usage.prompt_tokens).toBe(14);
});

test("the prompt's own log probabilities do not count", async () => {
  const app = createTestApp();
  const prompt = scores(null, -50, -50, -50, -50, -50, -50);
  script(app, [
    ["once", [...prompt, ...scores(-1)]],
    ["longer", [...prompt, ...scores(-2, -2, -2, -2, -2, -2, -2)]],
  ]);
  expect(await textsOf(await app.post(PATH, { prompt: "a", echo: true, best_of: 2 }))).toEqual(["once"]);
});

test("as many as are sent are sent as they come, streamed too, and without log probabilities", async () => {
  const app = createTestApp();
  expect(await textsOf(await app.post(PATH, { prompt: "a", n: 2, best_of: 2 }))).toEqual(["Hello", "Hello"]);
  expect(app.inference.lastRequest.logprobs).toBeUndefined();
  const frames = await readFrames(await app.post(PATH, { prompt: "a", n: 2, best_of: 2, stream: true }));
  expect(frames.at(-1)).toBe("[DONE]");
});

test("what `best_of` can't be is said by name", async () => {
  const { post, inference } = createTestApp();
  const refused = { status: 400, code: "invalid_request" };
  expect(await readError(await post(PATH, { prompt: "a", n: 3, best_of: 2 }))).toEqual({
    ...refused,
    param: "best_of",
  });
  expect(await readError(await post(PATH, { prompt: "a", best_of: 2, stream: true }))).toMatchObject(refused);
  const { error } = await readJson(await post(PATH, { prompt: Array(20).fill("a"), best_of: 4 }));
  expect(error.message).toContain("80 choices with `best_of` 4");
  expect(inference.generateCalls).toEqual([]);
});
