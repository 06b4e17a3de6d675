import { expect, test } from "bun:test";
import { createTestApp, readJson } from "../support/http-app.ts";

test("the root says what this is and where to go", async () => {
  const { get, post } = createTestApp();
  const body = await readJson(await get("/"));
  expect(body.name).toBe("ml-offload");
  expect(body.version).toMatch(/^\d+\.\d+\.\d+/);
  expect(body.links.documentation).toBe("/swagger");
  for (const path of ["documentation", "openapi", "models", "ollama", "adapters", "health", "backend", "cache"]) {
    expect((await get(body.links[path])).status).toBe(200);
  }
  for (const path of ["chat", "completions", "infill", "embeddings", "rerank"]) {
    expect((await post(body.links[path], {})).status).toBe(400);
  }
});

test.each(["/health", "/api/health"])("%s has the agreed shape", async (path) => {
  const { get } = createTestApp();
  const response = await get(path);
  expect(response.status).toBe(200);
  expect(await readJson(response)).toEqual({
    status: "healthy",
    troubles: [],
    backends: { llamacpp: { available: true, ready: true, details: "engine can be started" } },
  });
});

test.each([
  ["degraded", 200],
  ["unhealthy", 503],
] as const)("health %s is %d", async (status, expected) => {
  const { get, inference } = createTestApp();
  inference.healthNow = { ...inference.healthNow, status };
  expect((await get("/api/health")).status).toBe(expected);
});

test("the backend tells what is lowered, and why", async () => {
  const { get, adaptation } = createTestApp();
  expect((await readJson(await get("/api/backend/info"))).adaptation).toEqual(adaptation.now);
  const limits = { promptRows: 128, places: 64, cacheShare: 1 };
  const lowered = [{ what: "batch" as const, from: 512, to: 128, words: "it is hot" }];
  const causes = [{ cause: "heat" as const, pressure: "high" as const, reason: "it is hot" }];
  const engine = { model: "demo", pid: 7, level: 1, levelMax: 6, limits, lowered, spared: [], causes };
  adaptation.now = { ...adaptation.now, problem: "no such file", engines: [engine] };
  expect((await readJson(await get("/api/backend/info"))).adaptation).toEqual(adaptation.now);
});

test("the backend names plug-ins and why others were skipped", async () => {
  const { get } = createTestApp();
  const body = await readJson(await get("/api/backend/info"));
  expect(body.llamaCpp.version).toBe("0.5.0");
  expect(body.skippedPlugins[0].reason).toContain("SIGILL");
});

test("HEAD answers like GET, without a body", async () => {
  const { app } = createTestApp();
  const response = await app.handle(new Request("http://localhost/api/health", { method: "HEAD" }));
  expect(response.status).toBe(200);
  expect(await response.text()).toBe("");
});
