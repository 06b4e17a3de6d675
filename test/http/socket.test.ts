import { afterEach, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { createApp } from "../../src/api/app.ts";
import { listen, type RunningServer } from "../../src/api/listen.ts";
import { DEFAULT_API_OPTIONS } from "../../src/api/options.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { EventBus } from "../../src/lib/event-bus.ts";
import { silentLogger } from "../../src/lib/log.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { EventTopic } from "../../src/protocol/events.ts";
import { State } from "../../src/state/state.ts";
import { FakeConversions } from "../support/fake-conversions.ts";
import { FakeHub } from "../support/fake-hub.ts";
import { FakeInference } from "../support/fake-inference.ts";
import { FakePlanner } from "../support/fake-planner.ts";
import { fakeUploads, judgeAnswers } from "../support/http-app.ts";
import { fakeHardware } from "../support/machines.ts";

const STREAM = JSON.stringify({ messages: [{ role: "user", content: "Hello!" }], stream: true });

/** Bun holds about 4 MiB for a socket that nobody reads; the kernel some more. */
const UNREAD_BYTES_MAX = 24 * 1024 * 1024;
const PIECE = "x".repeat(16_384);

let running: RunningServer | null = null;
let client: Socket | null = null;

afterEach(async () => {
  client?.destroy();
  await running?.stop(false);
  running = null;
});

function start(inference: FakeInference): RunningServer {
  const state = new State({ folder: null, log: silentLogger, clock: systemClock });
  const events = new EventBus<EventTopic>(() => systemClock.wallMs());
  const fakes = { hub: new FakeHub(), conversions: new FakeConversions(), planner: new FakePlanner() };
  const parts = { ...fakes, ...fakeHardware(), events, uploads: fakeUploads() };
  const app = judgeAnswers(createApp({ inference, ...parts, state, options: DEFAULT_API_OPTIONS, log: silentLogger }));
  running = listen(app, { host: "127.0.0.1", port: 0 });
  return running;
}

function openStream(port: number): Socket {
  client = connect(port, "127.0.0.1");
  client.write(
    `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${STREAM.length}\r\n\r\n${STREAM}`,
  );
  return client;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = Date.now() + 5000;
  while (!condition()) {
    if (Date.now() > endMs) throw new Error(`did not happen in time: ${what}`);
    await Bun.sleep(10);
  }
}

test("a client that reads nothing holds a bounded buffer, and its leaving aborts the generation", async () => {
  const inference = new FakeInference();
  let pulled = 0;
  let returned = false;
  inference.script = async function* () {
    try {
      for (;;) {
        pulled++;
        await Bun.sleep(0);
        yield { type: "delta", text: PIECE };
      }
    } finally {
      returned = true;
    }
  };
  const socket = openStream(start(inference).port);
  socket.pause();
  await until(() => pulled > 10, "the stream starts");
  let before = -1;
  while (before !== pulled) {
    before = pulled;
    await Bun.sleep(300);
    expect(pulled * PIECE.length).toBeLessThan(UNREAD_BYTES_MAX);
  }
  socket.destroy();
  await until(() => inference.generateCalls[0]?.signal.aborted === true, "the signal fires");
  await until(() => returned, "the source is returned");
});

test("a client that leaves while nothing is sent aborts the generation, streamed or not", async () => {
  const inference = new FakeInference();
  inference.script = async function* (_, signal) {
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    yield { type: "cancelled" };
  };
  const { port, url } = start(inference);
  const socket = openStream(port);
  await until(() => inference.generateCalls.length === 1, "the request arrives");
  socket.destroy();
  await until(() => inference.generateCalls[0]?.signal.aborted === true, "the stream's signal fires");
  const leaving = new AbortController();
  const body = JSON.stringify({ messages: [{ role: "user", content: "x" }] });
  const whole = fetch(`${url}/v1/chat/completions`, { method: "POST", body, signal: leaving.signal });
  await until(() => inference.generateCalls.length === 2, "the second request arrives");
  leaving.abort();
  expect(await whole.catch((thrown: Error) => thrown.name)).toBe("AbortError");
  await until(() => inference.generateCalls[1]?.signal.aborted === true, "the whole answer's signal fires");
});

test("the app answers over a real socket, errors with their envelope", async () => {
  const { url } = start(new FakeInference());
  expect((await fetch(`${url}/health`)).status).toBe(200);
  const foreign = await fetch(`${url}/health`, { headers: { Host: "evil.example" } });
  expect(foreign.status).toBe(403);
  const large = await fetch(`${url}/v1/embeddings`, { method: "POST", body: new Uint8Array(33 * 1024 * 1024) });
  expect(large.status).toBe(413);
  expect(await large.json()).toMatchObject({ error: { code: "payload_too_large" } });
  const stream = await fetch(`${url}/v1/chat/completions`, { method: "POST", body: STREAM });
  expect(await stream.text()).toEndWith("data: [DONE]\n\n");
});

test("a graceful stop lets a stream in progress end", async () => {
  const inference = new FakeInference();
  const gate = Promise.withResolvers<void>();
  inference.script = async function* () {
    yield { type: "delta", text: "a" };
    await gate.promise;
    yield { type: "error", error: { code: "internal", message: "the end" } };
  };
  const server = start(inference);
  const response = await fetch(`${server.url}/v1/chat/completions`, { method: "POST", body: STREAM });
  const stopped = server.stop(true);
  gate.resolve();
  expect(await response.text()).toContain("the end");
  await stopped;
  expect(await fetch(server.url).catch(() => "refused")).toBe("refused");
});

test("a port in use is an error that names --port", () => {
  const { port } = start(new FakeInference());
  try {
    listen({ handle: async () => new Response() }, { host: "127.0.0.1", port });
    throw new Error("the second listener got the port");
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(AppError);
    expect((thrown as AppError).message).toBe(`127.0.0.1:${port} is in use by another program`);
    expect((thrown as AppError).hint).toContain("--port");
  }
});
