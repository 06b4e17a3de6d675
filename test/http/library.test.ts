// The library's listing, names, pins and removals over HTTP; what they do on the disk is tested in models/.

import { expect, test } from "bun:test";
import { makeCard } from "../support/fake-inference.ts";
import { createTestApp, readError, readJson } from "../support/http-app.ts";

const described = {
  file: "/home/somebody/files/a.yaml",
  displayName: "A",
  modelType: "llm",
  withoutEffect: ["requirements"],
  chatTemplate: null,
  hardware: [{ key: "requirements.memory_gb", outcome: "met" as const, reason: "enough" }],
  taken: [],
  content: { model_id: "a", path: "m.gguf", requirements: { memory_gb: 8 } },
};

test("everything is listed, with places for programs on this machine alone", async () => {
  const { get, inference } = createTestApp();
  inference.cards = [
    makeCard({ id: "a", described, displayName: "A", place: "model-file", pinned: true, state: "loaded" }),
    makeCard({ id: "b", error: "it is damaged", isDefault: false, place: "ollama" }),
  ];
  const { models } = await readJson(await get("/api/models/list"));
  expect(models).toMatchObject([
    {
      id: "a",
      displayName: "A",
      modelType: "llm",
      place: "model-file",
      path: expect.stringContaining("demo.gguf"),
      modelFile: {
        name: "a.yaml",
        withoutEffect: ["requirements"],
        hardware: described.hardware,
        content: { requirements: { memory_gb: 8 } },
      },
      pinned: true,
      loaded: true,
      capabilities: ["chat", "completion", "embedding"],
    },
    { id: "b", error: "it is damaged", place: "ollama", modelFile: null, loaded: false },
  ]);
  const open = createTestApp({ host: "0.0.0.0" });
  const error = "/srv/own/m-00002-of-2.gguf is damaged; the model file /home/somebody/files/a.yaml names it";
  open.inference.cards = [makeCard({ id: "a", described, path: "/srv/own/m-00001-of-2.gguf", error })];
  const [shown] = (await readJson(await open.get("/api/models/list"))).models;
  expect(shown.path).toBeNull();
  expect(shown.error).toBe("m-00002-of-2.gguf is damaged; the model file a.yaml names it");
});

test("names with slashes are removed by their path, and what was removed is told", async () => {
  const { app, inference } = createTestApp();
  inference.cards.push(makeCard({ id: "owner/repo:Q8_0", isDefault: false }));
  const remove = (path: string) =>
    app.handle(new Request(`http://localhost:9000/api/models/by-id/${path}`, { method: "DELETE" }));
  expect(await readJson(await remove("owner/repo%3AQ8_0"))).toEqual({ id: "owner/repo:Q8_0", removed: "files" });
  expect(inference.removeCalls).toEqual(["owner/repo:Q8_0"]);
  expect(await readError(await remove("nope"))).toMatchObject({ status: 404, code: "model_not_found" });
});

test("copy, rename, pin and unpin", async () => {
  const { post, inference } = createTestApp();
  const ask = async (verb: string, body: object) => await readJson(await post(`/api/models/${verb}`, body));
  expect(await ask("copy", { source: "demo", destination: "mine" })).toEqual({ id: "demo" });
  expect(inference.aliasCalls).toEqual([["demo", "mine"]]);
  expect(await ask("rename", { model: "demo", name: "other" })).toEqual({ id: "other" });
  expect(inference.renameCalls).toEqual([["demo", "other"]]);
  expect(await ask("pin", { model: "demo" })).toEqual({ id: "demo", pinned: true });
  expect(await ask("unpin", { model: "demo" })).toEqual({ id: "demo", pinned: false });
  expect((await post("/api/models/pin", { model: "nope" })).status).toBe(404);
  expect((await post("/api/models/rename", { model: "demo" })).status).toBe(400);
});
