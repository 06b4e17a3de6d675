import { expect, test } from "bun:test";
import type { TokenScore } from "../../src/protocol/generation.ts";
import { DONE_EVENT, playEvents, SOME_CACHE } from "../support/fake-inference.ts";
import { createTestApp, type Json, readError, readFrames, readJson } from "../support/http-app.ts";

const PATH = "/v1/completions";

test("a completion is answered in OpenAI's shape", async () => {
  const { post, inference } = createTestApp();
  const body = await readJson(await post(PATH, { prompt: "One, two", max_tokens: 8 }));
  expect(body).toMatchObject({
    object: "text_completion",
    model: "demo",
    choices: [{ index: 0, text: "Hello", logprobs: null, finish_reason: "stop" }],
    usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 },
    timings: { predicted_n: 3 },
  });
  expect(body.id).toMatch(/^cmpl-/);
  expect(inference.lastRequest).toMatchObject({ prompt: { kind: "text", text: "One, two" }, maxTokens: 8 });
});

test("a stream has text chunks, the finish, the usage when asked for, and [DONE]", async () => {
  const { post } = createTestApp();
  const frames = await readFrames(
    await post(PATH, { prompt: "x", stream: true, stream_options: { include_usage: true } }),
  );
  expect(frames.slice(0, 3).map((chunk) => chunk.choices[0])).toEqual([
    { index: 0, text: "Hel", logprobs: null, finish_reason: null },
    { index: 0, text: "lo", logprobs: null, finish_reason: null },
    { index: 0, text: "", logprobs: null, finish_reason: "stop" },
  ]);
  expect(frames[3]).toMatchObject({ object: "text_completion", choices: [], usage: { total_tokens: 10 } });
  expect(frames[4]).toBe("[DONE]");
});

test.each([
  ["text", { kind: "text", text: "text" }],
  [["text"], { kind: "text", text: "text" }],
  [[1, 2], { kind: "tokens", tokens: [1, 2] }],
  [[[1, 2]], { kind: "tokens", tokens: [1, 2] }],
] as const)("the prompt %j is understood", async (prompt, expected) => {
  const { post, inference } = createTestApp();
  expect((await post(PATH, { prompt })).status).toBe(200);
  expect(inference.lastRequest.prompt).toEqual(expected as never);
});

test.each([
  [{}, "invalid_request", "prompt"],
  [{ prompt: [] }, "invalid_request", "prompt"],
  [{ prompt: Array(65).fill("a") }, "invalid_request", "prompt"],
  [{ prompt: Array(33).fill([1]), n: 2 }, "invalid_request", "prompt"],
  [{ prompt: ["a", 1] }, "invalid_request", "prompt"],
  [{ prompt: [1, "a"] }, "invalid_request", "prompt"],
  [{ prompt: [-1] }, "invalid_request", "prompt[0]"],
  [{ prompt: "x", best_of: 2, stream: true }, "invalid_request", "best_of"],
  [{ prompt: "x", best_of: 17 }, "invalid_request", "best_of"],
  [{ prompt: "x", best_of: 0 }, "invalid_request", "best_of"],
  [{ prompt: Array(9).fill("a"), best_of: 8 }, "invalid_request", "prompt"],
  [{ prompt: "x", echo: true, suffix: "y" }, "not_supported", "echo"],
  [{ prompt: [1, 2], suffix: "y" }, "invalid_request", "suffix"],
  [{ prompt: "x", logprobs: 21 }, "invalid_request", "logprobs"],
  [{ prompt: "x", max_tokens: 0 }, "invalid_request", "max_tokens"],
  [{ prompt: "x", n: 3, best_of: 2 }, "invalid_request", "best_of"],
  [{ prompt: "x", n: 17 }, "invalid_request", "n"],
  [{ prompt: "x", n: 0 }, "invalid_request", "n"],
])("%j is refused by name", async (body, code, param) => {
  const { post } = createTestApp();
  expect(await readError(await post(PATH, body))).toEqual({ status: 400, code, param });
});

const SCORES: TokenScore[] = [
  { text: "a", offset: 0, logprob: null, top: [] },
  {
    text: "b",
    offset: 1,
    logprob: -2,
    top: [
      ["c", -0.5],
      ["d", -1],
    ],
  },
];
const LOGPROBS = {
  tokens: ["a", "b"],
  token_logprobs: [null, -2],
  top_logprobs: [null, { c: -0.5, d: -1, b: -2 }],
  text_offset: [0, 1],
};

test("log probabilities come in OpenAI's lists, whole and streamed", async () => {
  const { post, inference } = createTestApp();
  inference.script = playEvents(
    { type: "started", promptTokens: 7, cache: SOME_CACHE },
    { type: "delta", text: "ab" },
    { type: "delta", scores: SCORES },
    DONE_EVENT,
  );
  const asked = { prompt: "ab", echo: true, logprobs: 2, max_tokens: 0 };
  const body = await readJson(await post(PATH, asked));
  expect(body.choices).toEqual([{ index: 0, text: "ab", logprobs: LOGPROBS, finish_reason: "stop" }]);
  expect(inference.lastRequest).toMatchObject({ echo: true, logprobs: 2, maxTokens: 0 });
  const frames = await readFrames(await post(PATH, { ...asked, stream: true }));
  expect(frames.slice(0, 2).map((chunk) => chunk.choices[0])).toEqual([
    { index: 0, text: "ab", logprobs: null, finish_reason: null },
    { index: 0, text: "", logprobs: LOGPROBS, finish_reason: null },
  ]);
});

test("log probabilities of an answer that ended at once are empty lists", async () => {
  const { post, inference } = createTestApp();
  inference.script = playEvents({ type: "started", promptTokens: 7, cache: SOME_CACHE }, DONE_EVENT);
  const logprobsOf = async (asked: Json) => (await readJson(await post(PATH, asked))).choices[0].logprobs;
  const empty = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  expect(await logprobsOf({ prompt: "x", logprobs: 0, stop: "a" })).toEqual(empty);
  expect(await logprobsOf({ prompt: "x", stop: "a" })).toBeNull();
});

test("a suffix makes a gap to fill", async () => {
  const { post, inference } = createTestApp();
  expect((await post(PATH, { prompt: "def f(", suffix: "return 1", max_tokens: 5 })).status).toBe(200);
  expect(inference.lastRequest).toMatchObject({
    prompt: { kind: "infill", prefix: "def f(", suffix: "return 1", prompt: "", extra: [], answerTokens: 5 },
    maxTokens: 5,
  });
  await post(PATH, { prompt: "x", suffix: "" });
  expect(inference.lastRequest.prompt).toEqual({ kind: "text", text: "x" });
});
