// Each value of full requests replaced by odd ones: an answer, or a refusal that names a field, and never our fault.

import { expect, test } from "bun:test";
import { mutateBody } from "../support/body-mutations.ts";
import { createTestApp, type Json, readJson } from "../support/http-app.ts";

const COMMON = {
  model: "demo",
  stream: false,
  think: "low",
  format: { type: "object", properties: { a: { enum: [null] } } },
  shift: true,
  truncate: true,
  logprobs: false,
  top_logprobs: 0,
  keep_alive: "5m",
  options: { temperature: 0.5, top_k: 3, seed: 1, stop: ["END"], num_predict: 5, num_keep: 1, num_ctx: 9 },
};

const CALL = { id: "a", function: { index: 0, name: "f", arguments: { q: [1, null] } } };

const BODIES: Record<string, Json> = {
  "/api/chat": {
    ...COMMON,
    messages: [
      { role: "system", content: "x" },
      { role: "user", content: "x", images: [] },
      { role: "assistant", content: "x", thinking: "x", tool_calls: [CALL] },
      { role: "tool", content: "x", tool_name: "f", tool_call_id: "a" },
    ],
    tools: [{ type: "function", function: { name: "f", description: "x", parameters: { type: "object" } } }],
  },
  "/api/generate": { ...COMMON, prompt: "x", system: "x", template: "", context: [], raw: false, images: [] },
  "/api/embed": { model: "demo", input: ["x"], truncate: true, keep_alive: 3, dimensions: 3 },
  "/api/embeddings": { name: "demo", prompt: "x", keep_alive: -1 },
  "/api/show": { model: "demo", name: "demo", system: "x", options: {}, verbose: true },
  "/api/copy": { source: "demo", destination: "x" },
};

test.each(Object.entries(BODIES))("%s", async (path, body) => {
  const { post } = createTestApp();
  expect((await post(path, body)).status).toBe(200);
  let refused = 0;
  for (const { at, mutant } of mutateBody(body)) {
    const response = await post(path, mutant);
    if (response.status === 200) continue;
    refused++;
    const { error, code, param } = await readJson(response);
    const expected = code === "model_not_found" ? 404 : 400;
    expect(["invalid_request", "not_supported", "model_not_found"], at).toContain(code);
    expect([response.status, typeof error, typeof param], at).toEqual([expected, "string", "string"]);
  }
  expect(refused).toBeGreaterThan(10);
});
