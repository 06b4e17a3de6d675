// Each value of full requests for responses and conversations replaced by odd ones: an answer, or a refusal that names a
// field, and never our fault. What is stored of an answer is read again.

import { expect, test } from "bun:test";
import { mutateBody } from "../support/body-mutations.ts";
import { createTestApp, type Json, readError, readJson } from "../support/http-app.ts";

const schema = { type: "object", properties: { a: { enum: [null, 1] } } };
const ITEMS = [
  { role: "user", content: "x" },
  { type: "message", id: "msg_1", role: "developer", content: [{ type: "input_text", text: "x" }] },
  {
    type: "reasoning",
    id: "rs_1",
    summary: [{ type: "summary_text", text: "x" }],
    content: [{ type: "reasoning_text", text: "x" }],
    encrypted_content: "mlo1:eA==",
  },
  {
    role: "assistant",
    content: [
      { type: "output_text", text: "x" },
      { type: "refusal", refusal: "x" },
    ],
  },
  { type: "function_call", id: "fc_1", call_id: "c1", name: "f", arguments: "{}", status: "completed" },
  { type: "function_call_output", call_id: "c1", output: [{ type: "input_text", text: "x" }] },
  { type: "custom_tool_call", id: "ctc_1", call_id: "c2", name: "g", namespace: "n", input: "x" },
  { type: "custom_tool_call_output", call_id: "c2", output: "x" },
  { type: "compaction", id: "cmp_1", encrypted_content: "mlo1:eA==" },
];

const CUSTOM = {
  type: "custom",
  name: "g",
  description: "x",
  format: { type: "grammar", syntax: "regex", definition: "[a-c]+" },
};

const RESPONSE = {
  model: "demo",
  input: ITEMS,
  instructions: "x",
  tools: [
    { type: "function", name: "f", description: "x", parameters: schema, strict: false },
    { type: "namespace", name: "n", tools: [CUSTOM] },
    { type: "mcp" },
  ],
  tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "f" }] },
  parallel_tool_calls: true,
  text: { format: { type: "json_schema", name: "x", schema, strict: false }, verbosity: "low" },
  reasoning: { effort: "low", summary: "auto" },
  truncation: "auto",
  chat_template_kwargs: { a: [null] },
  max_output_tokens: 9,
  metadata: { a: "b" },
  store: true,
  stream: false,
  stream_options: { include_obfuscation: true },
  background: false,
  include: ["reasoning.encrypted_content"],
  user: "x",
  safety_identifier: "x",
  prompt_cache_key: "x",
  service_tier: "auto",
  top_logprobs: 1,
  max_tool_calls: 3,
  temperature: 0.5,
  top_p: 0.5,
  mlo: { priority: "batch", session: "x", kv: "on", truncate: "auto" },
};

const { model, input, instructions, tools, text, reasoning } = RESPONSE;
const BODIES: [string, Json][] = [
  ["/v1/responses", RESPONSE],
  ["/v1/responses", { model, input, stream: true }],
  ["/v1/responses/input_tokens", { model, input, instructions, tools, text, reasoning }],
  ["/v1/responses/compact", { model, input, instructions, prompt_cache_key: "x", mlo: RESPONSE.mlo }],
  ["/v1/conversations", { items: ITEMS, metadata: { a: "b" } }],
];

test.each(BODIES)("%s", async (path, body) => {
  const { post, get } = createTestApp();
  expect((await post(path, body)).status).toBe(200);
  let refused = 0;
  for (const { at, mutant } of mutateBody(body)) {
    const response = await post(path, mutant);
    if (response.status !== 200) {
      refused++;
      const { status, code, param } = await readError(response);
      expect(["invalid_request", "not_supported", "model_not_found", "not_found"], at).toContain(code);
      expect([status, typeof param], at).toEqual([code.endsWith("not_found") ? 404 : 400, "string"]);
    } else if (response.headers.get("Content-Type")?.startsWith("text/event-stream") === true) {
      expect(await response.text(), at).toContain("event: response.completed");
    } else if (path === "/v1/responses") {
      const { id, store, background } = await readJson(response);
      if (!store || background) continue;
      expect((await get(`${path}/${id}`)).status, at).toBe(200);
      expect((await get(`${path}/${id}?stream=true`)).status, at).toBe(200);
    }
  }
  expect(refused).toBeGreaterThan(30);
});

test("what a mutant left behind can be continued", async () => {
  const { post } = createTestApp();
  for (const { at, mutant } of mutateBody({ input: ITEMS })) {
    const response = await post("/v1/responses", mutant);
    if (response.status !== 200) continue;
    const { id } = await readJson(response);
    expect((await post("/v1/responses", { previous_response_id: id, input: "x" })).status, at).toBe(200);
  }
});
