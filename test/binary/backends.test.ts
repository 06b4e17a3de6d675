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
