// A plan that is applied, over real engines: what runs then is what was proposed, what was asked for stays, and it ends with
// the model's unloading.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheModel } from "../support/gguf-builder.ts";
import type { Json } from "../support/http-app.ts";
import { HAS_NATIVE } from "../support/llama-library.ts";
import { LLAMA_SPEC } from "../support/model-specs.ts";
import { type Server, startServer } from "../support/server.ts";

const START_MS = 120_000;
const MODEL = "m";

let folder = "";
let server: Server;

beforeAll(async () => {
  if (!HAS_NATIVE) return;
  folder = mkdtempSync(join(tmpdir(), "mlo-optimize-"));
  symlinkSync(cacheModel(LLAMA_SPEC), join(folder, `${MODEL}.gguf`));
  server = await startServer({ args: ["--models-dir", folder, "--threads", "1", "--discover", "off"] });
}, START_MS);

afterAll(async () => {
  await server?.stop();
  if (folder !== "") rmSync(folder, { recursive: true, force: true });
});

async function post(path: string, body: object): Promise<{ status: number; json: Json }> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${server.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  return { status: response.status, json: await response.json() };
}

/** What the engine that answers now runs with. */
async function readEngine(): Promise<Json> {
  const { engines } = await (await fetch(`${server.url}/api/backend/info`)).json();
  // One with former settings may still end: the newest is the last.
  return engines.findLast(({ state }: Json) => state === "loaded")?.info;
}

const optimize = (goal: string, more: object = {}) => post("/api/models/optimize", { model: MODEL, goal, ...more });

describe.skipIf(!HAS_NATIVE)("a plan that is applied", () => {
  test(
    "is what the model runs with, until it is unloaded",
    async () => {
      const dry = await optimize("memory");
      expect([dry.status, dry.json.applied, await readEngine()]).toEqual([200, false, undefined]);
      for (const goal of ["memory", "throughput"]) {
        const { status, json } = await optimize(goal, { apply: true });
        expect([status, json.applied, json.reason]).toEqual([200, true, null]);
        const { ctx, parallel } = json.proposed.plan.settings;
        expect(await readEngine()).toMatchObject({ contextLength: ctx, parallel });
      }
      const throughput = await readEngine();
      expect(throughput.parallel).toBe(128);
      expect((await post("/v1/completions", { model: MODEL, prompt: "a", max_tokens: 2 })).status).toBe(200);
      await post("/api/models/unload", { model: MODEL });
      await post("/api/models/load", { model: MODEL });
      expect((await readEngine()).parallel).toBe(64);
    },
    START_MS,
  );

  test(
    "is told beside what was measured, and what it learned of that",
    async () => {
      await post("/api/models/load", { model: MODEL });
      const { models } = await (await fetch(`${server.url}/api/models/status`)).json();
      const { plannedBytes, measuredBytes, learned } = models.find(({ pid }: Json) => pid !== null);
      const { host } = (await readEngine()).memoryNeed;
      const took = Object.values<number>(host).reduce((sum, bytes) => sum + bytes, 0);
      expect([plannedBytes.length, measuredBytes]).toEqual([1, [Math.ceil(took)]]);
      expect(learned).toMatchObject({ lastMeasuredBytes: Math.ceil(took) });
      expect(learned.loads).toBeGreaterThan(0);
      const { json } = await post("/api/models/unload", { model: MODEL });
      expect(json.freed).toMatchObject({ hostBytes: expect.any(Number), mappedBytes: expect.any(Number) });
    },
    START_MS,
  );

  test(
    "keeps what the load was asked for, and so does every later plan",
    async () => {
      await post("/api/models/load", { model: MODEL, ctx: 256 });
      const { json } = await optimize("latency", { apply: true });
      expect(json).toMatchObject({
        applied: true,
        proposed: { asked: { ctx: 256 }, plan: { settings: { ctx: 256 } } },
      });
      const before = await readEngine();
      expect([before.contextLength, before.parallel]).toEqual([256, 4]);
      const plan = await post("/api/plan", { model: MODEL });
      expect(plan.json.asked).toEqual(expect.objectContaining({ ctx: 256 }));
    },
    START_MS,
  );
});
