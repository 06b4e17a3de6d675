// What a path or a model is, and what a model's file says: the answers, filters, and who is told about paths.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEMO_PATH, makeCard } from "../support/fake-inference.ts";
import { createTestApp, readError, readJson } from "../support/http-app.ts";
import { rawGguf, stringEntry } from "../support/raw-gguf.ts";

const INSPECT = "/api/models/inspect";

test("a model by its name, and a file by its path", async () => {
  const { post } = createTestApp();
  for (const path of ["demo", DEMO_PATH]) {
    expect(await readJson(await post(INSPECT, { path }))).toMatchObject({
      path: DEMO_PATH,
      format: "gguf",
      verdict: "runs",
      architecture: "llama",
      guidance: { command: expect.stringContaining("ml-offload run ") },
    });
  }
});

test("a folder of something else gets its verdict", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mlo-inspect-"));
  try {
    writeFileSync(join(folder, "model.gguf"), "<!DOCTYPE html><title>Sign in</title>");
    const { post } = createTestApp();
    const found = await readJson(await post(INSPECT, { path: folder }));
    expect(found).toMatchObject({ format: "html", verdict: "damaged", missing: ["model.gguf"] });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a model of the Hub by its name, where no model here has it", async () => {
  const { post, hub, inference, planner } = createTestApp();
  inference.cards.push(makeCard({ id: "owner/here:Q8_0", isDefault: false }));
  for (const path of ["hf:owner/repo", "owner/repo:Q8_0", "hf:demo", "hf:owner/here:Q8_0"]) {
    expect(await readJson(await post(INSPECT, { path }))).toMatchObject({
      verdict: "runs",
      hub: { name: "owner/repo:Q8_0", downloadBytes: expect.any(Number), memory: null, disk: { fits: null } },
    });
  }
  const { hub: told } = await readJson(await post(INSPECT, { path: "hf:owner/repo" }));
  expect(told).toMatchObject({
    plan: { model: "owner/repo:Q8_0", verdict: "fits", source: "estimated", convertTo: null },
    noPlan: null,
  });
  expect(told.plan.plan.memory.host.kvBytes).toBeGreaterThan(0);
  expect(planner.headers.at(-1)).toMatchObject({ facts: { kind: "gguf", shape: { architecture: "llama" } } });
  expect(await readJson(await post(INSPECT, { path: "owner/here:Q8_0" }))).toMatchObject({ hub: null });
  expect(hub.looks.slice(0, 4)).toEqual(["hf:owner/repo", "owner/repo:Q8_0", "hf:demo", "hf:owner/here:Q8_0"]);
});

test("where headers of the Hub are not enough for a plan, the size of the weights is told, and why", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mlo-inspect-"));
  try {
    const { post, hub } = createTestApp();
    hub.shown = join(folder, "bare.gguf");
    writeFileSync(hub.shown, rawGguf({ metadata: [stringEntry("general.architecture", "llama")] }));
    expect((await readJson(await post(INSPECT, { path: "hf:owner/repo" }))).hub).toMatchObject({
      memory: { neededBytes: expect.any(Number), fits: null },
      plan: null,
      noPlan: expect.any(String),
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("what is not there, and what is no path", async () => {
  const { post } = createTestApp();
  expect(await readError(await post(INSPECT, { path: "/no/such/file" }))).toMatchObject({
    status: 404,
    code: "model_not_found",
  });
  expect(await readError(await post(INSPECT, { path: "nope" }))).toMatchObject({
    status: 404,
    code: "model_not_found",
  });
  expect(await readError(await post(INSPECT, { path: "/a\0b" }))).toMatchObject({
    status: 400,
    code: "invalid_request",
    param: "path",
  });
  expect(await readError(await post(INSPECT, {}))).toMatchObject({ status: 400, code: "invalid_request" });
});

test("a server that others reach tells about models only", async () => {
  const { app } = createTestApp({ host: "0.0.0.0" });
  const ask = (path: string) =>
    app.handle(new Request(`http://localhost:9000${INSPECT}`, { method: "POST", body: JSON.stringify({ path }) }));
  expect(await readError(await ask(DEMO_PATH))).toMatchObject({ status: 403, code: "forbidden" });
  expect((await ask("demo")).status).toBe(200);
});

test("a model's metadata and tensors, whole and filtered, without where its files lie", async () => {
  const { get, inference } = createTestApp();
  inference.cards.push(makeCard({ id: "owner/repo:Q8_0", isDefault: false }));
  const whole = await readJson(await get("/api/models/by-id/demo"));
  expect(whole.tensors).toHaveLength(whole.tensorCount);
  expect(whole.metadata).toContainEqual({ key: "general.architecture", value: "llama" });
  expect(JSON.stringify(whole)).not.toContain(join(DEMO_PATH, ".."));
  const some = await readJson(await get("/api/models/by-id/owner/repo%3AQ8_0?filter=TOKEN_EMBD"));
  expect(some.id).toBe("owner/repo:Q8_0");
  expect(some.tensors).toEqual([{ name: "token_embd.weight", type: "Q8_0", shape: [128, 1024], file: "demo.gguf" }]);
  expect(some.tensorCount).toBe(whole.tensorCount);
  expect(await readError(await get("/api/models/by-id/nope"))).toMatchObject({ status: 404, code: "model_not_found" });
});
