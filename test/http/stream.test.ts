import { expect, test } from "bun:test";
import type { GenerationEvent } from "../../src/protocol/generation.ts";
import { DONE_EVENT, type Script } from "../support/fake-inference.ts";
import { createTestApp, parseFrames, readError, settle } from "../support/http-app.ts";

const PATH = "/v1/chat/completions";
const STREAM = { messages: [{ role: "user", content: "Hello!" }], stream: true };
const WHOLE = { messages: STREAM.messages };

/** A source that waits for the test's hand, and ends when it is aborted. */
function createManualSource() {
  const waiting: { resolve: (event: GenerationEvent) => void }[] = [];
  const script: Script = async function* (_, signal) {
    for (;;) {
      const { promise, resolve } = Promise.withResolvers<GenerationEvent>();
      signal.addEventListener("abort", () => resolve({ type: "cancelled" }), { once: true });
      waiting.push({ resolve });
      const event = await promise;
      yield event;
      if (event.type === "done" || event.type === "cancelled") return;
    }
  };
  return { script, emit: (event: GenerationEvent) => waiting.shift()?.resolve(event) };
}

function readChunks(response: Response) {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  return {
    reader,
    async next(): Promise<string | null> {
      const step = await reader.read();
      return step.done ? null : new TextDecoder().decode(step.value);
    },
  };
}

test("silence is filled with comments, and no event is lost over it", async () => {
  const { post, inference, clock } = createTestApp({ keepAliveMs: 15_000 });
  const source = createManualSource();
  inference.script = source.script;
  const stream = readChunks(await post(PATH, STREAM));
  expect(parseFrames((await stream.next()) ?? "")[0].choices[0].delta.role).toBe("assistant");
  const silent = stream.next();
  await settle();
  clock.advance(15_000);
  expect(await silent).toBe(": keep-alive\n\n");
  const spoken = stream.next();
  await settle();
  source.emit({ type: "delta", text: "hi" });
  expect(parseFrames((await spoken) ?? "")[0].choices[0].delta).toEqual({ content: "hi" });
  const last = stream.next();
  await settle();
  source.emit(DONE_EVENT);
  expect(parseFrames((await last) ?? "").at(-1)).toBe("[DONE]");
  expect(await stream.next()).toBeNull();
  expect(clock.pendingTimers).toBe(0);
});

test("nothing is pulled beyond what the reader asks for", async () => {
  const { post, inference } = createTestApp();
  let pulled = 0;
  inference.script = async function* () {
    for (;;) {
      pulled++;
      yield { type: "delta", text: "x" };
    }
  };
  const stream = readChunks(await post(PATH, STREAM));
  await settle();
  expect(pulled).toBeLessThanOrEqual(2);
  for (let read = 0; read < 10; read++) await stream.next();
  await settle();
  expect(pulled).toBeLessThanOrEqual(12);
  await stream.reader.cancel();
});

test("a reader that leaves aborts the signal and returns the source", async () => {
  const { post, inference, clock } = createTestApp({ requestTimeoutMs: 60_000 });
  let returned = false;
  inference.script = async function* () {
    try {
      for (;;) yield { type: "delta", text: "x" };
    } finally {
      returned = true;
    }
  };
  const stream = readChunks(await post(PATH, STREAM));
  await stream.next();
  await stream.reader.cancel();
  await settle();
  expect(inference.generateCalls[0]?.signal.aborted).toBe(true);
  expect(returned).toBe(true);
  expect(clock.pendingTimers).toBe(0);
});

test("a client's abort ends a whole answer, even when the source ignores it", async () => {
  const { post, inference } = createTestApp();
  inference.script = () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) });
  const client = new AbortController();
  const answer = post(PATH, WHOLE, { signal: client.signal });
  await settle();
  client.abort();
  expect(await readError(await answer)).toMatchObject({ status: 499, code: "cancelled" });
  expect(inference.generateCalls[0]?.signal.aborted).toBe(true);
});

test("the request timeout is 504, or an error frame in a stream", async () => {
  const { post, inference, clock } = createTestApp({ requestTimeoutMs: 1000, keepAliveMs: 5000 });
  inference.script = createManualSource().script;
  const answer = post(PATH, WHOLE);
  await settle();
  clock.advance(1000);
  expect(await readError(await answer)).toMatchObject({ status: 504, code: "timeout" });
  const stream = await post(PATH, STREAM);
  const text = stream.text();
  await settle();
  clock.advance(1000);
  expect(parseFrames(await text).at(-1)).toMatchObject({ error: { code: "timeout" } });
  expect(inference.generateCalls.every((call) => call.signal.aborted)).toBe(true);
});

test("the timeout covers the wait before the first event", async () => {
  const { post, inference, clock } = createTestApp({ requestTimeoutMs: 1000 });
  inference.generate = () => new Promise(() => {});
  const answer = post(PATH, STREAM);
  await settle();
  clock.advance(1000);
  expect(await readError(await answer)).toMatchObject({ status: 504, code: "timeout" });
});

test("a reader that stalls is given up after the stall time", async () => {
  const { post, inference, clock } = createTestApp({ streamStallMs: 2000 });
  inference.script = async function* () {
    for (;;) yield { type: "delta", text: "x" };
  };
  const stream = readChunks(await post(PATH, STREAM));
  await stream.next();
  await settle();
  clock.advance(1999);
  expect(inference.generateCalls[0]?.signal.aborted).toBe(false);
  clock.advance(1);
  expect(inference.generateCalls[0]?.signal.aborted).toBe(true);
});

test("after its end a request leaves no timer, and a late abort reaches nobody", async () => {
  const { post, inference, clock } = createTestApp({ requestTimeoutMs: 1000 });
  const client = new AbortController();
  await (await post(PATH, STREAM, { signal: client.signal })).text();
  await (await post(PATH, WHOLE, { signal: client.signal })).text();
  await (await post("/v1/embeddings", { input: "a" }, { signal: client.signal })).text();
  expect(clock.pendingTimers).toBe(0);
  client.abort();
  expect(inference.generateCalls.some((call) => call.signal.aborted)).toBe(false);
});

test("a cancellation from inside is a frame that says so", async () => {
  const { post, inference } = createTestApp();
  inference.script = async function* () {
    yield { type: "cancelled" };
  };
  const frames = parseFrames(await (await post(PATH, STREAM)).text());
  expect(frames.at(-1)).toMatchObject({ error: { code: "cancelled" } });
});
