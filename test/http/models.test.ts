import { expect, test } from "bun:test";
import { NO_CAPABILITIES } from "../../src/models/capability.ts";
import { makeCard } from "../support/fake-inference.ts";
import { createTestApp, readError, readJson } from "../support/http-app.ts";

test("the list shows what is known, and labels the demo", async () => {
  const { get, inference } = createTestApp();
  inference.cards.push(
    makeCard({
      id: "owner/repo:Q4_K_M",
      aliases: ["repo"],
      demo: false,
      isDefault: false,
      state: "loaded",
      embeddingPooling: "mean",
      ownPooling: "mean",
      contextLength: null,
      capabilities: { ...NO_CAPABILITIES, embedding: true },
    }),
  );
  const body = await readJson(await get("/v1/models"));
  expect(body.object).toBe("list");
  expect(body.data[0]).toMatchObject({
    id: "demo",
    object: "model",
    created: 1_700_000_000,
    owned_by: "demo",
    context_length: 320,
    max_model_len: 320,
    embedding: { pooling: "last", source: "default" },
    state: "unloaded",
    loaded: false,
    default: true,
    demo: true,
  });
  expect(body.data[0].note).toContain("ml-offload serve --model FILE.gguf");
  expect(body.data[1]).toMatchObject({
    owned_by: "ml-offload",
    context_length: null,
    embedding: { pooling: "mean", source: "model" },
    loaded: true,
    default: false,
  });
  expect("note" in body.data[1]).toBe(false);
});

test.each([
  "/v1/models/owner/repo:Q4_K_M",
  "/v1/models/owner%2Frepo:Q4_K_M",
  "/v1/models/owner%2Frepo%3AQ4_K_M",
  "/v1/models/100%25",
  "/v1/models/default",
])("%s finds its model", async (path) => {
  const { get, inference } = createTestApp();
  inference.cards = [makeCard({ id: "owner/repo:Q4_K_M", aliases: ["100%"] })];
  expect(await readJson(await get(path))).toMatchObject({ id: "owner/repo:Q4_K_M" });
});

test("an unknown id is 404, a broken one 400", async () => {
  const { get } = createTestApp();
  expect(await readError(await get("/v1/models/nope"))).toMatchObject({ status: 404, code: "model_not_found" });
  expect(await readError(await get("/v1/models/%zz"))).toMatchObject({ status: 400, code: "invalid_request" });
});

test("why a model is broken is told with its place on this machine alone", async () => {
  for (const [host, told] of [
    ["127.0.0.1", "/srv/own/b.gguf is damaged"],
    ["0.0.0.0", "b.gguf is damaged"],
  ] as const) {
    const { get, inference } = createTestApp({ host });
    inference.cards = [makeCard({ id: "b", path: "/srv/own/b.gguf", error: "/srv/own/b.gguf is damaged" })];
    expect((await readJson(await get("/v1/models"))).data[0].error).toBe(told);
    expect((await readJson(await get("/v1/models/b"))).error).toBe(told);
  }
});
