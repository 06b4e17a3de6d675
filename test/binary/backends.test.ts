// Where the compiled binary computes when a model file names back ends: the first one that works, said aloud; a refusal when
// none does. No build has Metal and Vulkan both, so one of them is missing everywhere.

import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolder, startBinary } from "../support/binary.ts";
import { DEMO_PATH } from "../support/fake-inference.ts";
import type { Json } from "../support/http-app.ts";

/** Of the GPU back ends one that this build can't have. */
const MISSING = process.platform === "darwin" ? "vulkan" : "metal";

test("a model file's back ends: the first that works, named in listings and health, or a refusal", async () => {
  using home = makeFolder();
  const files = join(home.path, "model-files");
  mkdirSync(files);
  const describe = (id: string, backend: string) =>
    writeFileSync(join(files, `${id}.yaml`), `model_id: ${id}\npath: ${DEMO_PATH}\nsettings: {backend: ${backend}}\n`);
  describe("falls", `[${MISSING}, cpu]`);
  describe("plain", "cpu");
  describe("never", MISSING);
  const server = await startBinary({ env: { MODEL_CONFIG_DIR: files } });
  const get = async (path: string): Promise<Json> => await (await fetch(server.url + path)).json();
  const backendOf = async (id: string) =>
    (await get("/api/models/list")).models.find((model: Json) => model.id === id).backend;
  const complete = async (model: string): Promise<Json> => {
    const body = JSON.stringify({ model, prompt: "One two", max_tokens: 2, temperature: 0 });
    return await (await fetch(`${server.url}/v1/completions`, { method: "POST", body })).json();
  };
  try {
    expect(await backendOf("falls")).toBeNull();
    const text = (await complete("plain")).choices[0].text;
    expect(await backendOf("plain")).toEqual({ wanted: ["cpu"], used: ["cpu"], fallback: null, skipped: [] });
    expect((await get("/api/health")).status).toBe("healthy");

    expect((await complete("falls")).choices[0].text).toBe(text);
    const fallback = `cpu in place of ${MISSING}`;
    const skipped = [{ file: MISSING, reason: "this build has none" }];
    expect(await backendOf("falls")).toEqual({ wanted: [MISSING, "cpu"], used: ["cpu"], fallback, skipped });
    const health = await get("/api/health");
    expect(health.status).toBe("degraded");
    expect(health.backends.llamacpp.details).toContain(`falls: ${fallback}`);

    expect((await complete("never")).error).toMatchObject({ code: "plan_refused" });
    expect((await complete("plain")).choices[0].text).toBe(text);
  } finally {
    await server.stop();
  }
}, 120_000);

test("a model that this machine is not for is refused before any load, and its tiers follow the machine", async () => {
  using home = makeFolder();
  const files = join(home.path, "model-files");
  mkdirSync(files);
  const scaling = { vast: { min_memory_gb: 1e9, settings: { ctx: 64 } }, any: { settings: { ctx: 256 } } };
  const write = (content: { model_id: string; [key: string]: unknown }) =>
    writeFileSync(join(files, `${content.model_id}.json`), JSON.stringify({ path: DEMO_PATH, ...content }));
  write({ model_id: "vast", requirements: { memory_gb: 1e9 } });
  write({ model_id: "fits", requirements: { memory_gb: 0.01, min_cores: 1 }, hardware_scaling: scaling });
  const server = await startBinary({ env: { MODEL_CONFIG_DIR: files } });
  const complete = async (model: string) => {
    const body = JSON.stringify({ model, prompt: "One two", max_tokens: 2 });
    const response = await fetch(`${server.url}/v1/completions`, { method: "POST", body });
    return { status: response.status, body: (await response.json()) as Json };
  };
  try {
    const refused = await complete("vast");
    expect([refused.status, refused.body.error.code]).toEqual([400, "plan_refused"]);
    expect(refused.body.error.message).toContain("as vast.json has it: `requirements.memory_gb`: 1000000000 GB");
    expect((await complete("fits")).status).toBe(200);
    const info = (await (await fetch(`${server.url}/api/backend/info`)).json()) as Json;
    expect(info.engines).toMatchObject([{ model: "fits", info: { contextLength: 256 } }]);
    const shown = (await (await fetch(`${server.url}/api/models/by-id/fits`)).json()) as Json;
    expect(shown.modelFile.hardware.map(({ key, outcome }: Json) => `${key} ${outcome}`)).toEqual([
      "requirements.memory_gb met",
      "requirements.min_cores met",
      "hardware_scaling.vast unused",
      "hardware_scaling.any used",
    ]);
  } finally {
    await server.stop();
  }
}, 120_000);
