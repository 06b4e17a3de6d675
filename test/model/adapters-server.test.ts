// LoRA adapters as a client meets them: a server with two of them, their list, its scales, a request's own ones, and
// what happens when a file is no adapter or not this model's.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { postJson } from "../support/completions.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import type { Json } from "../support/http-app.ts";
import { HAS_NATIVE } from "../support/llama-library.ts";
import { SMALL_LORA, writeLora } from "../support/lora-builder.ts";
import { QWEN3_SPEC, TINY_SPEC } from "../support/model-specs.ts";
import { type Server, startServer } from "../support/server.ts";

const START_MS = 120_000;
const LIMITS = ["--ctx", "512", "--parallel", "4", "--threads", "1"];
const PROMPT = "Tell me a tale of the old sea, and of those who sail on it.";

let folder = "";
let server: Server;
const one = (): string => join(folder, "one.gguf");

beforeAll(async () => {
  if (!HAS_NATIVE) return;
  folder = mkdtempSync(join(tmpdir(), "mlo-lora-server-"));
  const text = (value: string) => ({ type: "string", value }) as const;
  writeLora(one(), TINY_SPEC, SMALL_LORA, { metadata: { "adapter.lora.task_name": text("sql") } });
  writeLora(join(folder, "two.gguf"), TINY_SPEC, { ...SMALL_LORA, seed: "two" });
  const model = cacheModel(TINY_SPEC);
  const loras = ["--lora", `${one()}=0`, "--lora", join(folder, "two.gguf")];
  const other = join(import.meta.dir, "../../src/demo/demo.gguf");
  server = await startServer({ args: ["--model", model, "--model", other, ...loras, ...LIMITS] });
}, START_MS);

afterAll(async () => {
  await server?.stop();
  if (folder !== "") rmSync(folder, { recursive: true, force: true });
});

async function complete(changes: Json = {}): Promise<Json> {
  const body = { prompt: PROMPT, max_tokens: 16, temperature: 0, ignore_eos: true, ...changes };
  const response = await postJson(`${server.url}/v1/completions`, body);
  return { status: response.status, ...(await response.json()) };
}

const textOf = async (changes: Json = {}): Promise<string> => (await complete(changes)).choices[0].text;

async function listScales(): Promise<number[]> {
  const response = await fetch(`${server.url}/lora-adapters`);
  return ((await response.json()) as { scale: number }[]).map(({ scale }) => scale);
}

describe.skipIf(!HAS_NATIVE)("a server with adapters", () => {
  test("lists them before and after its model is loaded", async () => {
    const list = async (): Promise<Json> => (await fetch(`${server.url}/lora-adapters`)).json();
    const expected = [
      { id: 0, path: "one.gguf", scale: 0, task_name: "sql", prompt_prefix: "" },
      { id: 1, path: "two.gguf", scale: 1, task_name: "", prompt_prefix: "" },
    ];
    expect(await list()).toEqual(expected);
    await textOf();
    expect(await list()).toEqual(expected);
  });

  test("uses the server's scales, or the request's own, and reuses prefixes of its set alone", async () => {
    const none = [
      { id: 0, scale: 0 },
      { id: 1, scale: 0 },
    ];
    const [server1, first, both, without] = [
      await textOf(),
      await textOf({ lora: [{ id: 0, scale: 1 }] }),
      await textOf({
        lora: [
          { id: 1, scale: 1 },
          { id: 0, scale: 1 },
        ],
      }),
      await textOf({ lora: none }),
    ];
    expect(new Set([server1, first, both, without]).size).toBe(4);
    expect(await textOf({ lora: [{ id: 1, scale: 1 }] })).toBe(server1);
    const again = await complete({ lora: [{ id: 0, scale: 1 }] });
    expect(again.choices[0].text).toBe(first);
    expect(again.mlo.cache.retained).toBeGreaterThan(8);
    const anew = await complete({ lora: [{ id: 0, scale: 0.25 }] });
    expect(anew.mlo.cache).toMatchObject({ live: 0, retained: 0, disk: 0 });
  });

  test("all at once they give what they give alone", async () => {
    const sets = [[], [{ id: 0, scale: 1 }], [{ id: 0, scale: -0.5 }], [{ id: 1, scale: 2 }]];
    const alone: string[] = [];
    for (const lora of sets) alone.push(await textOf({ lora, cache_prompt: false }));
    const together = await Promise.all([...sets, ...sets].map((lora) => textOf({ lora })));
    expect(together).toEqual([...alone, ...alone]);
  });

  test("takes other scales while it runs, and refuses what is none", async () => {
    const before = await textOf({ lora: [{ id: 0, scale: 0.5 }] });
    const response = await postJson(`${server.url}/lora-adapters`, [{ id: 0, scale: 0.5 }]);
    expect(await response.json()).toEqual({ success: true });
    expect(await listScales()).toEqual([0.5, 0]);
    expect(await textOf()).toBe(before);
    expect((await postJson(`${server.url}/lora-adapters`, [{ id: 2, scale: 1 }])).status).toBe(400);
    expect(await listScales()).toEqual([0.5, 0]);
  });

  test("refuses an adapter that is not there, by name", async () => {
    const { status, error } = await complete({ lora: [{ id: 2, scale: 1 }] });
    expect([status, error.code, error.param]).toEqual([400, "invalid_request", "lora[0].id"]);
    expect(error.message).toContain("0 to 1");
  });

  test("another model has none of them", async () => {
    const asked = { model: "demo", max_tokens: 4 };
    expect((await complete(asked)).status).toBe(200);
    const { status, error } = await complete({ ...asked, lora: [{ id: 0, scale: 1 }] });
    expect([status, error.param]).toEqual([400, "lora[0].id"]);
    expect(error.message).toContain("no adapters");
  });
});

describe.skipIf(!HAS_NATIVE)("a file that can't be used", () => {
  test(
    "as an adapter at all ends the start",
    async () => {
      const bad = join(folder, "bad.gguf");
      writeFileSync(bad, "GGUF, it says");
      const start = startServer({ args: ["--model", cacheModel(TINY_SPEC), "--lora", bad, ...LIMITS] });
      expect(start).rejects.toThrow("bad.gguf can't be used");
      await Promise.allSettled([start]);
    },
    START_MS,
  );

  test(
    "for this model is told to who asks, and the server goes on",
    async () => {
      const path = join(folder, "qwen3.gguf");
      writeLora(path, QWEN3_SPEC, SMALL_LORA);
      const other = await startServer({ args: ["--model", cacheModel(TINY_SPEC), "--lora", path, ...LIMITS] });
      try {
        for (let times = 0; times < 2; times++) {
          const response = await postJson(`${other.url}/v1/completions`, { prompt: "x", max_tokens: 1 });
          const { error } = (await response.json()) as Json;
          expect([response.status, error.code]).toEqual([400, "format_unsupported"]);
          expect(error.message).toContain("'qwen3'");
        }
        expect((await fetch(`${other.url}/health`)).status).toBe(200);
      } finally {
        await other.stop();
      }
    },
    START_MS,
  );
});
