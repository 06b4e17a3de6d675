// GET /api/ws over real sockets: events as they happen, other topics by a message, and clients that are wrong, loud or slow.

import { afterEach, describe, expect, test } from "bun:test";
import { createApp } from "../../src/api/app.ts";
import { listen, type RunningServer } from "../../src/api/listen.ts";
import { type ApiOptions, DEFAULT_API_OPTIONS } from "../../src/api/options.ts";
import { EventBus } from "../../src/lib/event-bus.ts";
import { silentLogger } from "../../src/lib/log.ts";
import { EVENT_TOPICS, type EventTopic } from "../../src/protocol/events.ts";
import { State } from "../../src/state/state.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { FakeConversions } from "../support/fake-conversions.ts";
import { FakeHub } from "../support/fake-hub.ts";
import { FakeInference } from "../support/fake-inference.ts";
import { FakePlanner } from "../support/fake-planner.ts";
import { createTestApp, fakeUploads, readError, settle } from "../support/http-app.ts";
import { fakeHardware } from "../support/machines.ts";
import { encodeFrame, HANDSHAKE, OPCODES, RawWebSocket } from "../support/raw-websocket.ts";

let running: RunningServer | null = null;
const sockets: RawWebSocket[] = [];

afterEach(async () => {
  for (const { socket } of sockets.splice(0)) socket.destroy();
  await running?.stop(false);
  running = null;
});

interface Served {
  url: string;
  events: EventBus<EventTopic>;
  clock: FakeClock;
  server: RunningServer;
}

function serve(changes: Partial<ApiOptions> = {}): Served {
  const clock = new FakeClock();
  const events = new EventBus<EventTopic>(() => clock.wallMs());
  const state = new State({ folder: null, log: silentLogger, clock });
  const fakes = { hub: new FakeHub(), conversions: new FakeConversions(), planner: new FakePlanner() };
  const parts = { inference: new FakeInference(), ...fakes, events };
  const options = { ...DEFAULT_API_OPTIONS, ...changes };
  const app = createApp({
    ...parts,
    ...fakeHardware(),
    uploads: fakeUploads(),
    state,
    options,
    log: silentLogger,
    clock,
  });
  running = listen(app, { host: "127.0.0.1", port: 0 });
  return { url: running.url, events, clock, server: running };
}

function open({ url }: Served, path = "/api/ws", headers: Record<string, string> = { ...HANDSHAKE }): RawWebSocket {
  const socket = new RawWebSocket(url, path, headers);
  sockets.push(socket);
  return socket;
}

/** One that is heard from here on. */
async function subscribed(served: Served, query = ""): Promise<RawWebSocket> {
  const socket = open(served, `/api/ws${query}`);
  expect(await socket.head).toStartWith("HTTP/1.1 101");
  expect((await socket.json()).type).toBe("subscribed");
  return socket;
}

/** Turns of the loop, until something that happens on another thread's socket is seen here. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settle();
}

const closeCode = (payload: Buffer): number => payload.readUInt16BE(0);

describe("a socket", () => {
  test("gets the events of its topics, and others when it asks for them", async () => {
    const served = serve();
    const socket = open(served, "/api/ws?topics=models");
    expect(await socket.head).toContain("X-Request-Id: req-");
    expect(await socket.json()).toEqual({ type: "subscribed", topics: ["models"] });
    served.events.publish("convert", { id: "j" });
    served.events.publish("models", { type: "listed", id: "a" });
    const time = served.clock.wallMs();
    expect(await socket.json()).toEqual({ topic: "models", seq: 2, time, data: { type: "listed", id: "a" } });
    socket.say({ type: "subscribe", topics: ["convert", "download"] });
    expect(await socket.json()).toEqual({ type: "subscribed", topics: ["convert", "download"] });
    served.events.publish("models", {});
    served.events.publish("download", { asked: "x" });
    expect(await socket.json()).toMatchObject({ topic: "download", seq: 4 });
    socket.say({ type: "subscribe" });
    expect((await socket.json()).topics).toEqual([...EVENT_TOPICS]);
    socket.say({ type: "ping" });
    expect(await socket.json()).toEqual({ type: "pong" });
  });

  test("is what browsers and libraries open", async () => {
    const served = serve();
    const socket = new WebSocket(`${served.url.replace("http", "ws")}/api/ws?topics=convert`);
    const messages: string[] = [];
    const closed = new Promise<number>((done) => socket.addEventListener("close", ({ code }) => done(code)));
    socket.addEventListener("message", ({ data }) => {
      messages.push(JSON.parse(data).type ?? JSON.parse(data).topic);
      if (messages.length === 1) served.events.publish("convert", {});
      else socket.close();
    });
    await closed;
    expect(messages).toEqual(["subscribed", "convert"]);
    await until(() => !served.events.hasReaders("convert"));
  });

  test("that goes makes room, whether it says so or not", async () => {
    const served = serve();
    const [polite, rude] = [await subscribed(served), await subscribed(served)];
    polite.socket.write(encodeFrame(OPCODES.close));
    expect((await polite.next())?.opcode).toBe(OPCODES.close);
    rude.socket.destroy();
    await until(() => !served.events.hasReaders("models"));
  });

  test("is told that the server stops, and can't hold it", async () => {
    const served = serve();
    const [reading, paused] = [await subscribed(served), await subscribed(served)];
    paused.socket.pause();
    served.events.close();
    const frame = await reading.next();
    expect([frame?.opcode, closeCode(frame?.payload ?? Buffer.alloc(2))]).toEqual([OPCODES.close, 1001]);
    const stopped = served.server.stop(true);
    served.clock.advance(2_000);
    await stopped;
  });
});

describe("a handshake is refused", () => {
  const status = async (served: Served, path: string, headers: Record<string, string>): Promise<string> => {
    const socket = open(served, path, headers);
    return (await socket.head).split("\r\n")[0] ?? "";
  };

  test("to foreign pages and under foreign names, as everything else", async () => {
    const served = serve();
    const foreign = { ...HANDSHAKE, Origin: "https://evil.example" };
    expect(await status(served, "/api/ws", foreign)).toBe("HTTP/1.1 403 Forbidden");
    expect(await status(served, "/api/ws", { ...HANDSHAKE, Host: "evil.example" })).toBe("HTTP/1.1 403 Forbidden");
    const own = { ...HANDSHAKE, Origin: "http://localhost:5173" };
    expect(await status(served, "/api/ws", own)).toBe("HTTP/1.1 101 Switching Protocols");
    const open = serve({ corsOrigins: ["https://app.example"] });
    const named = { ...HANDSHAKE, Origin: "https://app.example" };
    expect(await status(open, "/api/ws", named)).toBe("HTTP/1.1 101 Switching Protocols");
  });

  test("for topics that there are not, and by what is no handshake", async () => {
    const served = serve();
    expect(await status(served, "/api/ws?topics=weather", HANDSHAKE)).toBe("HTTP/1.1 400 Bad Request");
    for (const [name, value] of [
      ["Sec-WebSocket-Version", "8"],
      ["Sec-WebSocket-Key", "short"],
      ["Upgrade", "h2c"],
      ["Connection", "keep-alive"],
    ] as const) {
      expect(await status(served, "/api/ws", { ...HANDSHAKE, [name]: value }), name).toBe("HTTP/1.1 400 Bad Request");
    }
    const { get, app } = createTestApp();
    expect(await readError(await get("/api/ws"))).toMatchObject({ status: 400, code: "invalid_request" });
    const head = new Request("http://localhost/api/ws", { method: "HEAD", headers: HANDSHAKE });
    expect((await app.handle(head)).status).toBe(400);
  });

  test("when too many listen, until one goes", async () => {
    const served = serve();
    const readers = Array.from({ length: 64 }, () => served.events.subscribe(["models"]));
    expect(await status(served, "/api/ws", HANDSHAKE)).toBe("HTTP/1.1 503 Service Unavailable");
    readers[0]?.close();
    await subscribed(served);
  });
});

describe("a client that is wrong", () => {
  test("is told so in words, and goes on", async () => {
    const served = serve();
    const socket = await subscribed(served);
    const said = async (message: object | string) => {
      socket.say(message);
      return (await socket.json()).error;
    };
    expect(await said("{")).toMatchObject({ code: "invalid_request", param: "type" });
    expect(await said("null")).toMatchObject({ code: "invalid_request" });
    expect(await said({ type: "shutdown" })).toMatchObject({ code: "invalid_request", param: "type" });
    expect(await said({ type: "subscribe", topics: ["weather"] })).toMatchObject({
      param: "topics",
      hint: `Topics are ${EVENT_TOPICS.join(", ")}.`,
    });
    expect(await said({ type: "subscribe", topics: [5] })).toMatchObject({ param: "topics" });
    served.events.publish("models", { id: "a" });
    expect(await socket.json()).toMatchObject({ topic: "models" });
  });

  test.each([
    ["bytes in place of text", encodeFrame(OPCODES.binary, "abc"), 1003],
    ["a message over 4 KiB", encodeFrame(OPCODES.text, "x".repeat(4097)), 1009],
    ["one in pieces over 4 KiB", piecesOf(5), 1009],
    ["a frame that claims terabytes", encodeFrame(OPCODES.text, "x", { claims: 1n << 42n }), 1009],
    ["a frame of a length below zero", encodeFrame(OPCODES.text, "x", { claims: (1n << 64n) - 1n }), 1009],
    ["an unknown opcode", encodeFrame(5, "x"), 1002],
    ["reserved bits", Buffer.from([0xf1, 0x80, 0, 0, 0, 0]), 1002],
    ["a piece of nothing", encodeFrame(OPCODES.continuation, "x"), 1002],
    ["text that is no UTF-8", encodeFrame(OPCODES.text, Buffer.from([0xc3, 0x28])), 1007],
    ["a ping that is too long", encodeFrame(OPCODES.ping, "x".repeat(200)), 1002],
  ] as const)("loses its connection by %s, and nobody else does", async (_what, bytes, code) => {
    const served = serve();
    const [bad, good] = [await subscribed(served), await subscribed(served)];
    bad.socket.write(bytes);
    const codes: number[] = [];
    for (let frame = await bad.next(); frame !== null; frame = await bad.next()) {
      if (frame.opcode === OPCODES.close && frame.payload.length >= 2) codes.push(closeCode(frame.payload));
      if (frame.opcode === OPCODES.close) bad.socket.end();
    }
    expect(codes).toEqual([code]);
    served.events.publish("models", { id: "a" });
    expect(await good.json()).toMatchObject({ topic: "models" });
    good.socket.destroy();
    await until(() => !served.events.hasReaders("models"));
  });

  test("that talks without end loses its connection", async () => {
    const served = serve();
    const socket = await subscribed(served);
    const ping = encodeFrame(OPCODES.text, '{"type":"ping"}');
    socket.socket.write(Buffer.concat(Array(60).fill(ping)));
    for (let n = 0; n < 60; n++) expect((await socket.json()).type).toBe("pong");
    served.clock.advance(10_000);
    socket.socket.write(Buffer.concat(Array(61).fill(ping)));
    for (let n = 0; n < 60; n++) expect((await socket.json()).type).toBe("pong");
    expect(closeCode((await socket.next())?.payload ?? Buffer.alloc(2))).toBe(1008);
  });
});

function piecesOf(count: number): Buffer {
  const piece = "x".repeat(1024);
  const frames = Array.from({ length: count }, (_, at) =>
    encodeFrame(at === 0 ? OPCODES.text : OPCODES.continuation, piece, { final: at === count - 1 }),
  );
  return Buffer.concat(frames);
}

describe("a reader that does not read", () => {
  const PAYLOAD = "x".repeat(64 * 1024);

  test("loses the oldest events and is told how many; the server holds no more than some", async () => {
    const served = serve();
    const socket = await subscribed(served);
    socket.socket.pause();
    const before = process.memoryUsage.rss();
    for (let n = 1; n <= 4_000; n++) {
      served.events.publish("models", { n, text: PAYLOAD });
      if (n % 100 === 0) await settle();
    }
    // All of them would take 256 MB: the socket and the bus hold far less.
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 1024 * 1024);
    socket.socket.resume();
    let [lost, got, last] = [0, 0, 0];
    while (last < 4_000) {
      const message = await socket.json();
      if (message.type === "lost") lost += message.lost;
      else {
        expect(message.data.n).toBeGreaterThan(last);
        last = message.data.n;
        got += 1;
      }
    }
    expect(lost + got).toBe(4_000);
    expect(lost).toBeGreaterThan(2_000);
  });

  test("is cut off after a while", async () => {
    const served = serve({ streamStallMs: 60_000 });
    const socket = await subscribed(served);
    socket.socket.pause();
    for (let n = 1; n <= 1_000; n++) {
      served.events.publish("models", { n, text: PAYLOAD });
      if (n % 100 === 0) await settle();
    }
    served.clock.advance(59_999);
    await settle();
    expect(served.events.hasReaders("models")).toBe(true);
    served.clock.advance(1);
    await until(() => !served.events.hasReaders("models"));
  });
});
