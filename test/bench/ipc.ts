// Round trips between two processes: the engine's socket against Bun's IPC. `bun test/bench/ipc.ts` prints JSON.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { encodeFrame } from "../../src/protocol/messages.ts";

/** The two in turn, because a machine's speed drifts. */
const RUNS = 7;
const ROUNDS = 3000;
const WARM_UP = 300;
const MESSAGE = {
  type: "events" as const,
  events: [[1, { type: "delta" as const, text: "word ".repeat(20) }]] as never,
};
const CHILD = join(import.meta.dir, "ipc-child.ts");
const LIBRARY = join(import.meta.dir, `../../build/native/libmlo.${process.platform === "darwin" ? "dylib" : "so"}`);

/** Microseconds of one round trip: the median of all. */
async function measure(round: () => Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < WARM_UP + ROUNDS; i++) {
    const started = Bun.nanoseconds();
    await round();
    if (i >= WARM_UP) times.push((Bun.nanoseconds() - started) / 1000);
  }
  return times.sort((a, b) => a - b)[times.length >> 1] ?? 0;
}

async function overSocket(): Promise<number> {
  const child = Bun.spawn([process.execPath, CHILD, LIBRARY], { stdio: ["ignore", "inherit", "inherit", "pipe"] });
  let arrived = Promise.withResolvers<void>();
  let missing = 0;
  const connect = Bun.connect as unknown as (
    options: object,
  ) => Promise<{ write(bytes: Uint8Array): number; end(): void }>;
  const socket = await connect({
    fd: child.stdio[3],
    socket: {
      data: (_: unknown, bytes: Uint8Array) => {
        missing -= bytes.byteLength;
        if (missing === 0) arrived.resolve();
      },
    },
  });
  const frame = encodeFrame(MESSAGE);
  const result = await measure(async () => {
    arrived = Promise.withResolvers<void>();
    missing = frame.byteLength;
    socket.write(frame);
    await arrived.promise;
  });
  socket.end();
  await child.exited;
  return result;
}

async function overBunIpc(): Promise<number> {
  let arrived = Promise.withResolvers<void>();
  const child = Bun.spawn([process.execPath, CHILD], {
    stdio: ["ignore", "inherit", "inherit"],
    ipc: () => arrived.resolve(),
  });
  const result = await measure(async () => {
    arrived = Promise.withResolvers<void>();
    child.send(MESSAGE);
    await arrived.promise;
  });
  child.kill();
  await child.exited;
  return result;
}

if (!existsSync(LIBRARY)) throw new Error("build the native libraries first: npm run setup");
const runs: { socketUs: number; bunIpcUs: number }[] = [];
for (let i = 0; i < RUNS; i++) runs.push({ socketUs: await overSocket(), bunIpcUs: await overBunIpc() });
const ratios = runs.map(({ socketUs, bunIpcUs }) => socketUs / bunIpcUs).sort((a, b) => a - b);
console.log(JSON.stringify({ rounds: ROUNDS, runs, ratioMedian: ratios[RUNS >> 1] }, null, 2));
