// POST /api/pull over a Hub that is scripted: lines, statuses, names that are here, and clients that leave.

import { describe, expect, test } from "bun:test";
import type { PullEvent } from "../../src/hub/hub.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { createTestApp, type Json, readJson, settle } from "../support/http-app.ts";

const NAME = "owner/repo-GGUF:Q4_0";
const sha256 = "ab".repeat(32);
const progress = (doneBytes: number): PullEvent => ({
  type: "progress",
  file: "m",
  sha256,
  doneBytes,
  totalBytes: 100,
});
const PLANNED: PullEvent = { type: "planned", name: NAME, totalBytes: 100 };

async function readLines(response: Response): Promise<Json[]> {
  return (await response.text())
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line));
}

test("a download is told line by line, as Ollama tells it", async () => {
  const { post, hub } = createTestApp();
  hub.events = [PLANNED, progress(10), progress(100), { type: "verifying", file: "m", sha256 }];
  const response = await post("/api/pull", { model: NAME });
  expect([response.status, response.headers.get("Content-Type")]).toEqual([200, "application/x-ndjson"]);
  const pulling = { status: "pulling abababababab", digest: `sha256:${sha256}`, total: 100 };
  expect(await readLines(response)).toEqual([
    { status: "pulling manifest" },
    { ...pulling, completed: 10 },
    { ...pulling, completed: 100 },
    { status: "verifying sha256 digest" },
    { status: "writing manifest" },
    { status: "success" },
  ]);
  expect(hub.asked).toEqual([NAME]);
});

test("pauses and beginnings anew are lines too, and a file without a checksum has no digest", async () => {
  const { post, hub } = createTestApp();
  const bare: PullEvent = { type: "progress", file: "m.gguf", sha256: null, doneBytes: 1, totalBytes: 2 };
  hub.events = [
    { type: "waiting", waitMs: 1500, why: "busy" },
    PLANNED,
    { type: "restarting", why: "it changed" },
    bare,
  ];
  expect(await readLines(await post("/api/pull", { name: NAME }))).toEqual([
    { status: "waiting 2 s: busy" },
    { status: "pulling manifest" },
    { status: "beginning anew: it changed" },
    { status: "pulling m.gguf", total: 2, completed: 1 },
    { status: "writing manifest" },
    { status: "success" },
  ]);
});

test("of what a slow reader has not read the newest stays", async () => {
  const { post, hub } = createTestApp();
  hub.events = [PLANNED, ...Array.from({ length: 5000 }, (_, at) => progress(at))];
  const response = await post("/api/pull", { model: NAME });
  for (let turn = 0; turn < 10; turn++) await settle();
  const reader = response.body?.getReader();
  await reader?.read();
  for (let turn = 0; turn < 1200; turn++) await settle();
  let text = "";
  for (let chunk = await reader?.read(); chunk?.value !== undefined; chunk = await reader?.read()) {
    text += new TextDecoder().decode(chunk.value);
  }
  expect(text.split("\n").length).toBeLessThan(20);
  expect(text).toContain('"success"');
});

test("without a stream there is one object at the end", async () => {
  const { post, hub } = createTestApp();
  hub.events = [PLANNED, progress(100)];
  const response = await post("/api/pull", { model: NAME, stream: false });
  expect(await readJson(response)).toEqual({ status: "success" });
});

test("a refusal has its status, and what fails later is the last line", async () => {
  for (const stream of [true, false]) {
    const { post, hub } = createTestApp();
    hub.refusal = new AppError({ code: "unauthorized", message: "it is gated", hint: "Accept the terms." });
    const response = await post("/api/pull", { model: NAME, stream });
    expect([response.status, await readJson(response)]).toEqual([
      401,
      { error: "it is gated. Accept the terms.", code: "unauthorized" },
    ]);
  }
  const { post, hub } = createTestApp();
  hub.events = [PLANNED, progress(10)];
  hub.failure = new AppError({ code: "download_failed", message: "it broke off" });
  const lines = await readLines(await post("/api/pull", { model: NAME }));
  expect(lines.at(-1)).toEqual({ error: expect.stringContaining("it broke off. "), code: "download_failed" });
});

test("of a model that is here there is nothing to do, and the Hub is not asked", async () => {
  const { post, hub } = createTestApp();
  expect(await readLines(await post("/api/pull", { model: "demo:latest" }))).toEqual([{ status: "success" }]);
  expect(hub.asked).toEqual([]);
});

test.each(["llama3.2", "library/", "https://example.org/m.gguf", "http://169.254.169.254/x.gguf", "a/b/c", "../x"])(
  "%s is neither here nor on the Hub, and nobody is asked",
  async (model) => {
    const { post, hub } = createTestApp();
    const response = await post("/api/pull", { model });
    expect([response.status, (await readJson(response)).code]).toEqual([404, "model_not_found"]);
    expect(hub.asked).toEqual([]);
  },
);

test("a client that leaves stops the download", async () => {
  const { post, hub } = createTestApp();
  hub.events = [PLANNED, ...Array.from({ length: 1000 }, (_, at) => progress(at))];
  const response = await post("/api/pull", { model: NAME });
  await response.body?.cancel();
  await settle();
  expect(hub.signals[0]?.aborted).toBe(true);
});

describe("weights that are no GGUF", () => {
  const steps = [
    { state: "queued" as const },
    { state: "running" as const },
    { state: "running" as const, phase: "write" as const, doneBytes: 5, totalBytes: 20 },
    { state: "running" as const, phase: "quantize" as const, outType: "q8_0", doneBytes: 1, totalBytes: 10 },
    { state: "done" as const },
  ];

  test("are converted before it is a success, line by line", async () => {
    const { post, hub, conversions } = createTestApp();
    hub.events = [PLANNED];
    hub.weightsFolder = "/models/w";
    conversions.steps = steps;
    expect(await readLines(await post("/api/pull", { model: NAME }))).toEqual([
      { status: "pulling manifest" },
      { status: "writing manifest" },
      { status: "waiting for other conversions" },
      { status: "converting to BF16" },
      { status: "converting to BF16", total: 20, completed: 5 },
      { status: "quantizing to Q8_0", total: 10, completed: 1 },
      { status: "success" },
    ]);
    expect(conversions.prepared).toEqual(["/models/w"]);
  });

  test("that can't be converted are no success", async () => {
    for (const stream of [true, false]) {
      const { post, hub, conversions } = createTestApp();
      hub.weightsFolder = "/models/w";
      conversions.failure = new AppError({ code: "model_damaged", message: "a tensor is cut" });
      const response = await post("/api/pull", { model: NAME, stream });
      const last = stream ? (await readLines(response)).at(-1) : await readJson(response);
      expect([response.status, last.code]).toEqual([stream ? 200 : 500, "model_damaged"]);
      expect(last.error).toContain("a tensor is cut");
    }
  });

  test("of a file that is one nothing is converted", async () => {
    const { post, conversions } = createTestApp();
    await post("/api/pull", { model: NAME, stream: false });
    expect(conversions.prepared).toEqual([]);
  });
});
