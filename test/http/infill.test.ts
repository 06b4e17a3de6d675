import { expect, test } from "bun:test";
import { createTestApp, readError, readFrames, readJson } from "../support/http-app.ts";

const PATH = "/infill";
const GAP = { input_prefix: "def f(", input_suffix: "return 1" };

test("a gap is filled in the shape of a completion, with llama.cpp's names besides", async () => {
  const { post, inference } = createTestApp();
  const extra = [{ filename: "a.py", text: "x = 1" }, { text: "y" }];
  const body = await readJson(await post(PATH, { ...GAP, input_extra: extra, prompt: "a", n_predict: 8, top_k: 3 }));
  expect(body).toMatchObject({
    object: "text_completion",
    content: "Hello",
    stop: true,
    choices: [{ text: "Hello", finish_reason: "stop" }],
    timings: { predicted_n: 3 },
  });
  expect(inference.lastRequest).toMatchObject({
    prompt: {
      kind: "infill",
      prefix: "def f(",
      suffix: "return 1",
      prompt: "a",
      extra: [
        { filename: "a.py", text: "x = 1" },
        { filename: "tmp", text: "y" },
      ],
      answerTokens: 8,
    },
    maxTokens: 8,
    sampling: { topK: 3 },
  });
});

test("a stream says with each piece whether more comes", async () => {
  const { post } = createTestApp();
  const frames = await readFrames(await post(PATH, { ...GAP, stream: true, cache_prompt: false }));
  expect(frames.slice(0, 3).map(({ content, stop }) => [content, stop])).toEqual([
    ["Hel", false],
    ["lo", false],
    ["", true],
  ]);
  expect(frames[3]).toBe("[DONE]");
});

test("more comes until the last chunk of the last choice, the usage included", async () => {
  const { post } = createTestApp();
  const frames = await readFrames(
    await post(PATH, { ...GAP, n: 2, stream: true, stream_options: { include_usage: true } }),
  );
  const stops = frames.slice(0, -1).map(({ stop }) => stop);
  expect(stops).toHaveLength(7);
  expect(stops.lastIndexOf(false)).toBe(5);
  expect(frames.at(-2)).toMatchObject({ choices: [], stop: true, usage: { completion_tokens: 6 } });
});

test.each([
  [{ n_predict: 0 }, 0],
  [{ max_tokens: 7 }, 7],
  [{ max_tokens: 7, n_predict: 3 }, 3],
])("%j limits the answer", async (limit, expected) => {
  const { post, inference } = createTestApp();
  expect((await post(PATH, { ...GAP, ...limit })).status).toBe(200);
  expect(inference.lastRequest.maxTokens).toBe(expected);
});

test("without a limit there is none", async () => {
  const { post, inference } = createTestApp();
  await post(PATH, { ...GAP, n_predict: -1 });
  expect(inference.lastRequest.maxTokens).toBeUndefined();
});

test.each([
  [{}, "input_prefix"],
  [{ input_prefix: "a" }, "input_suffix"],
  [{ ...GAP, input_extra: "x" }, "input_extra"],
  [{ ...GAP, input_extra: [{ filename: "x" }] }, "input_extra[0].text"],
  [{ ...GAP, prompt: ["x"] }, "prompt"],
  [{ ...GAP, n_predict: -2 }, "n_predict"],
])("%j is refused by name", async (body, param) => {
  const { post } = createTestApp();
  expect(await readError(await post(PATH, body))).toEqual({ status: 400, code: "invalid_request", param });
});
