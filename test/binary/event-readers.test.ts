// Who listens to the compiled binary's events: over both ways, more than may, with frames that are none, and without reading. The
// server answers others all the while, forgets who is gone, and stops when it is told to.

import { expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolder, startBinary, waitFor } from "../support/binary.ts";
import { DEMO_PATH } from "../support/fake-inference.ts";
import { makeRandom } from "../support/random.ts";
import { encodeFrame, OPCODES, RawWebSocket } from "../support/raw-websocket.ts";
import type { Server } from "../support/server.ts";

const READERS_MAX = 64;

interface Watched {
  server: Server;
  /** A model appears, which is an event. */
  publish(): void;
}

async function watch(home: string): Promise<Watched> {
  const files = join(home, "model-files");
  mkdirSync(files);
  let count = 0;
  const publish = (): void => {
    writeFileSync(join(files, `m${count}.yaml`), `model_id: m${count}\npath: ${DEMO_PATH}\n`);
    count += 1;
  };
  // With a model there the built-in one is not listed: it does not go with the first event then.
  publish();
  return { server: await startBinary({ env: { MODEL_CONFIG_DIR: files } }), publish };
}

async function openSocket(url: string): Promise<RawWebSocket> {
  const socket = new RawWebSocket(url, "/api/ws?topics=models");
  expect(await socket.head).toStartWith("HTTP/1.1 101");
  expect((await socket.json()).type).toBe("subscribed");
  return socket;
}

async function isWell(url: string): Promise<boolean> {
  return (await fetch(`${url}/health`)).ok;
}

/** Both ways, whichever is free. */
async function countRefused(url: string, attempts: number): Promise<number> {
  const statuses = await Promise.all(
    Array.from({ length: attempts }, async (_, at) => {
      if (at % 2 === 0) {
        const { status, body } = await fetch(`${url}/api/events`);
        await body?.cancel();
        return status;
      }
      const socket = new RawWebSocket(url, "/api/ws");
      const [, status] = (await socket.head).split(" ");
      socket.socket.destroy();
      return Number(status);
    }),
  );
  return statuses.filter((status) => status === 503).length;
}

test("a flood of readers is refused, costs nobody else anything, and is forgotten", async () => {
  using home = makeFolder();
  const { server, publish } = await watch(home.path);
  try {
    const stop = new AbortController();
    const streams: Response[] = [];
    const sockets: RawWebSocket[] = [];
    for (let n = 0; n < READERS_MAX / 2; n++) {
      streams.push(await fetch(`${server.url}/api/events?topics=models`, { signal: stop.signal }));
      sockets.push(await openSocket(server.url));
    }
    expect(streams.every(({ status }) => status === 200)).toBe(true);
    expect(await countRefused(server.url, 400)).toBe(400);
    expect(await isWell(server.url)).toBe(true);
    publish();
    const told = await Promise.all(sockets.map((socket) => socket.json()));
    expect(new Set(told.map(({ data }) => data.id))).toEqual(new Set(["m1"]));
    stop.abort();
    for (const { socket } of sockets) socket.destroy();
    await waitFor("all are forgotten", async () => (await countRefused(server.url, 1)) === 0);
    const again = await Promise.all(Array.from({ length: 40 }, () => openSocket(server.url)));
    for (const { socket } of again) socket.destroy();
  } finally {
    await server.stop();
  }
}, 120_000);

test("frames that are none end their own connection alone", async () => {
  using home = makeFolder();
  const { server, publish } = await watch(home.path);
  try {
    const good = await openSocket(server.url);
    const random = makeRandom(7);
    for (let round = 0; round < 10; round++) {
      const bad = await Promise.all(Array.from({ length: 20 }, () => openSocket(server.url)));
      for (const socket of bad) {
        const noise = Buffer.from(Array.from({ length: 1 + random(300) }, () => random(256)));
        // Half of it begins as a frame of text does.
        socket.socket.write(random(2) === 0 ? noise : Buffer.concat([encodeFrame(OPCODES.text, "{"), noise]));
        socket.socket.end();
      }
      await Promise.all(bad.map(({ ended }) => ended));
    }
    expect(await isWell(server.url)).toBe(true);
    publish();
    expect((await good.json()).data).toEqual({ type: "listed", id: "m1" });
  } finally {
    await server.stop();
  }
}, 120_000);

test("readers that read nothing do not hold the server, nor its end", async () => {
  using home = makeFolder();
  const { server, publish } = await watch(home.path);
  const paused = await Promise.all(Array.from({ length: 60 }, () => openSocket(server.url)));
  for (const { socket } of paused) socket.pause();
  const reading = await openSocket(server.url);
  publish();
  expect((await reading.json()).data.id).toBe("m1");
  // It is asked to end, and killed where it does not in time.
  await server.stop();
  expect(server.exitCode()).toBe(0);
  expect(await reading.next()).toMatchObject({ opcode: OPCODES.close });
  for (const { socket } of paused) socket.destroy();
  rmSync(join(home.path, "model-files"), { recursive: true, force: true });
}, 120_000);
