// Real models in memory for fewer: four in a budget for two, asked by eight clients; engines that are killed, clients that
// leave and models that are unloaded in the middle.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { countLeastLoads } from "../support/belady.ts";
import type { Json } from "../support/http-app.ts";
import { HAS_NATIVE } from "../support/llama-library.ts";
import { makeRandom } from "../support/random.ts";
import { type Server, startServer } from "../support/server.ts";
import {
  askNeed,
  complete,
  makeSwapModels,
  readStatus,
  SWAP_MODELS,
  swapArguments,
  watchEngines,
} from "../support/swap-server.ts";

const START_MS = 120_000;
const RUN_MS = 300_000;

let folder = "";
let server: Server;
let needBytes = 0;

beforeAll(async () => {
  if (!HAS_NATIVE) return;
  folder = mkdtempSync(join(tmpdir(), "mlo-swap-"));
  const models = makeSwapModels(folder);
  // With room to spare the formula's account counts; in little room it is llama.cpp's own, which is less in a compiled program.
  for (const needs of [0, 2]) {
    const measuring = await startServer({ args: swapArguments(models, needs * needBytes) });
    needBytes = await askNeed(measuring, "one");
    await measuring.stop();
  }
  server = await startServer({ args: swapArguments(models, Math.floor(2.5 * needBytes)) });
}, START_MS);

afterAll(async () => {
  await server?.stop();
  if (folder !== "") rmSync(folder, { recursive: true, force: true });
});

const nameOf = (at: number): string => SWAP_MODELS[at] ?? "one";
const sumLoads = ({ models }: Json): number => models.reduce((sum: number, { loads }: Json) => sum + loads, 0);
const pidOf = ({ models }: Json, id: string): number | null =>
  models.find((model: Json) => model.id === id)?.pid ?? null;

describe.skipIf(!HAS_NATIVE)("four models in a budget for two", () => {
  test(
    "200 requests of 8 clients: none fails, swaps are few, and memory is kept to",
    async () => {
      const arrivals: string[] = [];
      const served: number[][] = Array.from({ length: 8 }, () => []);
      const watched = watchEngines(server.pid);
      const clients = served.map(async (done, client) => {
        const pick = makeRandom(client + 1);
        for (let at = 0; at < 25; at++) {
          const model = nameOf(pick(4));
          arrivals.push(model);
          const { status, json } = await complete(server, model, `Client ${client} asks for the ${at}th time: `);
          expect([status, json.model, json.usage?.completion_tokens]).toEqual([200, model, 4]);
          done.push(at);
        }
      });
      await Promise.all(clients);
      watched.stop();
      for (const done of served) expect(done).toEqual([...Array(25).keys()]);
      const status = await readStatus(server);
      const [host] = status.pools;
      const [loads, least] = [sumLoads(status), countLeastLoads(arrivals, 2)];
      console.info(`${loads} loads, where MIN needs ${least}; ${watched.bytesMax} of ${host.budgetBytes} bytes`);
      expect(loads).toBeLessThanOrEqual(1.5 * least);
      expect(host.plannedBytes).toBeLessThanOrEqual(host.budgetBytes);
      expect(watched.enginesMax).toBeLessThanOrEqual(2);
      expect(watched.bytesMax).toBeGreaterThan(0);
      expect(watched.bytesMax).toBeLessThanOrEqual(2 * needBytes);
    },
    RUN_MS,
  );

  test(
    "the same answers come after a swap, from what was kept on disk",
    async () => {
      const prompt = "Tell me a tale of the old sea, and of those who sail on it. ".repeat(20);
      const first = await complete(server, "one", prompt);
      for (const other of ["two", "three", "four", "two", "three", "four"]) {
        if (pidOf(await readStatus(server), "one") !== null) await complete(server, other, "x");
      }
      expect(pidOf(await readStatus(server), "one")).toBeNull();
      const second = await complete(server, "one", prompt);
      expect(second.json.choices[0].text).toBe(first.json.choices[0].text);
      expect(second.json.mlo.cache.disk).toBeGreaterThan(0);
    },
    RUN_MS,
  );

  test(
    "an engine that is killed while another model waits for its room costs no other request",
    async () => {
      for (const model of ["one", "two"]) await complete(server, model, "warm");
      const pid = pidOf(await readStatus(server), "one");
      const long = complete(server, "one", "A long one: ", { max_tokens: 400 });
      const waiting = [complete(server, "three", "x"), complete(server, "four", "x"), complete(server, "two", "x")];
      if (pid !== null) process.kill(pid, "SIGKILL");
      expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200, 200]);
      // It gave nothing, so it was asked once more; or it was at its end already.
      expect((await long).status).toBe(200);
    },
    RUN_MS,
  );

  test(
    "a pinned model stays, and two clients that want the room beside it do not thrash",
    async () => {
      const post = async (verb: string, model: string): Promise<void> => {
        const headers = { "content-type": "application/json" };
        const init = { method: "POST", headers, body: JSON.stringify({ model }) };
        expect((await fetch(`${server.url}/api/models/${verb}`, init)).status).toBe(200);
      };
      await post("load", "one");
      await post("pin", "one");
      const before = await readStatus(server);
      const clients = ["two", "three"].map(async (model) => {
        for (let at = 0; at < 30; at++) {
          expect((await complete(server, model, `The ${at}th: `, { max_tokens: 16 })).status).toBe(200);
        }
      });
      await Promise.all(clients);
      const after = await readStatus(server);
      expect(pidOf(after, "one")).toBe(pidOf(before, "one"));
      console.info(`${sumLoads(after) - sumLoads(before)} loads for 60 requests of two clients`);
      expect(sumLoads(after) - sumLoads(before)).toBeLessThan(30);
      await post("unpin", "one");
    },
    RUN_MS,
  );

  test(
    "a load that is refused leaves the engine as it is, with the time that was asked for",
    async () => {
      const post = async (verb: string, more: object = {}): Promise<{ status: number; json: Json }> => {
        const headers = { "content-type": "application/json" };
        const body = JSON.stringify({ model: "two", ...more });
        const response = await fetch(`${server.url}/api/models/${verb}`, { method: "POST", headers, body });
        return { status: response.status, json: (await response.json()) as Json };
      };
      expect((await post("load", { keepAlive: 300 })).status).toBe(200);
      const pid = pidOf(await readStatus(server), "two");
      // No system has both.
      const backend = process.platform === "darwin" ? "cuda" : "metal";
      for (const verb of ["pin", "unpin"]) {
        expect((await post(verb)).status).toBe(200);
        for (const refused of [{ ctx: 1_000_000 }, { backend: [backend] }]) {
          const { status, json } = await post("load", refused);
          expect([status, json.error?.code]).toEqual([400, "plan_refused"]);
          // One that was told to go is gone when another one is there.
          expect((await complete(server, "three", "x")).status).toBe(200);
          const rows = (await readStatus(server)).models.filter(({ id }: Json) => id === "two");
          expect(rows).toMatchObject([{ pid, state: "loaded" }]);
          if (verb === "pin") expect(rows[0].sleepsInMs).toBeNull();
          else expect(rows[0].sleepsInMs).toBeGreaterThan(0);
        }
      }
      expect(pid).not.toBeNull();
    },
    RUN_MS,
  );

  test(
    "clients that leave hold nobody up",
    async () => {
      const leaving = new AbortController();
      const left = SWAP_MODELS.map((model) =>
        fetch(`${server.url}/v1/completions`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ model, prompt: "x", max_tokens: 400, ignore_eos: true }),
          signal: leaving.signal,
        }).catch(() => null),
      );
      const staying = complete(server, "four", "I stay: ");
      leaving.abort();
      await Promise.all(left);
      expect((await staying).status).toBe(200);
    },
    RUN_MS,
  );

  test(
    "a model that is unloaded while it streams ends its stream first, and its memory comes back",
    async () => {
      await complete(server, "one", "warm");
      const pid = pidOf(await readStatus(server), "one");
      const streaming = complete(server, "one", "A stream: ", { max_tokens: 300 });
      const body = JSON.stringify({ model: "one" });
      const headers = { "content-type": "application/json" };
      const unloaded = await fetch(`${server.url}/api/models/unload`, { method: "POST", headers, body });
      const { state, freed } = (await unloaded.json()) as Json;
      expect([unloaded.status, state]).toEqual([200, "unloaded"]);
      expect((await streaming).status).toBe(200);
      expect(freed.hostBytes).toBeGreaterThan(0);
      expect(() => process.kill(pid ?? 0, 0)).toThrow();
    },
    RUN_MS,
  );
});

test("what is skipped is said", () => {
  if (!HAS_NATIVE) console.info("skipped: the native library is not built");
  expect(typeof HAS_NATIVE).toBe("boolean");
});
