// Loads that nobody waits for, unloads right behind them, models whose files change or do not load, with real engines.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "../support/binary.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import type { Json } from "../support/http-app.ts";
import { HAS_NATIVE } from "../support/llama-library.ts";
import { TINY_SPEC } from "../support/model-specs.ts";
import { type Server, startServer } from "../support/server.ts";
import { complete, listEngines, makeSwapModels, readStatus, swapArguments } from "../support/swap-server.ts";

const START_MS = 120_000;
const RUN_MS = 120_000;

let folder = "";
let server: Server;

/** A model of the same shape in which something has another name. */
function writeBroken(models: string, name: string, from: string, to: string): void {
  const bytes = readFileSync(cacheModel({ ...TINY_SPEC, seed: 904 }));
  const at = bytes.indexOf(from);
  if (at < 0) throw new Error(`there is no ${from}`);
  bytes.write(to, at);
  writeFileSync(join(models, `${name}.gguf`), bytes);
}

beforeAll(async () => {
  if (!HAS_NATIVE) return;
  folder = mkdtempSync(join(tmpdir(), "mlo-unload-"));
  const models = makeSwapModels(folder);
  writeBroken(models, "broken", "output_norm.weight", "output_nurm.weight");
  writeBroken(models, "unplanned", "llama.block_count", "llama.block_cound");
  server = await startServer({ args: swapArguments(join(folder, "models"), 0) });
}, START_MS);

afterAll(async () => {
  await server?.stop();
  if (folder !== "") rmSync(folder, { recursive: true, force: true });
});

async function post(to: Pick<Server, "url">, verb: string, body: object): Promise<{ status: number; json: Json }> {
  const headers = { "content-type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify(body) };
  const response = await fetch(`${to.url}/api/models/${verb}`, init);
  return { status: response.status, json: await response.json() };
}

const rowsOf = async (id: string): Promise<Json[]> =>
  (await readStatus(server)).models.filter((model: Json) => model.id === id);
const health = async (of: Pick<Server, "url">): Promise<Json> => await (await fetch(`${of.url}/api/health`)).json();

describe.skipIf(!HAS_NATIVE)("an unload", () => {
  test.each([
    ["at once", () => true],
    ["when its process is there", () => listEngines(server.pid).length === 1],
    ["when it is loaded", async () => (await rowsOf("one"))[0]?.state === "loaded"],
  ])(
    "that comes after a load that nobody waits for wins: %s",
    async (when, isTime) => {
      const { json: loading } = await post(server, "load", { model: "one", wait: false, ctx: 256 + when.length });
      expect(loading.state).toBe("loading");
      await waitFor(when, isTime);
      const { status, json } = await post(server, "unload", { model: "one" });
      expect([status, json.state, json.requestsAhead]).toEqual([200, "unloaded", 0]);
      expect(listEngines(server.pid)).toEqual([]);
      expect((await rowsOf("one")).map(({ state, error }) => [state, error])).toEqual([["unloaded", null]]);
      expect((await health(server)).status).toBe("healthy");
    },
    RUN_MS,
  );

  test(
    "tells who waits for the load, answers the request that came before it, and gives back what its process had",
    async () => {
      const asked = complete(server, "two", "x");
      const loading = post(server, "load", { model: "two" });
      await waitFor("both wait", async () => (await rowsOf("two"))[0]?.requests.waiting === 2);
      const { json } = await post(server, "unload", { model: "two" });
      expect(json).toMatchObject({ state: "unloaded", loadsGivenUp: 1, requestsAhead: 1 });
      const told = await loading;
      expect([told.status, told.json.error.code]).toEqual([409, "conflict"]);
      expect((await asked).status).toBe(200);
      expect(listEngines(server.pid)).toEqual([]);
      expect(json.freed.hostBytes).toBeGreaterThan(1024 ** 2);
      expect(json.freed).toMatchObject({ mappedBytes: expect.any(Number), devices: [], unknown: [] });
    },
    RUN_MS,
  );

  test(
    "takes the engine with older settings along",
    async () => {
      await post(server, "load", { model: "three" });
      const long = complete(server, "three", "A long one: ", { max_tokens: 400 });
      await waitFor("it runs", async () => (await rowsOf("three"))[0]?.requests.running === 1);
      await post(server, "load", { model: "three", ctx: 256 });
      const { json } = await post(server, "unload", { model: "three" });
      expect([json.state, (await long).status]).toEqual(["unloaded", 200]);
      expect(listEngines(server.pid)).toEqual([]);
      expect((await rowsOf("three")).map(({ state }) => state)).toEqual(["unloaded"]);
    },
    RUN_MS,
  );

  test(
    "of a model that sleeps leaves what it kept on disk, and says so",
    async () => {
      await complete(server, "four", "Tell me a tale of the old sea. ".repeat(40));
      await post(server, "load", { model: "four", keepAlive: 0 });
      const isGone = () => listEngines(server.pid).length === 0;
      await waitFor("it sleeps", async () => (await rowsOf("four"))[0]?.state === "asleep" && isGone());
      const [asleep] = await rowsOf("four");
      expect(asleep.kept.tokens).toBeGreaterThan(0);
      expect((await post(server, "unload", { model: "four" })).json).toMatchObject({ state: "unloaded", freed: null });
      expect(await rowsOf("four")).toMatchObject([{ state: "unloaded", kept: asleep.kept }]);
    },
    RUN_MS,
  );
});

describe.skipIf(!HAS_NATIVE)("what does not load", () => {
  test(
    "costs a switch nothing: the default model stays, and health tells of preloads",
    async () => {
      const models = join(folder, "models");
      await complete(server, "one", "x");
      const [{ plannedBytes }] = (await rowsOf("one")) as [Json];
      await post(server, "unload", { model: "one" });
      const budget = Math.floor(1.5 * plannedBytes[0]);
      const preloads = ["--preload", "nope", "--preload", "unplanned"];
      const narrow = await startServer({ args: [...swapArguments(models, budget), ...preloads] });
      try {
        await waitFor("the preloads have failed", async () => (await health(narrow)).troubles.length === 2);
        // Nothing was planned before, nor can this one be: it counts by its file, and against the budget all the same.
        const reason =
          /^It was to be loaded at the start: unplanned takes \d+ bytes, and all engines together may take \d+\.$/;
        expect((await health(narrow)).troubles).toMatchObject([
          { subject: "nope", reason: 'It was to be loaded at the start: the model "nope" does not exist' },
          { subject: "unplanned", reason: expect.stringMatching(reason) },
        ]);
        expect((await post(narrow, "switch", { model: "one" })).json).toMatchObject({ state: "loaded", default: true });
        const failed = await post(narrow, "switch", { model: "broken" });
        expect([failed.status, failed.json.error.code]).toEqual([500, "model_damaged"]);
        // llama.cpp was asked before anybody made room.
        expect(failed.json.error.message).toEndWith(" one is still the default, and is loaded.");
        copyFileSync(cacheModel({ ...TINY_SPEC, seed: 905 }), join(models, "nope.gguf"));
        await waitFor("it is listed", async () => (await complete(narrow, "nope", "x")).status === 200);
        expect((await health(narrow)).troubles.map(({ subject }: Json) => subject)).toEqual(["unplanned"]);
      } finally {
        await narrow.stop();
      }
    },
    RUN_MS,
  );
});

test.skipIf(!HAS_NATIVE)(
  "a model's engine goes with its file, and another file in its place is another model",
  async () => {
    const models = join(folder, "models");
    const path = join(models, "moved.gguf");
    const put = (seed: number) => {
      const beside = join(folder, "beside");
      mkdirSync(beside, { recursive: true });
      copyFileSync(cacheModel({ ...TINY_SPEC, seed }), join(beside, "m.gguf"));
      renameSync(join(beside, "m.gguf"), path);
    };
    put(906);
    await waitFor("it is listed", async () => (await complete(server, "moved", "Once")).status === 200);
    const first = await complete(server, "moved", "Once");
    rmSync(path);
    await waitFor("it is gone", async () => (await rowsOf("moved")).length === 0);
    const gone = await complete(server, "moved", "Once");
    expect([gone.status, gone.json.error.code]).toEqual([404, "model_not_found"]);
    put(907);
    await waitFor("it is listed again", async () => (await complete(server, "moved", "Once")).status === 200);
    const second = await complete(server, "moved", "Once");
    const [before, after] = [first, second].map(({ json }) => json.choices[0].text);
    expect(after).not.toBe(before);
    // In one step, under an engine that is loaded.
    put(906);
    await waitFor("the first is back", async () => {
      const { status, json } = await complete(server, "moved", "Once");
      return status === 200 && json.choices[0].text === before;
    });
  },
  RUN_MS,
);
