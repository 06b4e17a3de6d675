import { expect, test } from "bun:test";
import { createTestApp, readError, readFrames, readJson } from "../support/http-app.ts";

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
  [{ prompt: "x", best_of: 2 }, "not_supported", "best_of"],
  [{ prompt: "x", echo: true }, "not_supported", "echo"],
  [{ prompt: "x", suffix: "y" }, "not_supported", "suffix"],
  [{ prompt: "x", logprobs: 1 }, "not_supported", "logprobs"],
  [{ prompt: "x", n: 2, best_of: 3 }, "not_supported", "best_of"],
  [{ prompt: "x", n: 3, best_of: 2 }, "invalid_request", "best_of"],
  [{ prompt: "x", n: 17 }, "invalid_request", "n"],
  [{ prompt: "x", n: 0 }, "invalid_request", "n"],
])("%j is refused by name", async (body, code, param) => {
  const { post } = createTestApp();
  expect(await readError(await post(PATH, body))).toEqual({ status: 400, code, param });
});
