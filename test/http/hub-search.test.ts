// GET /api/hub/search over a Hub that is scripted.

import { expect, test } from "bun:test";
import { createTestApp, readError, readJson } from "../support/http-app.ts";

const HIT = {
  repo: "owner/repo-GGUF",
  downloads: 12,
  likes: 3,
  gated: false,
  updatedAt: "2026-01-01T00:00:00.000Z",
  variants: [{ tag: "Q4_0", sizeBytes: 4e9, fits: true }],
  choice: "Q4_0",
  error: null,
};

test("what was found is told with what a pull takes of it", async () => {
  const { get, hub } = createTestApp();
  hub.hits = [
    HIT,
    { ...HIT, repo: "o/gated", gated: true, updatedAt: null, variants: [], choice: null, error: "gated" },
  ];
  const { models } = await readJson(await get("/api/hub/search?q=%20small%20words&task=chat&limit=5"));
  expect(models[0]).toEqual({
    repo: "owner/repo-GGUF",
    downloads: 12,
    likes: 3,
    gated: false,
    updated_at: "2026-01-01T00:00:00.000Z",
    variants: [{ tag: "Q4_0", size_bytes: 4e9, fits: true }],
    pull: "owner/repo-GGUF:Q4_0",
    error: null,
  });
  expect(models[1]).toMatchObject({ pull: null, error: "gated" });
  expect(hub.queries[0]).toMatchObject({ words: "small words", task: "chat", limit: 5 });
  await get("/api/hub/search");
  expect(hub.queries[1]).toMatchObject({ words: "", task: null, limit: 10 });
});

test.each([
  ["limit=0", "limit"],
  ["limit=51", "limit"],
  ["limit=x", "limit"],
  ["task=poems", "task"],
  ["q=a&q=b", "q"],
  [`q=${"x".repeat(201)}`, "q"],
])("%s is refused by name", async (query, param) => {
  const { get, hub } = createTestApp();
  const error = await readError(await get(`/api/hub/search?${query}`));
  expect(error).toEqual({ status: 400, code: "invalid_request", param });
  expect(hub.queries).toEqual([]);
});
