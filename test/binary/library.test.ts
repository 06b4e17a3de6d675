// The compiled binary's library: a model is sent while the server runs, is listed, answers by its model file's settings, and
// goes; an upload that is killed leaves nothing that is listed, and can be gone on with.

import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolder, startBinary, waitFor } from "../support/binary.ts";
import { DEMO_PATH } from "../support/fake-inference.ts";
import type { Json } from "../support/http-app.ts";
import { rawGguf, stringEntry, tensorEntry } from "../support/raw-gguf.ts";
import type { Server } from "../support/server.ts";

const demo = new Uint8Array(readFileSync(DEMO_PATH));
const sha256 = new Bun.CryptoHasher("sha256").update(demo).digest("hex");

interface Library {
  server: Server;
  ask(
    method: string,
    path: string,
    body?: BodyInit,
    headers?: Record<string, string>,
  ): Promise<{ status: number; json: Json }>;
  ids(): Promise<string[]>;
}

async function startLibrary(home: string): Promise<Library> {
  const folders = { XDG_DATA_HOME: join(home, "data"), XDG_STATE_HOME: join(home, "state") };
  const env = { ...folders, MODEL_CONFIG_DIR: join(home, "model-files") };
  const server = await startBinary({ env });
  const ask: Library["ask"] = async (method, path, body, headers) => {
    const response = await fetch(server.url + path, {
      method,
      ...(body ? { body } : {}),
      ...(headers ? { headers } : {}),
    });
    const text = await response.text();
    return { status: response.status, json: text === "" ? null : JSON.parse(text) };
  };
  const ids = async () => (await ask("GET", "/api/models/list")).json.models.map(({ id }: Json) => id);
  return { server, ask, ids };
}

test("a model is sent, described, asked, renamed, pinned and deleted", async () => {
  using home = makeFolder();
  const models = join(home.path, "data/ml-offload/models");
  const { server, ask, ids } = await startLibrary(home.path);
  try {
    const sent = await ask("POST", `/api/models/upload?name=mine.gguf&sha256=${sha256}`, demo);
    expect(sent).toMatchObject({ status: 200, json: { id: "mine", sha256, error: null } });
    expect(await ids()).toEqual(["mine"]);
    const file =
      "model_id: short\ndisplay_name: Short\npath: mine\nsettings: {ctx: 256, parallel: 2}\nsampling: {max_tokens: 3}\n";
    const described = await ask("POST", "/api/models/upload?name=short.yaml", file);
    expect(described).toMatchObject({ status: 200, json: { kind: "model-file", id: "short", error: null } });
    const answer = await ask(
      "POST",
      "/v1/completions",
      JSON.stringify({ model: "short", prompt: "One two", temperature: 0 }),
    );
    expect(answer.json.usage.completion_tokens).toBe(3);
    const { json: info } = await ask("GET", "/api/backend/info");
    expect(info.engines).toMatchObject([{ model: "short", info: { contextLength: 256, parallel: 2 } }]);
    // A file that a person writes is seen as well, and a wrong one is told.
    writeFileSync(
      join(home.path, "model-files/other.json"),
      '{"model_id": "other",\n "path": "mine", "settings": {"ctx": "x"}}',
    );
    await waitFor("the model file is listed", async () => (await ids()).includes("other"));
    const refused = await ask("POST", "/v1/completions", JSON.stringify({ model: "other", prompt: "x" }));
    expect(refused.json.error.message).toContain("other.json, line 2: `settings.ctx`");
    rmSync(join(home.path, "model-files/other.json"));
    await waitFor("the model file is gone", async () => !(await ids()).includes("other"));
    expect((await ask("POST", "/api/models/pin", '{"model": "short"}')).json).toEqual({ id: "short", pinned: true });
    expect((await ask("DELETE", "/api/models/by-id/short")).json).toEqual({ id: "short", removed: "model-file" });
    expect(await ids()).toEqual(["mine"]);
    expect((await ask("POST", "/api/models/rename", '{"model": "mine", "name": "yours"}')).json).toEqual({
      id: "yours",
    });
    expect(await ids()).toEqual(["yours"]);
    expect((await ask("DELETE", "/api/models/by-id/yours")).json).toEqual({ id: "yours", removed: "files" });
    expect(readdirSync(models)).toEqual([]);
    expect(await ids()).toEqual(["demo"]);
  } finally {
    await server.stop();
  }
}, 120_000);

test("a killed server leaves nothing listed, and the upload goes on with the next one", async () => {
  using home = makeFolder();
  const first = await startLibrary(home.path);
  const tus = { "Tus-Resumable": "1.0.0" };
  const response = await fetch(`${first.server.url}/api/models/upload`, {
    method: "POST",
    headers: {
      ...tus,
      "Upload-Length": String(demo.byteLength),
      "Upload-Metadata": `filename ${btoa("mine.gguf")},sha256 ${btoa(sha256)}`,
    },
  });
  const location = response.headers.get("Location") ?? "";
  expect(response.status).toBe(201);
  // Half of it, and a connection that stays open: the server is killed in the middle.
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(demo.slice(0, 500_000));
    },
  });
  const headers = { ...tus, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0" };
  const cut = fetch(first.server.url + location, { method: "PATCH", headers, body }).catch(() => null);
  const offset = async (url: string) =>
    Number((await fetch(url + location, { method: "HEAD" })).headers.get("Upload-Offset"));
  await waitFor("half of it has arrived", async () => (await offset(first.server.url)) === 500_000);
  expect(await first.ids()).toEqual(["demo"]);
  process.kill(first.server.pid, "SIGKILL");
  await cut;
  await first.server.stop();
  const second = await startLibrary(home.path);
  try {
    expect(await second.ids()).toEqual(["demo"]);
    const at = await offset(second.server.url);
    expect(at).toBe(500_000);
    const rest = await fetch(second.server.url + location, {
      method: "PATCH",
      headers: { ...headers, "Upload-Offset": String(at) },
      body: demo.slice(at),
    });
    expect(rest.status).toBe(204);
    expect(await second.ids()).toEqual(["mine"]);
    expect(existsSync(join(home.path, "data/ml-offload/models/mine.gguf"))).toBe(true);
  } finally {
    await second.server.stop();
  }
}, 120_000);

/** Far less than the file, and far more than what a collector may leave lying about. */
const GROWTH_BYTES_MAX = 256 * 1024 * 1024;
const ELEMENTS = 192 * 1024 * 1024;

test("a large model takes no memory while it arrives, as a body and in a form", async () => {
  if (process.platform !== "linux") {
    console.log("not run: only Linux tells a process's peak of memory in /proc");
    return;
  }
  using home = makeFolder();
  const path = join(home.path, "large.gguf");
  const header = rawGguf({
    metadata: [stringEntry("general.architecture", "llama")],
    tensors: [tensorEntry("token_embd.weight", [ELEMENTS], 0, 0)],
  });
  writeFileSync(path, header);
  // The rest is a hole: it costs no disk here.
  truncateSync(path, header.byteLength + ELEMENTS * 4);
  const { server, ask } = await startLibrary(home.path);
  try {
    const before = readPeakBytes(server.pid);
    const sent = await fetch(`${server.url}/api/models/upload?name=large.gguf`, {
      method: "POST",
      body: Bun.file(path),
    });
    expect(await sent.json()).toMatchObject({ id: "large", sizeBytes: header.byteLength + ELEMENTS * 4 });
    expect((await ask("DELETE", "/api/models/by-id/large")).status).toBe(200);
    const form = await fetch(`${server.url}/api/models/upload`, {
      method: "POST",
      headers: { "Content-Type": "multipart/form-data; boundary=B" },
      body: toStream(writeForm(path)),
    });
    expect(await form.json()).toMatchObject({ id: "large" });
    expect(readPeakBytes(server.pid) - before).toBeLessThan(GROWTH_BYTES_MAX);
  } finally {
    await server.stop();
  }
}, 120_000);

function toStream(chunks: AsyncIterator<Uint8Array>): ReadableStream {
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
  });
}

async function* writeForm(path: string): AsyncGenerator<Uint8Array, void> {
  const encoder = new TextEncoder();
  yield encoder.encode('--B\r\nContent-Disposition: form-data; name="file"; filename="large.gguf"\r\n\r\n');
  yield* Bun.file(path).stream();
  yield encoder.encode("\r\n--B--\r\n");
}

function readPeakBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}
