// GET /api/hub/search over a Hub that is scripted.

import { expect, test } from "bun:test";
import { createTestApp, readError, readJson } from "../support/http-app.ts";

const HIT = {
  repo: "owner/repo-GGUF",
  downloads: 12,
  likes: 3,
  gated: false,
  updatedAt: "2026-01-01T00:00:00.000Z",
  architecture: "llama",
  contextLength: 4096,
  parameterCount: 7e9,
  capabilities: { tools: true, reasoning: false },
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
    updatedAt: "2026-01-01T00:00:00.000Z",
    architecture: "llama",
    context_length: 4096,
    parameter_count: 7e9,
    capabilities: { tools: true, reasoning: false },
    variants: [{ tag: "Q4_0", sizeBytes: 4e9, fits: true }],
    pull: "owner/repo-GGUF:Q4_0",
    error: null,
  });
  expect(models[1]).toMatchObject({ pull: null, error: "gated" });
  expect(hub.queries[0]).toMatchObject({ words: "small words", task: "chat", limit: 5 });
  await get("/api/hub/search");
  expect(hub.queries[1]).toMatchObject({ words: "", task: null, capability: null, fits: false, limit: 10 });
  await get("/api/hub/search?capability=tools&min_bytes=5&max_bytes=6000000000&fits=true");
  expect(hub.queries[2]).toMatchObject({ capability: "tools", bytesMin: 5, bytesMax: 6e9, fits: true });
});

test.each([
  ["limit=0", "limit"],
  ["limit=51", "limit"],
  ["limit=x", "limit"],
  ["task=poems", "task"],
  ["capability=flying", "capability"],
  ["min_bytes=-1", "min_bytes"],
  ["max_bytes=big", "max_bytes"],
  ["fits=perhaps", "fits"],
  ["q=a&q=b", "q"],
  [`q=${"x".repeat(201)}`, "q"],
])("%s is refused by name", async (query, param) => {
  const { get, hub } = createTestApp();
  const error = await readError(await get(`/api/hub/search?${query}`));
  expect(error).toEqual({ status: 400, code: "invalid_request", param });
  expect(hub.queries).toEqual([]);
});
