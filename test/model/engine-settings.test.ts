// Settings of `serve` that an engine shows when it is asked: they get there.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { postJson } from "../support/completions.ts";
import type { Json } from "../support/http-app.ts";
import { HAS_NATIVE } from "../support/llama-library.ts";
import { startServer } from "../support/server.ts";

const DEMO = join(import.meta.dir, "../../src/demo/demo.gguf");

/** What the demo model's engine says of itself. */
async function startAndAsk(args: string[]): Promise<Json> {
  const server = await startServer({ args: ["--model", DEMO, ...args] });
  try {
    await (await postJson(`${server.url}/v1/completions`, { prompt: "One,", max_tokens: 1 })).json();
    const { engines } = (await (await fetch(`${server.url}/api/backend/info`)).json()) as Json;
    return engines[0];
  } finally {
    await server.stop();
  }
}

describe.skipIf(!HAS_NATIVE)("an engine", () => {
  test("has the budget for checkpoints that was asked for, or one from the machine's memory", async () => {
    const asked = await startAndAsk(["--checkpoint-bytes", "123456"]);
    expect(asked.stats.checkpoints).toEqual({ count: 0, bytes: 0, bytesMax: 123_456 });
    const { bytesMax } = (await startAndAsk([])).stats.checkpoints;
    expect(bytesMax).toBeGreaterThanOrEqual(128 * 1024 ** 2);
    expect(bytesMax).toBeLessThanOrEqual(4 * 1024 ** 3);
  });

  test("of a chat model loads with --pooling rank, and embeds as without it", async () => {
    const { info } = await startAndAsk(["--pooling", "rank"]);
    expect(info).toMatchObject({ canGenerate: true, pooling: "last" });
  });
});
