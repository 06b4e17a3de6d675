// `return_progress` in each dialect: chunks where llama.cpp's server has them, nothing where the dialect has no word for it.

import { describe, expect, test } from "bun:test";
import { DONE_EVENT, playEvents, SOME_CACHE } from "../support/fake-inference.ts";
import { createTestApp, readFrames } from "../support/http-app.ts";

const MESSAGES = [{ role: "user", content: "Hello!" }];
const SCRIPT = playEvents(
  { type: "started", promptTokens: 7, cache: SOME_CACHE },
  { type: "progress", total: 7, cached: 2, processed: 5, elapsedMs: 12 },
  { type: "progress", total: 7, cached: 2, processed: 7, elapsedMs: 20 },
  { type: "delta", text: "Hi" },
  DONE_EVENT,
);

describe("the progress of a prompt", () => {
  test.each([
    ["/v1/chat/completions", { messages: MESSAGES }],
    ["/v1/completions", { prompt: "Hello" }],
  ])("comes in chunks of %s", async (path, body) => {
    const { post, inference } = createTestApp();
    inference.script = SCRIPT;
    const frames = await readFrames(await post(path, { ...body, stream: true, return_progress: true }));
    expect(inference.generateCalls[0]?.request.progress).toBe(true);
    expect(frames.flatMap(({ prompt_progress }) => prompt_progress ?? [])).toEqual([
      { total: 7, cache: 2, processed: 5, time_ms: 12 },
      { total: 7, cache: 2, processed: 7, time_ms: 20 },
    ]);
    const choices = frames.flatMap((frame) => frame.choices ?? []);
    expect(choices.map(({ text, delta }) => text ?? delta.content ?? "").join("")).toBe("Hi");
  });

  test.each([
    ["/v1/messages", { messages: MESSAGES, max_tokens: 9, stream: true }],
    ["/v1/responses", { input: "Hello", stream: true }],
    ["/api/chat", { model: "demo", messages: MESSAGES }],
  ])("changes nothing in a stream of %s", async (path, body) => {
    const { post, inference } = createTestApp();
    inference.script = SCRIPT;
    const text = await (await post(path, { ...body, return_progress: true })).text();
    expect(text).toContain("Hi");
    expect(text).not.toContain('progress":');
  });

  test("is not asked for by default, and not of whole answers", async () => {
    const { post, inference } = createTestApp();
    await (await post("/v1/completions", { prompt: "x", stream: true })).text();
    expect(inference.generateCalls[0]?.request.progress).toBeUndefined();
    const whole = await post("/v1/completions", { prompt: "x", return_progress: true });
    expect(((await whole.json()) as { choices: unknown[] }).choices).toHaveLength(1);
    expect(inference.generateCalls[1]?.request.whole).toBe(true);
  });
});
