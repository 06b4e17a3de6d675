// Truncated, lying and foreign files under a model's name: each request for one gets a clear error within a
// bounded time, and the good model in the same server goes on answering.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { postJson } from "../support/completions.ts";
import { makeMutations } from "../support/gguf-mutations.ts";
import { type Server, startServer } from "../support/server.ts";

const VALID = new Uint8Array(readFileSync(join(import.meta.dir, "../../src/demo/demo.gguf")));
const MUTATIONS = makeMutations(VALID);
const CODES = ["model_damaged", "format_unsupported"];
/** An engine's start and its refusal take under 2 s on an idle machine. */
const ANSWER_MS_MAX = 20_000;
/** Bun, the API and a hundred small manifests; an absurd count that was believed would need gigabytes. */
const SERVER_RSS_BYTES_MAX = 700 * 1024 * 1024;

let folder = "";
let server: Server;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mlo-damaged-"));
  writeFileSync(join(folder, "good.gguf"), VALID);
  mkdirSync(join(folder, "directory.gguf"));
  for (const { name, bytes } of MUTATIONS) writeFileSync(join(folder, `${name}.gguf`), bytes);
  server = await startServer({ args: ["--models-dir", folder, "--ctx", "512", "--parallel", "2"] });
}, 120_000);

afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("a broken model file", () => {
  test("is one of at least 24 cuts, 60 lies and 10 foreign files", () => {
    const count = (kind: string) => MUTATIONS.filter(({ name }) => name.startsWith(kind)).length;
    expect([count("cut-") >= 24, count("lie-") >= 60, count("not-") >= 10]).toEqual([true, true, true]);
    for (const { name, bytes } of MUTATIONS) expect([name, Bun.deepEquals(bytes, VALID)]).toEqual([name, false]);
  });

  test("is listed beside the good one without ending the server", async () => {
    const response = await fetch(`${server.url}/v1/models`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    const list = (await response.json()) as { data: { id: string }[] };
    expect(list.data.map((model) => model.id)).toContain("good");
  });

  for (const { name } of MUTATIONS) {
    test(name, () => expectClearError(name, CODES), ANSWER_MS_MAX + 5_000);
  }

  test("a directory with a model's name", () => expectClearError("directory", [...CODES, "model_not_found"]));

  test("has no plan but the refusal that its load has", async () => {
    const headers = { "Content-Type": "application/json" };
    const plan = async (model: string) => {
      const body = JSON.stringify({ model });
      const response = await fetch(`${server.url}/api/plan`, { method: "POST", headers, body });
      return { model, reply: (await response.json()) as { verdict?: string; error?: { code: string; hint: string } } };
    };
    expect((await plan("good")).reply).toMatchObject({ verdict: "fits", source: "measured" });
    for (const { model, reply } of await Promise.all(MUTATIONS.map(({ name }) => plan(name)))) {
      expect([model, CODES.includes(reply.error?.code ?? ""), reply]).toEqual([model, true, reply]);
      expect(reply.error?.hint.length).toBeGreaterThan(10);
    }
  }, 60_000);

  test("the good model answers after all of them", expectGoodAnswer, ANSWER_MS_MAX + 5_000);

  test.skipIf(process.platform !== "linux")("the server's memory stays small", () => {
    const status = readFileSync(`/proc/${server.pid}/status`, "utf8");
    const rssBytes = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
    expect(rssBytes).toBeLessThan(SERVER_RSS_BYTES_MAX);
  });
});

async function ask(model: string): Promise<Response> {
  const messages = [{ role: "user", content: "hello" }];
  return await postJson(`${server.url}/v1/chat/completions`, { model, messages, max_tokens: 4 }, ANSWER_MS_MAX);
}

async function expectClearError(name: string, codes: string[]): Promise<void> {
  const response = await ask(name);
  const text = await response.text();
  const { error } = JSON.parse(text) as { error: { code: string; message: string; hint: string } };
  expect(codes, text).toContain(error.code);
  expect(response.status, text).toBeGreaterThanOrEqual(400);
  expect(response.headers.get("content-type")).toContain("application/json");
  expect(error.message).toContain(name);
  expect(error.hint.length, text).toBeGreaterThan(10);
  expect(server.exitCode()).toBeNull();
}

async function expectGoodAnswer(): Promise<void> {
  const response = await ask("good");
  const text = await response.text();
  expect(response.status, text).toBe(200);
  const { choices } = JSON.parse(text) as { choices: { message: { content: string } }[] };
  expect(choices[0]?.message.content.length).toBeGreaterThan(0);
}
