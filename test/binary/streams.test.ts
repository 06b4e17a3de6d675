// Many streams at once, streams that nobody reads, streams that are left: each is what it would be alone, and nothing
// stays behind, by our own count and by llama.cpp's.

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readEngine, readEngines, startBinary, waitFor } from "../support/binary.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { parseFrames } from "../support/http-app.ts";
import { type ModelSpec, TINY_SPEC } from "../support/model-specs.ts";
import { EXCUSED_SHARE_MAX } from "../support/near-ties.ts";
import { openRaw, rawPost } from "../support/raw-http.ts";
import type { Server } from "../support/server.ts";

const CHAT = "/v1/chat/completions";
const STREAMS = 64;

const COUNTRIES = ["France", "Germany", "Italy", "Spain", "Portugal", "Japan", "China", "Norway"];
const OPPOSITES = ["hot", "big", "up", "left", "fast", "old", "open", "day"];
const WORDS = ["river", "stone", "cloud", "engine", "vector", "matrix", "signal", "window"];
const NAMES = ["Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Henry"];

/** 64 different ones, of the kinds that the demo model is sure of, with different answers: it would show if two got mixed up. */
const PROMPTS = [
  ...Array.from({ length: 16 }, (_, i) => `What is ${i} + ${(i * 7) % 10}?`),
  ...Array.from({ length: 16 }, (_, i) => `Count from ${(i % 8) + 1} to ${(i % 8) + 4 + (i % 9)}`),
  ...COUNTRIES.map((country) => `What is the capital of ${country}?`),
  ...OPPOSITES.map((word) => `What is the opposite of ${word}?`),
  ...WORDS.map((word, i) => `Repeat: ${word} ${WORDS[(i + 3) % WORDS.length]}`),
  ...NAMES.map((name, i) => `Extract JSON: ${name} is ${20 + 3 * i} years old.`),
];

interface Streamed {
  text: string;
  ended: boolean;
}

async function stream(server: Server, content: string): Promise<Streamed> {
  const body = { messages: [{ role: "user", content }], temperature: 0, max_tokens: 48, stream: true };
  const response = await fetch(`${server.url}${CHAT}`, { method: "POST", body: JSON.stringify(body) });
  const frames = parseFrames(await response.text());
  const text = frames.map((frame) => frame.choices?.[0]?.delta?.content ?? "").join("");
  return { text, ended: frames.at(-1) === "[DONE]" && frames.at(-2).choices[0].finish_reason !== null };
}

/** A connection that is refused says little; the server's last words and its exit code say why. */
function explainEnd(server: Server, thrown: unknown): unknown {
  const code = server.exitCode();
  if (code === null) return thrown;
  return new Error(`the server ended with ${code}; it logged:\n${server.logTail()}`, { cause: thrown });
}

/** Nothing runs or waits, no cell is held but of kept sequences, and no native object but the model's own. */
async function expectIdle(server: Server): Promise<void> {
  await waitFor("what is kept to be written", async () => (await readEngine(server.url)).stats.handles.job === 0);
  const { stats } = await readEngine(server.url);
  expect(stats).toMatchObject({ running: 0, waiting: 0, paused: 0 });
  expect(stats.ledger.used).toBeLessThanOrEqual(stats.retained.tokens);
  expect(stats.cells.map(({ used }) => used)).toEqual(stats.cells.map(() => stats.ledger.used));
  const { model, context, ...others } = stats.handles;
  expect({ model, context }).toEqual({ model: 1, context: 1 });
  expect(Object.values(others).every((count) => count === 0)).toBe(true);
}

describe(`${STREAMS} streams at once`, () => {
  const alone: Streamed[] = [];

  for (const parallel of [8, 64]) {
    test(`${parallel} decoded together: each is what it is alone`, async () => {
      expect(new Set(PROMPTS).size).toBe(STREAMS);
      const server = await startBinary({ args: ["--parallel", String(parallel)] });
      try {
        if (alone.length === 0) for (const prompt of PROMPTS) alone.push(await stream(server, prompt));
        const together = await Promise.all(PROMPTS.map((prompt) => stream(server, prompt)));
        expect([...alone, ...together].every(({ ended }) => ended)).toBe(true);
        expect(together.every(({ text }) => text !== "")).toBe(true);
        const different = PROMPTS.filter((_, i) => together[i]?.text !== alone[i]?.text);
        console.log(`${parallel} together: ${different.length} of ${STREAMS} differ from their run alone`);
        // Batch size changes rounding: a near-tie may fall the other way.
        expect(different.length).toBeLessThanOrEqual(Math.floor(STREAMS * EXCUSED_SHARE_MAX));
        await expectIdle(server);
      } finally {
        await server.stop();
      }
    });
  }

  test("with a cache too small for all of them: they take turns, and none is cut", async () => {
    const server = await startBinary({ args: ["--parallel", "64", "--ctx", "512"] });
    try {
      const together = await Promise.all(PROMPTS.map((prompt) => stream(server, prompt)));
      expect(together.every(({ ended }) => ended)).toBe(true);
      const different = PROMPTS.filter((_, i) => together[i]?.text !== alone[i]?.text);
      console.log(`preempted: ${different.length} of ${STREAMS} differ from their run alone`);
      expect(different.length).toBeLessThanOrEqual(Math.floor(STREAMS * EXCUSED_SHARE_MAX));
      await expectIdle(server);
    } finally {
      await server.stop();
    }
  });
});

describe("readers that leave or stop", () => {
  const folder = mkdtempSync(join(tmpdir(), "mlo-streams-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** A long context in which a token stays cheap, so that a stream outgrows every buffer on its way. */
  const LONG_SPEC: ModelSpec = { ...TINY_SPEC, layers: 1, heads: 1, kvHeads: 1, contextLength: 32_768 };
  const ENDLESS = { prompt: "Once", stream: true, temperature: 0, ignore_eos: true };

  /** The model's name is in every chunk: a long one fills the buffers sooner. */
  async function startLong(): Promise<Server> {
    const path = join(folder, `${"long-name-".repeat(23)}.gguf`);
    if (!existsSync(path)) symlinkSync(cacheModel(LONG_SPEC), path);
    return await startBinary({ args: ["--model", path, "--ctx", "32768", "--threads", "1"] });
  }

  test("a client that leaves frees its sequence at once", async () => {
    const server = await startBinary();
    try {
      for (const whole of [false, true]) {
        const client = await openRaw(server.url);
        const body = { messages: [{ role: "user", content: "Hello" }], max_tokens: 4000, ignore_eos: true };
        client.write(rawPost(CHAT, JSON.stringify({ ...body, stream: !whole })));
        await waitFor("the request to run", async () => (await readEngines(server.url))[0]?.stats.running === 1);
        const before = (await readEngine(server.url)).stats;
        client.destroy();
        let after = await readEngine(server.url);
        let looks = 1;
        for (; after.stats.running > 0 && looks < 1000; looks++) after = await readEngine(server.url);
        const steps = after.stats.steps - before.steps;
        console.log(`a ${whole ? "whole" : "streamed"} answer ended ${steps} steps after its client (${looks} looks)`);
        // It would go on for 4000. The engine itself needs one step (test/engine); the rest is the news on its way.
        expect(steps).toBeLessThan(1000);
        await expectIdle(server);
        await Bun.sleep(50);
        expect((await readEngine(server.url)).stats.steps).toBe(after.stats.steps);
      }
    } finally {
      await server.stop();
    }
  });

  test("a reader that stops reading holds a bounded buffer, and gets the rest when it reads again", async () => {
    const tokens = 11_000;
    const server = await startLong();
    const client = await openRaw(server.url);
    try {
      const body = { ...ENDLESS, max_tokens: tokens, stream_options: { include_usage: true } };
      client.write(rawPost("/v1/completions", JSON.stringify(body), ["Connection: close"]));
      await client.read((text) => text.includes("data: "));
      client.socket.pause();
      expect(client.received()).toContain("200 OK");
      const early = await readMemory(server.pid);
      let high = early;
      await waitFor(
        "the sequence to be paused",
        async () => {
          await Bun.sleep(100);
          high = Math.max(high, await readMemory(server.pid));
          const { stats } = await readEngine(server.url);
          expect(stats.running).toBe(1);
          return stats.paused === 1;
        },
        90_000,
      );
      const held = (await readEngine(server.url)).stats.steps;
      // Others are served meanwhile.
      const other = await fetch(`${server.url}/v1/completions`, {
        method: "POST",
        body: JSON.stringify({ ...ENDLESS, stream: false, max_tokens: 20 }),
      });
      expect(other.status).toBe(200);
      expect((await readEngine(server.url)).stats.steps - held).toBe(20);
      expect(held).toBeLessThan(tokens);
      console.log(`paused after ${held} tokens; the server grew by ${Math.round((high - early) / 1024)} MiB`);
      expect(high - early).toBeLessThan(64 * 1024);

      client.socket.resume();
      const frames = parseFrames(
        (await client.read())
          .split("\r\n")
          .filter((line) => line.startsWith("data: ") || line.endsWith("\n\n"))
          .join(""),
      );
      expect(frames.at(-1)).toBe("[DONE]");
      expect(frames.at(-2).usage.completion_tokens).toBe(tokens);
      expect(frames.at(-3).choices[0].finish_reason).toBe("length");
      await expectIdle(server);
    } catch (thrown) {
      throw explainEnd(server, thrown);
    } finally {
      client.destroy();
      await server.stop();
    }
  });

  test("a reader that stopped and then leaves frees its sequence, too", async () => {
    const server = await startLong();
    const client = await openRaw(server.url);
    try {
      client.write(rawPost("/v1/completions", JSON.stringify({ ...ENDLESS, max_tokens: 30_000 })));
      await client.read((text) => text.includes("data: "));
      client.socket.pause();
      await waitFor(
        "the sequence to be paused",
        async () => {
          await Bun.sleep(100);
          return (await readEngine(server.url)).stats.paused === 1;
        },
        90_000,
      );
      client.destroy();
      await waitFor("the sequence to leave", async () => (await readEngine(server.url)).stats.running === 0);
      await expectIdle(server);
    } finally {
      await server.stop();
    }
  });
});

/** Resident memory in KiB. */
async function readMemory(pid: number): Promise<number> {
  return Number(/VmRSS:\s+(\d+)/.exec(await Bun.file(`/proc/${pid}/status`).text())?.[1]);
}
