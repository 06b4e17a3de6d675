// The routes of conversions over a service that is scripted: what may be named, what is told, waiting and cancelling.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError } from "../../src/protocol/errors.ts";
import { makeCard } from "../support/fake-inference.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { createTestApp, readError, readJson } from "../support/http-app.ts";
import { TINIEST, writeTinyFolder } from "../support/tiny-decoders.ts";

const PATH = "/api/models/convert";
const root = mkdtempSync(join(tmpdir(), "mlo-http-convert-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const folder = join(root, "tiny");
writeTinyFolder(folder, TINIEST, tinyTokenizer());
const odd = join(root, "odd");
const cut = join(root, "cut");
writeTinyFolder(cut, TINIEST, tinyTokenizer());
truncateSync(join(cut, "model.safetensors"), 1000);
writeTinyFolder(odd, { ...TINIEST, config: { architectures: ["Foo"] } }, tinyTokenizer());

function createApp(...args: Parameters<typeof createTestApp>) {
  const app = createTestApp(...args);
  app.inference.cards = [makeCard(), makeCard({ id: "owner/weights", path: folder, conversion: "needed" })];
  return app;
}

describe("starting one", () => {
  test("by a listed id", async () => {
    const { post, conversions } = createApp();
    const reply = await readJson(await post(PATH, { source: "owner/weights", outtype: "q8_0", name: "mine.gguf" }));
    expect(reply).toMatchObject({ id: "job-0", source: "owner/weights", state: "running", outType: "q8_0" });
    expect(conversions.asked).toEqual([{ label: "owner/weights", source: folder, outType: "q8_0", name: "mine" }]);
  });

  test("by a path, on this machine alone", async () => {
    const { post, conversions } = createApp();
    expect((await post(PATH, { source: folder })).status).toBe(200);
    expect(conversions.asked).toEqual([{ label: folder, source: folder, outType: "auto", name: null }]);
    const open = createApp({ host: "0.0.0.0" });
    expect(await readError(await open.post(PATH, { source: folder }))).toMatchObject({ code: "forbidden" });
    expect((await open.post(PATH, { source: "owner/weights" })).status).toBe(200);
  });

  test("waiting for its end", async () => {
    const { post, conversions } = createApp();
    const done = await readJson(await post(PATH, { source: folder, wait: true }));
    expect(done).toMatchObject({ state: "done", file: "m-F16.gguf", error: null });
    conversions.failure = new AppError({ code: "engine_crashed", message: "it was killed" });
    expect(await readError(await post(PATH, { source: folder, wait: true }))).toMatchObject({ code: "engine_crashed" });
    conversions.failure = new AppError({ code: "model_damaged", message: "a tensor is cut" });
    const damaged = await post(PATH, { source: folder, wait: true });
    expect(await readError(damaged)).toEqual({ status: 400, code: "invalid_request", param: "source" });
    conversions.failure = new AppError({ code: "cancelled", message: "somebody cancelled it" });
    expect((await post(PATH, { source: folder, wait: true })).status).toBe(200);
  });

  test.each([
    ["a model that is served as it is", { source: "demo" }, "invalid_request", "source"],
    ["a path with nothing", { source: join(root, "nope") }, "model_not_found", null],
    ["a folder that is not converted", { source: odd }, "format_unsupported", "source"],
    ["a folder whose weights are cut", { source: cut }, "invalid_request", "source"],
    ["an unknown model", { source: "nope" }, "model_not_found", "model"],
    ["no source", {}, "invalid_request", "source"],
    ["a name that climbs", { source: folder, name: "../x" }, "invalid_request", "name"],
    ["a name with a folder", { source: folder, name: "a/b" }, "invalid_request", "name"],
    ["a name that asks for a model by itself", { source: folder, name: "default.gguf" }, "invalid_request", "name"],
    ["a hidden name", { source: folder, name: ".x" }, "invalid_request", "name"],
    ["a NUL", { source: "/a\0b" }, "invalid_request", "source"],
  ])("%s is refused", async (_, body, code, param) => {
    const { post, conversions } = createApp();
    expect(await readError(await post(PATH, body))).toMatchObject({ code, param });
    expect(conversions.asked).toEqual([]);
  });
});

test("a listed model that is broken says why, without its place to those elsewhere", async () => {
  for (const [host, told] of [
    ["127.0.0.1", "/srv/own/broken.gguf is damaged"],
    ["0.0.0.0", "broken.gguf is damaged"],
  ] as const) {
    const { post, inference } = createApp({ host });
    inference.cards = [
      makeCard({ id: "broken", path: "/srv/own/broken.gguf", error: "/srv/own/broken.gguf is damaged" }),
    ];
    const response = await post(PATH, { source: "broken" });
    expect((await readJson(response.clone())).error.message).toBe(told);
    expect(await readError(response)).toEqual({ status: 400, code: "invalid_request", param: "source" });
  }
});

test("they are listed, and can be cancelled", async () => {
  const { app, get, post } = createApp();
  expect(await readJson(await get(PATH))).toEqual({ conversions: [] });
  const { id } = await readJson(await post(PATH, { source: folder }));
  const listed = (await readJson(await get(PATH))).conversions;
  expect(listed).toMatchObject([{ id, state: "running", error: null }]);
  const cancel = (name: string) =>
    app.handle(new Request(`http://localhost:9000${PATH}/${name}`, { method: "DELETE" }));
  const ended = await readJson(await cancel(id));
  expect(ended).toMatchObject({ state: "cancelled", error: { code: "cancelled", hint: expect.any(String) } });
  expect(await readError(await cancel("nope"))).toMatchObject({ status: 404, code: "not_found" });
});
