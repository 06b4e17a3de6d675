// Several choices of one request: what each is asked for, how answers and streams tell them apart, and that they end
// together.

import { describe, expect, test } from "bun:test";
import { AppError } from "../../src/protocol/errors.ts";
import type { GenerationEvent } from "../../src/protocol/generation.ts";
import type { Generation } from "../../src/router/inference.ts";
import { DONE_EVENT, playEvents, type Script } from "../support/fake-inference.ts";
import { createTestApp, type Json, readError, readFrames, readJson, settle } from "../support/http-app.ts";

const CHAT = "/v1/chat/completions";
const TEXT = "/v1/completions";
const HELLO = { messages: [{ role: "user", content: "Hello!" }] };

/** Says its seed in two pieces. */
const SAY_SEED: Script = (request, signal) =>
  playEvents(
    { type: "delta", text: "seed " },
    { type: "delta", text: String(request.sampling.seed) },
    DONE_EVENT,
  )(request, signal);

function createSeedApp(options = {}) {
  const test = createTestApp(options);
  test.inference.script = SAY_SEED;
  return test;
}

/** Index → what was said under it. */
function joinTexts(frames: Json[], read: (choice: Json) => string | undefined): string[] {
  const texts: string[] = [];
  for (const choice of frames.flatMap((frame) => frame.choices ?? [])) {
    texts[choice.index] = (texts[choice.index] ?? "") + (read(choice) ?? "");
  }
  return texts;
}

describe("chat", () => {
  test("a whole answer has each choice under its index; the prompt counts once", async () => {
    const { post, inference } = createSeedApp();
    const body = await readJson(await post(CHAT, { ...HELLO, n: 3, seed: 2 ** 32 - 2 }));
    expect(body.choices.map((choice: Json) => [choice.index, choice.message.content, choice.finish_reason])).toEqual([
      [0, "seed 4294967294", "stop"],
      [1, "seed 4294967295", "stop"],
      [2, "seed 0", "stop"],
    ]);
    expect(body.usage).toMatchObject({
      prompt_tokens: 7,
      completion_tokens: 9,
      total_tokens: 16,
      prompt_tokens_details: { cached_tokens: 2 },
    });
    expect(body.mlo.cache).toEqual({ live: 0, retained: 2, disk: 0, evaluated: 5 });
    const [first, second] = inference.generateCalls;
    // The very object: it is sent to the engine once (protocol/prompt-reuse.ts).
    expect(second?.request.prompt).toBe(first?.request.prompt as never);
  });

  test("of one piece share the room for log probabilities; a stream needs none", async () => {
    const { post, inference } = createSeedApp();
    const scored = { prompt: ["a", "b"], n: 2, logprobs: 5 };
    await readJson(await post(TEXT, scored));
    await readFrames(await post(TEXT, { ...scored, stream: true }));
    await readJson(await post(TEXT, { prompt: "a" }));
    const limits = inference.generateCalls.map(({ request }) => request.logprobsMax);
    expect(limits).toEqual([...Array(4).fill(2 ** 18), ...Array(5).fill(undefined)]);
  });

  test("without a seed all are random", async () => {
    const { post, inference } = createTestApp();
    await post(CHAT, { ...HELLO, n: 16 });
    expect(inference.generateCalls).toHaveLength(16);
    expect(inference.generateCalls.every(({ request }) => request.sampling.seed === undefined)).toBe(true);
  });

  test.each([true, false])("a stream mixes them, with one total at its end (include_usage: %p)", async (usage) => {
    const { post } = createSeedApp();
    const options = usage ? { stream_options: { include_usage: true } } : {};
    const frames = await readFrames(await post(CHAT, { ...HELLO, n: 3, seed: 5, stream: true, ...options }));
    expect(frames.slice(0, 3).map(({ choices }) => [choices[0].index, choices[0].delta.role])).toEqual([
      [0, "assistant"],
      [1, "assistant"],
      [2, "assistant"],
    ]);
    expect(joinTexts(frames, ({ delta }) => delta.content)).toEqual(["seed 5", "seed 6", "seed 7"]);
    const finished = frames.flatMap((frame) => (frame.choices?.[0]?.finish_reason ? [frame.choices[0].index] : []));
    expect(finished.sort()).toEqual([0, 1, 2]);
    expect(frames.filter((frame) => frame === "[DONE]")).toHaveLength(1);
    expect(frames.at(-1)).toBe("[DONE]");
    expect(frames.filter((frame) => frame.mlo !== undefined)).toEqual([frames.at(-2)]);
    expect(frames.filter((frame) => frame.usage)).toHaveLength(usage ? 1 : 0);
    if (usage) expect(frames.at(-2)).toMatchObject({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 9 } });
    // They come in turn, not one after the other.
    expect(frames.slice(3, 6).map(({ choices }) => choices[0].index)).toEqual([0, 1, 2]);
  });

  test("calls of all choices have ids of their own, and each choice names its calls", async () => {
    const { post, inference } = createTestApp();
    inference.script = playEvents(
      { type: "delta", toolCalls: [{ index: 0, name: "f" }] },
      { type: "delta", toolCalls: [{ index: 0, arguments: "{}" }] },
      DONE_EVENT,
    );
    const whole = await readJson(await post(CHAT, { ...HELLO, n: 2 }));
    const ids = whole.choices.map((choice: Json) => choice.message.tool_calls[0].id);
    expect(new Set(ids).size).toBe(2);
    const frames = await readFrames(await post(CHAT, { ...HELLO, n: 2, stream: true }));
    const named = frames.flatMap((frame) => frame.choices?.[0]?.delta.tool_calls ?? []).filter((call: Json) => call.id);
    expect(named.map((call: Json) => call.function.name)).toEqual(["f", "f"]);
    expect(new Set(named.map((call: Json) => call.id)).size).toBe(2);
  });
});

describe("completions", () => {
  test("choice j of prompt i has the index i * n + j, and seeds count up in each prompt", async () => {
    const { post, inference } = createSeedApp();
    const prompt = ["a", [1, 2], "b"];
    const body = await readJson(await post(TEXT, { prompt, n: 2, best_of: 2, seed: 7 }));
    expect(body.choices.map((choice: Json) => [choice.index, choice.text])).toEqual([
      [0, "seed 7"],
      [1, "seed 8"],
      [2, "seed 7"],
      [3, "seed 8"],
      [4, "seed 7"],
      [5, "seed 8"],
    ]);
    expect(body.usage).toMatchObject({ prompt_tokens: 21, completion_tokens: 18 });
    const asked = inference.generateCalls.map(({ request }) => request.prompt);
    expect(asked.filter((_, index) => index % 2 === 0)).toEqual([
      { kind: "text", text: "a" },
      { kind: "tokens", tokens: [1, 2] },
      { kind: "text", text: "b" },
    ]);
    const frames = await readFrames(await post(TEXT, { prompt, n: 2, seed: 7, stream: true }));
    expect(joinTexts(frames, ({ text }) => text)).toEqual(body.choices.map((choice: Json) => choice.text));
    expect(frames.at(-1)).toBe("[DONE]");
  });

  test("the header adds the prompts up", async () => {
    const { post, inference } = createTestApp();
    const body = { prompt: ["a", "b"], n: 2 };
    const expected = "live=0, retained=4, disk=0, evaluated=10";
    expect((await post(TEXT, body)).headers.get("X-MLO-Cache")).toBe(expected);
    const stream = await post(TEXT, { ...body, stream: true });
    expect(stream.headers.get("X-MLO-Cache")).toBe(expected);
    inference.cacheAtStart = null;
    expect((await post(TEXT, { ...body, stream: true })).headers.get("X-MLO-Cache")).toBe("queued");
  });
});

describe("they end together", () => {
  /** The choice with seed 1 fails at once, the others go on until they are aborted. */
  const FAIL_SECOND: Script = async function* (request, signal) {
    yield { type: "delta", text: "x" };
    if (request.sampling.seed === 1) {
      yield { type: "error", error: { code: "out_of_memory", message: "the cache is full" } };
      return;
    }
    const { promise, resolve } = Promise.withResolvers<GenerationEvent>();
    signal.addEventListener("abort", () => resolve({ type: "cancelled" }), { once: true });
    yield await promise;
  };

  test("when one fails: an error, or an error frame without [DONE]", async () => {
    const { post, inference, clock } = createTestApp({ requestTimeoutMs: 1000 });
    inference.script = FAIL_SECOND;
    const whole = await post(CHAT, { ...HELLO, n: 3, seed: 0 });
    expect(await readError(whole)).toMatchObject({ status: 503, code: "out_of_memory" });
    const frames = await readFrames(await post(CHAT, { ...HELLO, n: 3, seed: 0, stream: true }));
    expect(frames.at(-1)).toMatchObject({ error: { code: "out_of_memory", message: "the cache is full" } });
    expect(inference.generateCalls.every(({ signal }) => signal.aborted)).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  test("when one prompt is refused, before any byte", async () => {
    const { post, inference } = createTestApp();
    const generate = inference.generate.bind(inference);
    inference.generate = async (model, request, signal) => {
      const generation = await generate(model, request, signal);
      if (request.prompt.kind !== "text" || request.prompt.text !== "long") return generation;
      throw new AppError({ code: "context_length_exceeded", message: "too long" });
    };
    const response = await post(TEXT, { prompt: ["short", "long"], n: 2, stream: true });
    expect(await readError(response)).toMatchObject({ status: 400, code: "context_length_exceeded" });
    expect(inference.generateCalls).toHaveLength(4);
    expect(inference.generateCalls.every(({ signal }) => signal.aborted)).toBe(true);
  });

  test("when the client leaves, also those that still queue", async () => {
    const { post, inference, clock } = createTestApp({ requestTimeoutMs: 60_000 });
    let returned = 0;
    inference.script = async function* () {
      try {
        for (;;) yield { type: "delta", text: "x" };
      } finally {
        returned++;
      }
    };
    const generate = inference.generate.bind(inference);
    const queued = Promise.withResolvers<Generation>();
    inference.generate = async (model, request, signal) => {
      const generation = await generate(model, request, signal);
      if (request.sampling.seed !== 2) return generation;
      signal.addEventListener("abort", () => queued.reject(new AppError({ code: "cancelled", message: "left" })));
      return queued.promise;
    };
    // The stream begins although the third choice has no place yet.
    const response = await post(CHAT, { ...HELLO, n: 3, seed: 0, stream: true });
    expect(response.status).toBe(200);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (let read = 0; read < 4; read++) await reader.read();
    await reader.cancel();
    await settle();
    expect(inference.generateCalls.map(({ signal }) => signal.aborted)).toEqual([true, true, true]);
    expect(returned).toBe(2);
    expect(clock.pendingTimers).toBe(0);
  });

  test("after the end of all a late abort reaches nobody", async () => {
    const { post, inference, clock } = createTestApp({ requestTimeoutMs: 1000 });
    const client = new AbortController();
    await (await post(CHAT, { ...HELLO, n: 3, stream: true }, { signal: client.signal })).text();
    await (await post(CHAT, { ...HELLO, n: 3 }, { signal: client.signal })).text();
    expect(clock.pendingTimers).toBe(0);
    client.abort();
    expect(inference.generateCalls.some(({ signal }) => signal.aborted)).toBe(false);
  });

  test("a reader that reads nothing pulls nothing", async () => {
    const { post, inference } = createTestApp();
    let pulled = 0;
    inference.script = async function* () {
      for (;;) {
        pulled++;
        yield { type: "delta", text: "x" };
      }
    };
    const response = await post(CHAT, { ...HELLO, n: 4, stream: true });
    await settle();
    expect(pulled).toBeLessThanOrEqual(8);
    await response.body?.cancel();
  });
});
