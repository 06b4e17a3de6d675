// LoRA adapters over HTTP: the list, the server's scales, and those of one request, as llama-server's clients send them.

import { describe, expect, test } from "bun:test";
import { createTestApp, type Json, readError, readJson } from "../support/http-app.ts";

const CHAT = { messages: [{ role: "user", content: "Hello!" }] };
const SCALES = [{ id: 1, scale: 0.5 }];

const BAD: [name: string, lora: Json, param: string][] = [
  ["no list", { id: 0, scale: 1 }, "lora"],
  ["an entry that is none", [1], "lora[0]"],
  ["no scale", [{ id: 0 }], "lora[0].scale"],
  ["no id", [{ scale: 1 }], "lora[0].id"],
  ["an id that is none", [{ id: -1, scale: 1 }], "lora[0].id"],
  ["half an id", [{ id: 0.5, scale: 1 }], "lora[0].id"],
  ["a scale as text", [{ id: 0, scale: "1" }], "lora[0].scale"],
  ["a scale out of range", [{ id: 0, scale: 1e9 }], "lora[0].scale"],
  ["more than there can be", Array(17).fill({ id: 0, scale: 1 }), "lora"],
];

describe.each([
  ["/v1/chat/completions", CHAT],
  ["/v1/completions", { prompt: "x" }],
] as const)("%s", (path, body) => {
  test("takes the adapters of one request", async () => {
    const { post, inference } = createTestApp();
    expect((await post(path, { ...body, lora: SCALES })).status).toBe(200);
    expect(inference.lastRequest.lora).toEqual(SCALES);
    await post(path, body);
    expect(inference.lastRequest.lora).toBeUndefined();
  });

  test.each(BAD)("refuses %s", async (_name, lora, param) => {
    const { post, inference } = createTestApp();
    const response = await post(path, { ...body, lora });
    expect(await readError(response)).toEqual({ status: 400, code: "invalid_request", param });
    expect(inference.generateCalls).toHaveLength(0);
  });
});

describe("/lora-adapters", () => {
  test("lists the adapters in llama-server's shape", async () => {
    const { get, inference } = createTestApp();
    expect(await readJson(await get("/lora-adapters"))).toEqual([]);
    inference.adapters = [{ id: 0, path: "a.gguf", scale: 0.5, taskName: "sql", promptPrefix: "SQL:" }];
    expect(await readJson(await get("/lora-adapters"))).toEqual([
      { id: 0, path: "a.gguf", scale: 0.5, task_name: "sql", prompt_prefix: "SQL:" },
    ]);
  });

  test("sets the scales", async () => {
    const { post, inference } = createTestApp();
    const response = await post("/lora-adapters", SCALES);
    expect([response.status, await readJson(response)]).toEqual([200, { success: true }]);
    await post("/lora-adapters", []);
    expect(inference.scaleCalls).toEqual([SCALES, []]);
  });

  test.each(BAD.filter(([, lora]) => Array.isArray(lora)))("refuses %s", async (_name, lora, param) => {
    const { post, inference } = createTestApp();
    const response = await post("/lora-adapters", lora);
    expect(await readError(response)).toEqual({ status: 400, code: "invalid_request", param });
    expect(inference.scaleCalls).toEqual([]);
  });

  test.each([
    ["an object", "{}"],
    ["no JSON", "["],
    ["nothing", ""],
    ["null", "null"],
  ])("refuses %s", async (_name, text) => {
    const { post } = createTestApp();
    const response = await post("/lora-adapters", text);
    expect(await response.clone().text()).toContain("array");
    expect(await readError(response)).toMatchObject({ status: 400, code: "invalid_request" });
  });

  test("takes GET and POST alone", async () => {
    const { app } = createTestApp();
    const response = await app.handle(new Request("http://localhost/lora-adapters", { method: "DELETE" }));
    expect([response.status, response.headers.get("Allow")]).toEqual([405, "GET, POST"]);
  });
});
