// Streams that go on without their client: cut anywhere and resumed they are what they would have been, in every dialect
// of server-sent events; and what nobody comes back for ends.

import { describe, expect, test } from "bun:test";
import { FrameLog } from "../../src/api/frame-log.ts";
import { OPENAI_WIRE } from "../../src/api/stream-wire.ts";
import { KeptStream } from "../../src/api/streams/kept-stream.ts";
import type { GenerationEvent } from "../../src/protocol/generation.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { DONE_EVENT, playEvents, playText, SOME_CACHE } from "../support/fake-inference.ts";
import { createTestApp, parseFrames, readError, settle, type TestApp } from "../support/http-app.ts";

const MESSAGES = [{ role: "user", content: "Hello!" }];
const RESUME = { "X-MLO-Resume": "60" };
const PIECES = ["Hél", "lo ", "😀", "\n\ndata: x\n\n", "end"];

const ROUTES: [string, string, object][] = [
  ["chat", "/v1/chat/completions", { messages: MESSAGES }],
  ["completions", "/v1/completions", { prompt: "Hello" }],
  ["messages", "/v1/messages", { messages: MESSAGES, max_tokens: 9 }],
];

const start = async ({ post }: TestApp, path: string, body: object): Promise<Response> => {
  return await post(path, { ...body, stream: true }, { headers: RESUME });
};

/** The number of the last event that is whole in this text; null for none. */
function lastWhole(text: string): string | null {
  const whole = text.slice(0, text.lastIndexOf("\n\n") + 2);
  return (
    whole
      .match(/^id: (\d+)$/gm)
      ?.at(-1)
      ?.slice(4) ?? null
  );
}

describe.each(ROUTES)("a stream of %s", (_, path, body) => {
  test("cut at any byte and resumed, it equals the uncut one", async () => {
    const app = createTestApp();
    app.inference.script = playText(...PIECES);
    const response = await start(app, path, body);
    const id = response.headers.get("X-MLO-Stream");
    const whole = Buffer.from(await response.arrayBuffer());
    expect(whole.toString().match(/^id: /gm)?.length).toBeGreaterThanOrEqual(PIECES.length);
    for (let cut = 0; cut <= whole.length; cut++) {
      const seen = whole.subarray(0, cut).toString();
      const last = lastWhole(seen);
      const kept = last === null ? "" : seen.slice(0, seen.lastIndexOf("\n\n") + 2);
      const rest = await app.get(`/api/streams/${id}`, last === null ? {} : { "Last-Event-ID": last });
      expect(kept + (await rest.text())).toBe(whole.toString());
    }
  });

  test("without the header its frames have no ids, and with it they say the same", async () => {
    const app = createTestApp();
    app.inference.script = playText(...PIECES);
    const plain = await (await app.post(path, { ...body, stream: true })).text();
    expect(plain).not.toContain("id: 0\n");
    const resumable = await (await start(app, path, body)).text();
    const withoutIds = resumable.replaceAll(/^id: \d+\n/gm, "");
    const blank = (text: string): string => text.replaceAll(/"(id|created)":("[^"]*"|\d+)/g, "");
    expect(blank(withoutIds)).toBe(blank(plain));
  });
});

function createManualApp() {
  const app = createTestApp();
  const waiting: ((event: GenerationEvent) => void)[] = [];
  app.inference.script = async function* (_, signal) {
    yield { type: "started", promptTokens: 7, cache: SOME_CACHE };
    for (;;) {
      const { promise, resolve } = Promise.withResolvers<GenerationEvent>();
      signal.addEventListener("abort", () => resolve({ type: "cancelled" }), { once: true });
      waiting.push(resolve);
      const event = await promise;
      yield event;
      if (event.type !== "delta") return;
    }
  };
  const emit = async (event: GenerationEvent): Promise<void> => {
    await settle();
    waiting.shift()?.(event);
    await settle();
  };
  const isAborted = (): boolean => app.inference.generateCalls[0]?.signal.aborted === true;
  return { app, emit, isAborted };
}

const delta = (text: string): GenerationEvent => ({ type: "delta", text });

describe("a client that leaves", () => {
  test("finds the generation going on, with what it missed and what follows", async () => {
    const { app, emit, isAborted } = createManualApp();
    const client = new AbortController();
    const response = await app.post(
      "/v1/completions",
      { prompt: "Hello", stream: true },
      {
        headers: RESUME,
        signal: client.signal,
      },
    );
    const id = response.headers.get("X-MLO-Stream");
    await emit(delta("one"));
    await response.body?.cancel();
    client.abort();
    await emit(delta("two"));
    expect(isAborted()).toBe(false);
    const rest = (await app.get(`/api/streams/${id}`, { "Last-Event-ID": "0" })).text();
    await emit(delta("three"));
    await emit(DONE_EVENT);
    const frames = parseFrames((await rest).replaceAll(/^id: \d+\n/gm, ""));
    expect(frames.slice(0, 2).map(({ choices }) => choices[0].text)).toEqual(["two", "three"]);
    expect(frames.at(-1)).toBe("[DONE]");
  });

  test("and does not come back in its time ends it, and it is forgotten", async () => {
    const { app, emit, isAborted } = createManualApp();
    const response = await start(app, "/v1/completions", { prompt: "Hello" });
    const id = response.headers.get("X-MLO-Stream");
    await emit(delta("one"));
    await response.body?.cancel();
    app.clock.advance(59_000);
    expect(isAborted()).toBe(false);
    app.clock.advance(1000);
    await settle();
    expect(isAborted()).toBe(true);
    expect(await readError(await app.get(`/api/streams/${id}`))).toMatchObject({ status: 404, code: "not_found" });
    expect(app.clock.pendingTimers).toBe(0);
  });

  test("before its prompt is accepted ends it", async () => {
    const app = createTestApp();
    app.inference.script = () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) });
    const client = new AbortController();
    client.abort();
    const response = await app.post(
      "/v1/completions",
      { prompt: "x", stream: true },
      {
        headers: RESUME,
        signal: client.signal,
      },
    );
    expect(await readError(response)).toMatchObject({ status: 499, code: "cancelled" });
  });

  test("keeps its time only while nobody reads", async () => {
    const { app, emit, isAborted } = createManualApp();
    const first = await start(app, "/v1/completions", { prompt: "Hello" });
    const id = first.headers.get("X-MLO-Stream");
    const second = await app.get(`/api/streams/${id}`);
    await first.body?.cancel();
    app.clock.advance(120_000);
    expect(isAborted()).toBe(false);
    const text = second.text();
    await emit(DONE_EVENT);
    expect(parseFrames((await text).replaceAll(/^id: \d+\n/gm, "")).at(-1)).toBe("[DONE]");
    app.clock.advance(59_000);
    expect((await app.get(`/api/streams/${id}`, { "Last-Event-ID": "0" })).status).toBe(200);
  });

  test("may be told that it is deleted", async () => {
    const { app, emit, isAborted } = createManualApp();
    const response = await start(app, "/v1/completions", { prompt: "Hello" });
    const id = response.headers.get("X-MLO-Stream");
    await emit(delta("one"));
    const path = `http://localhost:9000/api/streams/${id}`;
    const deleted = await app.app.handle(new Request(path, { method: "DELETE" }));
    expect(await deleted.json()).toEqual({ id, deleted: true });
    expect(isAborted()).toBe(true);
    expect(await response.text()).toContain("one");
    expect(app.clock.pendingTimers).toBe(0);
    expect((await app.app.handle(new Request(path, { method: "DELETE" }))).status).toBe(404);
  });
});

test("HEAD of a stream that runs answers at once, and reads nothing", async () => {
  const { app, emit, isAborted } = createManualApp();
  const response = await start(app, "/v1/completions", { prompt: "Hello" });
  const id = response.headers.get("X-MLO-Stream");
  await emit(delta("one"));
  const head = await app.app.handle(new Request(`http://localhost:9000/api/streams/${id}`, { method: "HEAD" }));
  expect(head.status).toBe(200);
  expect(head.headers.get("Content-Type")).toContain("text/event-stream");
  expect(head.body).toBeNull();
  await response.body?.cancel();
  app.clock.advance(60_000);
  await settle();
  expect(isAborted()).toBe(true);
});

describe("what is refused", () => {
  test.each(["0", "-1", "3601", "1.5", "soon", "", "99999999"])("X-MLO-Resume: %s", async (value) => {
    const { post, inference } = createTestApp();
    // Also where no stream is asked for, which takes no notice of a right one.
    for (const stream of [true, false]) {
      const headers = { "X-MLO-Resume": value };
      const response = await post("/v1/completions", { prompt: "x", stream }, { headers });
      expect(await readError(response)).toMatchObject({ status: 400, code: "invalid_request", param: "X-MLO-Resume" });
    }
    expect(inference.generateCalls).toEqual([]);
  });

  test.each(["99", "-1", "x", "1e3", "1234567890"])("Last-Event-ID: %s", async (value) => {
    const app = createTestApp();
    const response = await start(app, "/v1/completions", { prompt: "x" });
    await response.text();
    const id = response.headers.get("X-MLO-Stream");
    const resumed = await app.get(`/api/streams/${id}`, { "Last-Event-ID": value });
    expect(await readError(resumed)).toMatchObject({ status: 400, code: "invalid_request", param: "Last-Event-ID" });
  });

  test("lines of JSON, which have no ids", async () => {
    const { post, inference } = createTestApp();
    const body = { model: "demo", messages: MESSAGES };
    const response = await post("/api/chat", body, { headers: RESUME });
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: string }).error).toContain("X-MLO-Resume");
    expect(inference.generateCalls.every(({ signal }) => signal.aborted)).toBe(true);
  });

  test("a whole answer takes no notice of it", async () => {
    const { post } = createTestApp();
    const response = await post("/v1/completions", { prompt: "x" }, { headers: RESUME });
    expect(response.status).toBe(200);
    expect(response.headers.get("X-MLO-Stream")).toBeNull();
  });

  test("more streams than there may be, also when they begin at the same time", async () => {
    const { app } = createManualApp();
    const responses = await Promise.all(
      Array.from({ length: 140 }, () => start(app, "/v1/completions", { prompt: "x" })),
    );
    expect(responses.filter(({ status }) => status === 503)).toHaveLength(12);
    expect(app.inference.generateCalls.filter(({ signal }) => signal.aborted)).toHaveLength(12);
    for (const response of responses) await response.body?.cancel();
  });

  test("more streams than there may be; those that have ended make room", async () => {
    const { app } = createManualApp();
    const responses: Response[] = [];
    for (let i = 0; i < 128; i++) responses.push(await start(app, "/v1/completions", { prompt: "x" }));
    const refused = await start(app, "/v1/completions", { prompt: "x" });
    expect(await readError(refused)).toMatchObject({ status: 503, code: "overloaded" });
    const id = responses[0]?.headers.get("X-MLO-Stream");
    await app.app.handle(new Request(`http://localhost:9000/api/streams/${id}`, { method: "DELETE" }));
    expect((await start(app, "/v1/completions", { prompt: "x" })).status).toBe(200);
    app.inference.script = playEvents(DONE_EVENT);
    for (const response of responses) await response.body?.cancel();
  });
});

describe("a stream that is too long to be kept", () => {
  test("tells its readers, and its generation ends", async () => {
    const clock = new FakeClock();
    let abandoned = "";
    const stream = new KeptStream({
      id: "strm-1",
      source: {
        keepAlive: "",
        open: () => "",
        next: async () => ({ text: `data: ${"x".repeat(100)}\n\n`, ended: false }),
        abandon: ({ code }) => {
          abandoned = code;
        },
      },
      wire: OPENAI_WIRE,
      keepMs: 1000,
      clock,
      onForget: () => {},
      charsMax: 1000,
    });
    const reader = stream.follow(-1);
    let text = "";
    for (let ended = false; !ended; ) {
      const piece = await reader.next();
      text += piece.text;
      ended = piece.ended;
    }
    expect(text.match(/^id: \d+$/gm)?.length).toBe(8);
    const [last] = parseFrames(text.slice(text.lastIndexOf("data: ")));
    expect(last).toMatchObject({ error: { code: "not_supported" } });
    expect(abandoned).toBe("not_supported");
    expect(stream.isGoing).toBe(false);
  });

  test("the log never holds more than it may", () => {
    const log = new FrameLog(10, () => "full");
    log.append(["12345", "1234", "12", "1"]);
    expect(log.frames).toEqual(["12345", "1234"]);
    expect(log.chars).toBe(9);
  });
});
