// A model that a server downloads while it runs answers at once; one that `pull` or another program brings appears by
// itself, and goes when its file goes. The official Ollama client does the asking.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ollama } from "ollama";
import { runToEnd } from "../support/binary.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { type LoopbackHub, startLoopbackHub } from "../support/loopback-hub.ts";
import { type Server, startServer } from "../support/server.ts";
import { TINIEST, writeTinyFolder } from "../support/tiny-decoders.ts";

const DEMO = new Uint8Array(readFileSync(join(import.meta.dir, "../../src/demo/demo.gguf")));
const NAME = "owner/tiny-GGUF:F16";
/** Notices of the system, and the pause between two looks. */
const APPEARS_MS_MAX = 10_000;

let hub: LoopbackHub;
let server: Server;
let home = "";

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "mlo-pull-server-"));
  hub = startLoopbackHub({ "tiny-F16.gguf": DEMO });
  const env = {
    HOME: home,
    XDG_DATA_HOME: join(home, "data"),
    HF_ENDPOINT: hub.endpoint,
    ML_OFFLOAD_DISCOVER: "on",
    OLLAMA_MODELS: join(home, "ollama"),
  };
  server = await startServer({ args: ["--ctx", "512"], env });
}, 120_000);

afterAll(async () => {
  await server?.stop();
  await hub?.[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});

async function listIds(): Promise<string[]> {
  const response = await fetch(`${server.url}/v1/models`);
  return ((await response.json()) as { data: { id: string }[] }).data.map(({ id }) => id);
}

async function untilListed(expected: readonly string[]): Promise<void> {
  const deadlineMs = performance.now() + APPEARS_MS_MAX;
  let ids = await listIds();
  while (!Bun.deepEquals(ids, expected)) {
    if (performance.now() > deadlineMs)
      throw new Error(`${JSON.stringify(ids)} in place of ${JSON.stringify(expected)}`);
    await Bun.sleep(50);
    ids = await listIds();
  }
}

test("what /api/pull has brought is listed and answers at once", async () => {
  const client = new Ollama({ host: server.url });
  expect(await listIds()).toEqual(["demo"]);
  const statuses: string[] = [];
  let completed = 0;
  for await (const part of await client.pull({ model: NAME, stream: true })) {
    statuses.push(part.status);
    completed = part.completed ?? completed;
  }
  expect([statuses[0], statuses.at(-1), completed]).toEqual(["pulling manifest", "success", DEMO.length]);
  expect(await listIds()).toEqual([NAME]);
  const messages = [{ role: "user", content: "Hello!" }];
  const answer = await client.chat({ model: NAME, messages, options: { num_predict: 4, temperature: 0 } });
  expect(answer.message.content.length).toBeGreaterThan(0);
  expect((await client.pull({ model: NAME })).status).toBe("success");
}, 60_000);

test("a file that appears is listed, and one that goes is gone", async () => {
  const folder = join(home, "data/ml-offload/models");
  writeFileSync(join(home, "other.gguf"), DEMO);
  renameSync(join(home, "other.gguf"), join(folder, "other.gguf"));
  await untilListed(["other", NAME].sort());
  rmSync(join(folder, "other.gguf"));
  await untilListed([NAME]);
}, 30_000);

test("so is one of another program whose folder comes later", async () => {
  const manifests = join(home, "ollama/manifests/registry.ollama.ai/library/small");
  mkdirSync(join(home, "ollama/blobs"), { recursive: true });
  const hash = "0".repeat(64);
  writeFileSync(join(home, "ollama/blobs", `sha256-${hash}`), DEMO);
  mkdirSync(manifests, { recursive: true });
  const layer = { mediaType: "application/vnd.ollama.image.model", digest: `sha256:${hash}`, size: DEMO.length };
  writeFileSync(join(manifests, "latest"), JSON.stringify({ layers: [layer] }));
  await untilListed([NAME, "small:latest"]);
  const client = new Ollama({ host: server.url });
  const { response } = await client.generate({ model: "small", prompt: "Hello", options: { num_predict: 2 } });
  expect(response?.length).toBeGreaterThan(0);
}, 60_000);

test("pull and search from the command line", async () => {
  const program = [process.execPath, join(import.meta.dir, "../../src/main.ts")];
  const own = mkdtempSync(join(tmpdir(), "mlo-pull-command-"));
  const env = { PATH: process.env.PATH ?? "", HOME: own, HF_ENDPOINT: hub.endpoint };
  const run = (...args: string[]) =>
    runToEnd([...program, ...args], { env, cwd: own, stdin: "ignore", timeout: 30_000 });
  const first = await run("pull", "owner/tiny-GGUF");
  expect([first.code, first.stdout]).toEqual([0, `${NAME}\n`]);
  expect(first.stderr).toContain("100%");
  const again = await run("pull", "--json", NAME);
  expect(JSON.parse(again.stdout)).toMatchObject({ type: "done", name: NAME, wasThere: true });
  const unknown = await run("pull", "owner/nothing");
  expect([unknown.code, unknown.stdout]).toEqual([1, ""]);
  expect(unknown.stderr).toContain("owner/nothing does not exist");
  expect((await run("pull", "llama3")).code).toBe(2);
  rmSync(own, { recursive: true, force: true });
}, 60_000);

test("weights that are no GGUF are converted by the pull, and answer under the name that was asked for", async () => {
  const source = join(home, "weights");
  writeTinyFolder(source, { ...TINIEST, isTied: true, dtype: "BF16" }, tinyTokenizer());
  const files = Object.fromEntries(
    readdirSync(source).map((name) => [name, new Uint8Array(readFileSync(join(source, name)))]),
  );
  await using other = startLoopbackHub(files);
  const data = join(home, "weights-data");
  const own = await startServer({
    env: { XDG_DATA_HOME: data, XDG_CACHE_HOME: join(home, "cache"), HF_ENDPOINT: other.endpoint },
  });
  try {
    const client = new Ollama({ host: own.url });
    const statuses: string[] = [];
    for await (const part of await client.pull({ model: "owner/tiny-GGUF", stream: true })) statuses.push(part.status);
    expect(statuses[0]).toBe("pulling manifest");
    expect(statuses.some((status) => status.startsWith("converting to "))).toBe(true);
    expect(statuses.at(-1)).toBe("success");
    const { models } = await client.list();
    expect(models.map(({ name }) => name)).toEqual(["owner/tiny-GGUF:safetensors"]);
    const listed = (await (await fetch(`${own.url}/v1/models`)).json()) as {
      data: { id: string; conversion: string }[];
    };
    expect(listed.data).toMatchObject([{ id: "owner/tiny-GGUF:safetensors", conversion: "done" }]);
    const answer = await client.generate({ model: "owner/tiny-GGUF", prompt: "the", options: { num_predict: 2 } });
    expect(answer.done).toBe(true);
    // A second time there is nothing to fetch, and nothing to convert.
    const again: string[] = [];
    for await (const part of await client.pull({ model: "owner/tiny-GGUF", stream: true })) again.push(part.status);
    expect(again).toEqual(["success"]);
    const { conversions } = (await (await fetch(`${own.url}/api/models/convert`)).json()) as { conversions: object[] };
    expect(conversions).toHaveLength(1);
  } finally {
    await own.stop();
  }
}, 120_000);
