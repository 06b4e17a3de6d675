import { expect, test } from "bun:test";
import { NO_CAPABILITIES } from "../../src/models/capability.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { FakeBackend } from "../support/fake-backend.ts";
import { makeCard } from "../support/fake-inference.ts";
import { createTestApp, type Json, readJson } from "../support/http-app.ts";

const info = { ...new FakeBackend({ sequenceContextLength: 300 }).info, devices: ["CPU"], sizeBytes: 5000 };

test("tags list every model that can do something, under each name that a person gave it", async () => {
  const { get, inference } = createTestApp();
  inference.cards = [
    makeCard({ aliases: ["demo.gguf", "gpt-4o"], givenNames: ["gpt-4o"] }),
    makeCard({ id: "owner/repo:Q4_K_M", parameterCount: 7_600_000_000, architecture: null, quantization: null }),
    makeCard({ id: "part", capabilities: NO_CAPABILITIES }),
  ];
  const { models } = await readJson(await get("/api/tags"));
  expect(models.map(({ name }: Json) => name)).toEqual(["demo:latest", "gpt-4o:latest", "owner/repo:Q4_K_M"]);
  expect(models[0]).toEqual({
    name: "demo:latest",
    model: "demo:latest",
    modified_at: "2023-11-14T22:13:20.000Z",
    size: 1_300_000,
    digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    details: {
      parent_model: "",
      format: "gguf",
      family: "llama",
      families: ["llama"],
      parameter_size: "1.2M",
      quantization_level: "F16",
    },
  });
  expect(models[2].details).toMatchObject({ family: "", families: [], parameter_size: "7.6B", quantization_level: "" });
});

test("ps lists what is loaded, and until when", async () => {
  const { get, inference } = createTestApp();
  inference.cards = [
    makeCard({ id: "a", state: "loaded", info, sleepsInMs: 60_000 }),
    makeCard({ id: "b", state: "loaded", info: { ...info, devices: ["CUDA0", "CPU"] } }),
    makeCard({ id: "c", state: "asleep" }),
  ];
  const { models } = await readJson(await get("/api/ps"));
  expect(models).toMatchObject([
    { name: "a:latest", size: 5000, size_vram: 0, context_length: 300, expires_at: "2023-11-14T22:14:20.000Z" },
    { name: "b:latest", size: 5000, size_vram: 5000, expires_at: "2999-12-31T23:59:59.000Z" },
  ]);
});

test("show tells what clients size their prompts by, and what the model can do", async () => {
  const { post, inference } = createTestApp();
  const able = { ...NO_CAPABILITIES, chat: true, completion: true, embedding: true };
  inference.cards = [makeCard({ capabilities: { ...able, tools: true, reasoning: true, infill: true } })];
  for (const body of [{ model: "demo" }, { name: "demo:latest" }]) {
    expect(await readJson(await post("/api/show", body))).toMatchObject({
      modelfile: "FROM demo.gguf\n",
      parameters: expect.stringMatching(/^num_ctx +320$/),
      model_info: { "general.architecture": "llama", "llama.context_length": 320 },
      capabilities: ["completion", "tools", "thinking", "insert"],
      details: { format: "gguf" },
    });
  }
  inference.cards = [
    makeCard({
      capabilities: { ...NO_CAPABILITIES, embedding: true },
      contextLength: null,
      trainedContextLength: null,
    }),
  ];
  const shown = await readJson(await post("/api/show", { model: "demo" }));
  expect(shown.capabilities).toEqual(["embedding"]);
  expect(shown.model_info).not.toContainKey("llama.context_length");
  expect(shown.parameters).toBe("");
});

test("the version is one that clients know", async () => {
  const { get } = createTestApp();
  expect((await readJson(await get("/api/version"))).version).toMatch(/^0\.\d+\.\d+$/);
});

test("copies and deletions drop `:latest`, which says nothing", async () => {
  const { app, post, inference } = createTestApp();
  const copied = await post("/api/copy", { source: "demo:latest", destination: "mine:latest" });
  expect([copied.status, await copied.text()]).toEqual([200, ""]);
  expect(inference.aliasCalls).toEqual([["demo", "mine"]]);
  const remove = (body: object) =>
    app.handle(new Request("http://localhost/api/delete", { method: "DELETE", body: JSON.stringify(body) }));
  const deleted = await remove({ name: "demo:latest" });
  expect([deleted.status, await deleted.text()]).toEqual([200, ""]);
  await remove({ model: "demo" });
  expect(inference.removeCalls).toEqual(["demo", "demo"]);
});

test.each(["default:latest", "demo", "demo:latest"])("%s is found", async (model) => {
  const { post } = createTestApp();
  expect((await post("/api/show", { model })).status).toBe(200);
});

test("the tag of `auto:latest` asks for no capability", async () => {
  const { post, inference } = createTestApp();
  inference.resolveModel = (name) => {
    if (name !== "auto") throw new AppError({ code: "invalid_request", message: "an unknown capability" });
    return makeCard();
  };
  expect((await post("/api/show", { model: "auto:latest" })).status).toBe(200);
  expect((await post("/api/show", { model: "auto:flight" })).status).toBe(400);
});

test("HEAD / tells that a server is there", async () => {
  const { app } = createTestApp();
  const response = await app.handle(new Request("http://localhost/", { method: "HEAD" }));
  expect(response.status).toBe(200);
});
