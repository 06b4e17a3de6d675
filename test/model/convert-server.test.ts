// Folders of weights that a server converts when they are asked for: once for all who ask, found again by the next server,
// and with a clear end when the process that converts is killed, cancelled, or can't.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runToEnd, waitFor } from "../support/binary.ts";
import { cleanEnvironment } from "../support/child-process.ts";
import { holdConverter, listConverters } from "../support/converting-child.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import type { Json } from "../support/http-app.ts";
import { type Server, startServer } from "../support/server.ts";
import { writeSparseFolder } from "../support/sparse-folder.ts";
import { TINY, type TinyDecoder, writeTinyFolder } from "../support/tiny-decoders.ts";

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "mlo-convert-server-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Of the tests in this file, so that the self-test of the plug-ins runs once. */
const cache = () => join(root, "cache");
const data = (name: string) => join(root, name, "data");
const modelsOf = (name: string) => join(data(name), "ml-offload/models");

function start(name: string, ...args: string[]): Promise<Server> {
  return startServer({
    args: ["--ctx", "256", ...args],
    env: { XDG_CACHE_HOME: cache(), XDG_DATA_HOME: data(name) },
  });
}

function writeTiny(path: string, changes: Partial<TinyDecoder> = {}): string {
  const folder = join(root, path);
  writeTinyFolder(
    folder,
    { ...TINY, dtype: "BF16", architecture: "Qwen3ForCausalLM", headLength: 32, ...changes },
    tinyTokenizer(),
  );
  return folder;
}

async function ask(
  { url }: Server,
  path: string,
  body?: object,
  method?: string,
): Promise<{ status: number; body: Json }> {
  const response = await fetch(`${url}${path}`, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
  });
  return { status: response.status, body: await response.json() };
}

const chat = (server: Server, model?: string) =>
  ask(server, "/v1/chat/completions", {
    ...(model === undefined ? {} : { model }),
    messages: [{ role: "user", content: "the" }],
    max_tokens: 4,
    temperature: 0,
  });
const listJobs = async (server: Server): Promise<Json[]> => (await ask(server, "/api/models/convert")).body.conversions;

/** All GGUF files in the cache of converted models, and all that is hidden there. */
function listCache(): { files: string[]; hidden: string[] } {
  const folder = join(cache(), "ml-offload/converted");
  const names = existsSync(folder) ? (readdirSync(folder, { recursive: true }) as string[]) : [];
  const isHidden = (name: string) => name.split("/").some((part) => part.startsWith("."));
  return {
    files: names.filter((name) => name.endsWith(".gguf") && !isHidden(name)),
    hidden: names.filter(isHidden),
  };
}

describe("a folder that is named at the start", () => {
  let folder = "";
  let made: string[] = [];

  test("is converted once for all who ask, and answers", async () => {
    folder = writeTiny("Tiny");
    const server = await start("named", "--model", folder);
    try {
      const before = await ask(server, "/api/plan", {});
      expect(before.body).toMatchObject({ verdict: "fits", source: "estimated", convertTo: "bf16" });
      const answers = await Promise.all([chat(server), chat(server, "Tiny")]);
      for (const { status, body } of answers) {
        expect([status, body.usage?.completion_tokens > 0]).toEqual([200, true]);
      }
      expect(await listJobs(server)).toMatchObject([{ source: "Tiny", state: "done", file: "Tiny-BF16.gguf" }]);
      const { data: models } = (await ask(server, "/v1/models")).body;
      expect(models).toMatchObject([{ id: "Tiny", conversion: "done", quantization: "BF16", state: "loaded" }]);
      made = listCache().files;
      expect(made).toHaveLength(1);
      // Before the conversion by the formula, after it by the file.
      expect(server.logTail()).not.toContain("without a plan");
      const planned = (await ask(server, "/api/models/status")).body.models[0].plannedBytes[0];
      const { totalBytes } = before.body.plan.memory;
      expect(Math.abs(planned - totalBytes)).toBeLessThan(0.1 * totalBytes);
      expect((await ask(server, "/api/plan", {})).body).toMatchObject({ source: "measured", convertTo: null });
    } finally {
      await server.stop();
    }
  }, 120_000);

  test("is refused before it is converted where there is no room for what would be made of it", async () => {
    const server = await start("small", "--model", writeTiny("Wide"), "--memory-budget", "20000000");
    try {
      const { status, body } = await chat(server);
      expect([status, body.error.code]).toEqual([400, "plan_refused"]);
      expect(body.error.message).toContain("Wide takes at least");
      expect(await listJobs(server)).toEqual([]);
    } finally {
      await server.stop();
    }
  }, 120_000);

  test("is not converted again by the next server", async () => {
    const server = await start("named", folder);
    try {
      expect((await chat(server, "Tiny")).status).toBe(200);
      expect(await listJobs(server)).toEqual([]);
      expect(listCache().files).toEqual(made);
    } finally {
      await server.stop();
    }
  }, 120_000);

  test("with another type it is another file, and one that is gone takes its files along", async () => {
    const server = await start("named", "--convert-type", "q8_0", folder);
    try {
      expect((await chat(server, "Tiny")).status).toBe(200);
      expect(listCache().files.map((name) => name.split("/")[1])).toEqual(["Tiny-BF16.gguf", "Tiny-Q8_0.gguf"]);
    } finally {
      await server.stop();
    }
    rmSync(folder, { recursive: true });
    const later = await start("named");
    try {
      await waitFor("the cache to be cleaned up", () => listCache().files.length === 0);
    } finally {
      await later.stop();
    }
  }, 120_000);
});

describe("folders in the models folder", () => {
  let server: Server;
  beforeAll(async () => {
    writeTiny("found/data/ml-offload/models/owner/Small");
    writeTiny("found/data/ml-offload/models/Odd", { config: { architectures: ["FooForCausalLM"] } });
    truncateSync(join(writeTiny("found/data/ml-offload/models/Cut"), "model.safetensors"), 2_000);
    server = await start("found");
  }, 120_000);
  afterAll(() => server.stop());

  test("are listed, and converted by the request that names them", async () => {
    const { data: models } = (await ask(server, "/v1/models")).body;
    const told = models.map(({ id, conversion, state }: Json) => [id, conversion, state]);
    expect(told).toEqual([
      ["Cut", null, "failed"],
      ["Odd", null, "failed"],
      ["Small", "needed", "unloaded"],
      ["demo", null, "unloaded"],
    ]);
    expect(await chat(server, "Small")).toMatchObject({ status: 200, body: { model: "Small" } });
    expect((await ask(server, "/v1/models/Small")).body.conversion).toBe("done");
  }, 120_000);

  test("that can't be converted are explained in every dialect", async () => {
    const messages = [{ role: "user", content: "x" }];
    const odd = await chat(server, "Odd");
    expect(odd).toMatchObject({ status: 400, body: { error: { code: "format_unsupported" } } });
    expect(odd.body.error.message).toContain("FooForCausalLM");
    const cut = await ask(server, "/v1/messages", { model: "Cut", messages, max_tokens: 4 });
    expect(cut).toMatchObject({ status: 500, body: { type: "error", error: { code: "model_damaged" } } });
    const ollama = await ask(server, "/api/chat", { model: "Odd", messages });
    expect(ollama).toMatchObject({ status: 400, body: { code: "format_unsupported" } });
  }, 60_000);

  test("can be converted for good: the file is listed and served, and readers of events see it", async () => {
    const events = await fetch(`${server.url}/api/events?topics=convert,models`);
    const body = { source: "Small", outtype: "f16", name: "kept", wait: true };
    const reply = await ask(server, "/api/models/convert", body);
    expect(reply).toMatchObject({ status: 200, body: { state: "done", file: "kept.gguf", outType: "f16" } });
    expect(readdirSync(modelsOf("found")).sort()).toEqual(["Cut", "Odd", "kept.gguf", "owner"]);
    expect(await chat(server, "kept")).toMatchObject({ status: 200 });
    const seen = await readEvents(events, ({ topic, data }) => topic === "models" && data.type === "listed");
    const states = seen.filter(({ topic }) => topic === "convert").map(({ data }) => data.state);
    expect([states[0], states.at(-1)]).toEqual(["queued", "done"]);
    expect(seen.at(-1).data).toEqual({ type: "listed", id: "kept" });
    expect(seen.map(({ seq }) => seq)).toEqual(seen.map(({ seq }) => seq).toSorted((a, b) => a - b));
    expect(await ask(server, "/api/models/convert", body)).toMatchObject({
      status: 400,
      body: { error: { code: "invalid_request" } },
    });
    const wrong = await ask(server, "/api/models/convert", { source: "Small", outtype: "q9" });
    expect(wrong).toMatchObject({ status: 400, body: { error: { code: "invalid_request" } } });
  }, 120_000);
});

/** Until one of them is the one that is waited for. */
async function readEvents(response: Response, isLast: (event: Json) => boolean): Promise<Json[]> {
  const events: Json[] = [];
  let text = "";
  for await (const chunk of response.body as ReadableStream<Uint8Array>) {
    text += new TextDecoder().decode(chunk);
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const line = block.split("\n").find((part) => part.startsWith("data: "));
      if (line !== undefined) events.push(JSON.parse(line.slice(6)));
    }
    if (events.some(isLast)) break;
  }
  return events.slice(0, events.findIndex(isLast) + 1);
}

const listLarge = () => listCache().files.filter((name) => name.includes("Large"));

describe.skipIf(process.platform !== "linux")("a conversion that is interrupted", () => {
  let server: Server;
  beforeAll(async () => {
    mkdirSync(modelsOf("broken"), { recursive: true });
    writeSparseFolder(join(modelsOf("broken"), "Large"));
    server = await start("broken");
  }, 120_000);
  afterAll(() => server.stop());

  test("by a kill: the request is told, nothing is left, and the next request converts again", async () => {
    const waiting = [chat(server, "Large"), chat(server, "Large")];
    process.kill(await holdConverter(server.pid), "SIGKILL");
    for (const { status, body } of await Promise.all(waiting)) {
      expect([status, body.error.code]).toEqual([503, "engine_crashed"]);
      expect(body.error.message).toContain("by SIGKILL");
    }
    expect(listLarge()).toEqual([]);
    expect(listCache().hidden).toEqual([]);
    expect((await ask(server, "/api/health")).status).toBe(200);
    expect((await chat(server, "Large")).status).toBe(200);
    expect((await listJobs(server)).map(({ state }) => state)).toEqual(["failed", "done"]);
  }, 120_000);

  test("by a client: it ends, and nothing is left", async () => {
    const started = await ask(server, "/api/models/convert", { source: "Large", outtype: "q8_0" });
    const pid = await holdConverter(server.pid);
    const ended = ask(server, `/api/models/convert/${started.body.id}`, undefined, "DELETE");
    process.kill(pid, "SIGCONT");
    expect(await ended).toMatchObject({ status: 200, body: { state: "cancelled" } });
    expect(listConverters(server.pid)).toEqual([]);
    expect(readdirSync(modelsOf("broken"))).toEqual(["Large"]);
  }, 60_000);
});

test.skipIf(process.platform !== "linux")(
  "a server that is killed takes its conversion along, and the next one begins anew",
  async () => {
    const folder = join(root, "Killed");
    writeSparseFolder(folder);
    const server = await start("killed", folder);
    try {
      const pid = await holdConverter(server.pid);
      server.kill("SIGKILL");
      process.kill(pid, "SIGCONT");
      await waitFor("the conversion to end", () => !isRunning(pid));
      expect(listCache().files.filter((name) => name.includes("Killed"))).toEqual([]);
    } finally {
      await server.stop();
    }
    const next = await start("killed", folder);
    try {
      expect((await chat(next, "Killed")).status).toBe(200);
      expect(listCache().hidden).toEqual([]);
    } finally {
      await next.stop();
    }
  },
  120_000,
);

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (_gone) {
    return false;
  }
}

test("run takes a folder, shows that it converts, and show takes names", async () => {
  const folder = writeTiny("Shown");
  const home = mkdtempSync(join(root, "home-"));
  const env = cleanEnvironment({ HOME: home, XDG_CACHE_HOME: cache() });
  const program = process.env.ML_OFFLOAD_BINARY
    ? [process.env.ML_OFFLOAD_BINARY]
    : [process.execPath, join(import.meta.dir, "../../src/main.ts")];
  const run = (...args: string[]) =>
    runToEnd([...program, ...args], { env, cwd: home, stdin: "ignore", timeout: 60_000 });
  const first = await run("run", folder, "the", "--max-tokens", "4", "--temperature", "0");
  expect(first).toMatchObject({ code: 0 });
  expect(first.stderr).toContain("converting Shown");
  expect(first.stderr).toContain("100%");
  const second = await run("run", folder, "the", "--max-tokens", "4", "--temperature", "0");
  expect([second.code, second.stdout]).toEqual([0, first.stdout]);
  expect(second.stderr).not.toContain("converting");
  const shown = await run("show", "demo", "--json");
  expect(JSON.parse(shown.stdout)).toMatchObject({ verdict: "runs", architecture: "llama" });
  expect(await run("show", "dema")).toMatchObject({ code: 1, stderr: expect.stringContaining("demo") });
}, 120_000);
