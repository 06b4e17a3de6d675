// What clients are told of where a prompt's state came from: before a stream, in an answer, and in /api/cache.

import { describe, expect, test } from "bun:test";
import { formatCacheHeader } from "../../src/api/cache-report.ts";
import type { CacheReport } from "../../src/protocol/generation.ts";
import { makeCacheEntry } from "../support/fake-engines.ts";
import { DONE_EVENT, playEvents } from "../support/fake-inference.ts";
import { createTestApp, readFrames, readJson } from "../support/http-app.ts";

const CHAT = { messages: [{ role: "user", content: "Hello!" }] };
const EXACT: CacheReport = {
  live: 1,
  retained: 2,
  disk: 3,
  diverged: { token: 6, old: "14:02", new: "14:03" },
};
const EXACT_REPLY = { live: 1, retained: 2, disk: 3, evaluated: 1, diverged: EXACT.diverged };
const EXACT_HEADER = 'live=1, retained=2, disk=3, evaluated=1, diverged=6; old="14%3A02"; new="14%3A03"';

function createExactApp() {
  const test = createTestApp();
  test.inference.script = playEvents({ type: "delta", text: "Hi" }, { ...DONE_EVENT, cache: EXACT } as never);
  return test;
}

describe.each([
  ["/v1/chat/completions", CHAT],
  ["/v1/completions", { prompt: "x" }],
] as const)("%s", (path, body) => {
  test("a whole answer tells what really was", async () => {
    const { post, inference } = createExactApp();
    inference.cacheAtStart = null;
    const response = await post(path, body);
    expect(response.headers.get("X-MLO-Cache")).toBe(EXACT_HEADER);
    expect(await readJson(response)).toMatchObject({
      usage: { prompt_tokens: 7, prompt_tokens_details: { cached_tokens: 6 } },
      timings: { cache_n: 6, prompt_n: 1 },
      mlo: { cache: EXACT_REPLY },
    });
  });

  test("a stream tells in its header what is known at its start, and the rest in its last chunk", async () => {
    for (const includeUsage of [true, false]) {
      const { post, inference } = createExactApp();
      inference.cacheAtStart = { live: 0, retained: 5, disk: 0 };
      const response = await post(path, {
        ...body,
        stream: true,
        ...(includeUsage ? { stream_options: { include_usage: true } } : {}),
      });
      expect(response.headers.get("X-MLO-Cache")).toBe("live=0, retained=5, disk=0, evaluated=2");
      const frames = await readFrames(response);
      expect(frames.filter((frame) => frame.mlo !== undefined)).toHaveLength(1);
      expect(frames.at(-2).mlo).toEqual({ cache: EXACT_REPLY });
      expect(frames.at(-2).choices).toHaveLength(includeUsage ? 0 : 1);
      if (includeUsage) expect(frames.at(-2).usage.prompt_tokens_details.cached_tokens).toBe(6);
    }
  });

  test("a stream that still queues says so", async () => {
    const { post, inference } = createExactApp();
    inference.cacheAtStart = null;
    const response = await post(path, { ...body, stream: true });
    expect(response.headers.get("X-MLO-Cache")).toBe("queued");
    await response.text();
  });

  test("a page may read the header", async () => {
    const { post } = createExactApp();
    const response = await post(path, body, { headers: { Origin: "http://localhost:3000" } });
    expect(response.headers.get("Access-Control-Expose-Headers")).toContain("X-MLO-Cache");
  });
});

test.each([
  ["plain", "plain"],
  ['a"b\r\nc', "a%22b%0D%0Ac"],
  ["é".repeat(40), "%C3%A9".repeat(10)],
  ["🙂".repeat(9), "%F0%9F%99%82".repeat(5)],
  ["x".repeat(100), "x".repeat(60)],
  ["\ud800!", "%EF%BF%BD!"],
])("the text %j is safe and short in a header", (text, expected) => {
  const cache = { live: 0, retained: 0, disk: 0, diverged: { token: 0, old: text, new: "" } };
  const header = formatCacheHeader(cache, 1);
  expect(header).toBe(`live=0, retained=0, disk=0, evaluated=1, diverged=0; old="${expected}"; new=""`);
  expect(new Headers({ "X-MLO-Cache": header }).get("X-MLO-Cache")).toBe(header);
});

test("/api/cache lists what engines keep", async () => {
  const { get, inference } = createTestApp();
  expect(await readJson(await get("/api/cache"))).toEqual({ entries: [], models: [] });
  inference.cacheNow = {
    entries: [{ model: "demo", ...makeCacheEntry({ state: "disk", durableTokens: 8, session: "agent" }) }],
    models: [
      {
        model: "demo",
        state: "loaded",
        retained: { sequences: 2, tokens: 50 },
        kvStore: { files: 1, bytes: 9, bytesMax: 10, warning: "the disk is full" },
        evaluatedTokens: 100,
        reusedTokens: 300,
      },
    ],
  };
  const response = await get("/api/cache");
  expect(response.status).toBe(200);
  expect(await readJson(response)).toEqual(inference.cacheNow);
});
