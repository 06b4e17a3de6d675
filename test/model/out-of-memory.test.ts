// A server in a real memory control group, and a model whose KV cache does not fit there: the kernel ends the engine, never
// the server, and the request is told out_of_memory with the figures; where it is allowed, the load steps down and serves.

import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE } from "../support/llama-library.ts";
import { makeMemoryGroup } from "../support/memory-group.ts";
import { LLAMA_SPEC, type ModelSpec } from "../support/model-specs.ts";
import { type Server, startServer } from "../support/server.ts";

const MIB = 1024 ** 2;
/** 32 KiB of KV a token: 512 MiB with the automatic context of 16384, 64 MiB with the shortest one. */
const LARGE_SPEC: ModelSpec = {
  ...LLAMA_SPEC,
  tokenizer: "llama-spm",
  layers: 4,
  heads: 8,
  kvHeads: 8,
  headSize: 256,
  contextLength: 32_768,
};
/** An engine takes some 100 MiB by itself; with this much it has room for the shorter contexts alone. */
const ROOM_BYTES = 420 * MIB;
const TIMEOUT_MS = 180_000;
/** Plans believe what they are told, and so a load is tried that can't succeed. */
const TOLD = ["--memory-budget", String(8192 * MIB)];

/** The limit over what is used: 7 % are then left, some 25 MiB, which is high pressure and not critical. */
const TIGHT_FACTOR = 1.075;

interface AdaptationEvent {
  adaptation: { lowered: { words: string }[]; causes: { cause: string }[] };
}

/** The first one that the stream tells; snapshots of the machine come in between. */
async function readAdaptation({ body }: Response): Promise<AdaptationEvent> {
  let text = "";
  for await (const chunk of (body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream() as never)) {
    text += chunk;
    const lines = text.split("\n").slice(0, -1);
    const line = lines.find((one) => one.startsWith("data: ") && one.includes('"adaptation"'));
    if (line !== undefined) return (JSON.parse(line.slice("data: ".length)) as { data: AdaptationEvent }).data;
  }
  throw new Error("the stream ended");
}

const made = makeMemoryGroup(`mlo-test-${process.pid}`);
if (made.kind === "none") console.warn(`skipped: no memory control group can be made here: ${made.reason}`);

async function startLimited(args: string[]): Promise<Server> {
  if (made.kind === "none") throw new Error(made.reason);
  const binary = process.env.ML_OFFLOAD_BINARY;
  const source = [process.execPath, join(import.meta.dir, "../../src/main.ts")];
  const program = made.group.enter(binary ? [binary] : source);
  made.group.limit(8192 * MIB);
  const server = await startServer({ program, args: ["--model", cacheModel(LARGE_SPEC), ...args] });
  made.group.limit(made.group.anonymousBytes + ROOM_BYTES);
  return server;
}

const complete = (server: Server): Promise<Response> =>
  fetch(`${server.url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "once upon a time", max_tokens: 4, temperature: 0 }),
  });

describe.skipIf(!HAS_NATIVE || made.kind === "none")("a model that does not fit its control group", () => {
  afterAll(() => {
    if (made.kind === "made") made.group[Symbol.dispose]();
  });

  test(
    "is refused with the figures and the smallest change, and the server lives",
    async () => {
      const server = await startLimited(TOLD);
      try {
        const response = await complete(server);
        const { error } = (await response.json()) as { error: { code: string; message: string; hint: string } };
        expect([response.status, error.code]).toEqual([503, "out_of_memory"]);
        expect(error.message).toMatch(/control group ran out \(limit \d+ bytes, most ever used \d+ bytes\)/);
        expect(error.hint).toContain("--ctx 8192");
        const health = await (await fetch(`${server.url}/api/health`)).json();
        expect(health).toMatchObject({
          status: "degraded",
          troubles: [{ reason: expect.stringContaining("ran out") }],
        });
      } finally {
        await server.stop();
      }
    },
    TIMEOUT_MS,
  );

  test(
    "is loaded with less where that is allowed, and says so",
    async () => {
      const server = await startLimited([...TOLD, "--on-oom", "step-down"]);
      try {
        const response = await complete(server);
        expect(response.status).toBe(200);
        const { engines } = (await (await fetch(`${server.url}/api/backend/info`)).json()) as {
          engines: { info: { contextLength: number; steppedDown: string[] } }[];
        };
        const [engine] = engines;
        expect([2048, 4096, 8192]).toContain(engine?.info.contextLength as number);
        expect(engine?.info.steppedDown[0]).toContain("because memory did not suffice for more");
        expect(server.logTail()).toContain("the load steps down");
      } finally {
        await server.stop();
      }
    },
    TIMEOUT_MS,
  );

  test(
    "an engine that runs is lowered when its group gets tight, and the event stream says so",
    async () => {
      const server = await startLimited(["--ctx", "8192"]);
      try {
        expect((await complete(server)).status).toBe(200);
        const listening = new AbortController();
        const { signal } = listening;
        const response = await fetch(`${server.url}/api/events?topics=hardware`, { signal });
        if (made.kind === "made") made.group.limit(Math.round(made.group.anonymousBytes * TIGHT_FACTOR));
        const { adaptation } = await readAdaptation(response);
        listening.abort();
        expect(adaptation.lowered[0]?.words).toMatch(
          /^Prompt rows of a step is lowered from 512 to 128: .*\/mlo-test-/,
        );
        expect(adaptation.causes).toMatchObject([{ cause: "memory" }]);
        expect((await complete(server)).status).toBe(200);
        const { engines } = (await (await fetch(`${server.url}/api/backend/info`)).json()) as {
          engines: { stats: { limits: { promptRows: number } } }[];
        };
        expect(engines[0]?.stats.limits.promptRows).toBeLessThanOrEqual(128);
        const health = (await (await fetch(`${server.url}/api/health`)).json()) as { status: string };
        expect(health.status).toBe("healthy");
      } finally {
        await server.stop();
      }
    },
    TIMEOUT_MS,
  );

  test(
    "with an explicit context it is refused all the same: what was asked for is not changed",
    async () => {
      const server = await startLimited([...TOLD, "--on-oom", "step-down", "--ctx", "16384", "--ubatch-size", "128"]);
      try {
        const response = await complete(server);
        const { error } = (await response.json()) as { error: { code: string } };
        expect(error.code).toBe("out_of_memory");
      } finally {
        await server.stop();
      }
    },
    TIMEOUT_MS,
  );
});
