// A request with everything in it, and each of its values replaced by each kind of wrong one: an answer or a refusal
// that names a field, in Anthropic's envelope, and never a fault of ours.

import { expect, test } from "bun:test";
import { createTestApp, type Json } from "../support/http-app.ts";
import { MESSAGES, readMessageError } from "../support/messages.ts";

const CACHED = { cache_control: { type: "ephemeral", ttl: "1h" } };
const text = { type: "text", text: "Hi", ...CACHED };

const FULL = {
  model: "demo",
  max_tokens: 9,
  stream: false,
  system: [text],
  messages: [
    {
      role: "user",
      content: [
        text,
        { type: "document", title: "T", context: "C", source: { type: "text", media_type: "text/plain", data: "x" } },
        { type: "document", source: { type: "content", content: [text] } },
        { type: "search_result", source: "s", title: "T", content: [text] },
      ],
    },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "Hm", signature: "s" },
        { type: "redacted_thinking", data: "x" },
        { type: "tool_use", id: "a", name: "f", input: { q: [1, null] } },
      ],
    },
    {
      role: "user",
      content: [
        {
          type: "tool_result",
          tool_use_id: "a",
          is_error: true,
          content: [text, { type: "tool_reference", tool_name: "f" }],
        },
      ],
    },
  ],
  tools: [
    { name: "f", description: "F", input_schema: { type: "object" }, strict: false, defer_loading: true, ...CACHED },
  ],
  tool_choice: { type: "tool", name: "f", disable_parallel_tool_use: true },
  thinking: { type: "enabled", budget_tokens: 5, display: "omitted" },
  output_config: { effort: "low", format: { type: "json_schema", schema: { type: "object" } } },
  stop_sequences: ["END"],
  metadata: { user_id: "u" },
  temperature: 1,
  top_p: 0.5,
  top_k: 3,
  mcp_servers: [],
  mlo: { priority: "batch", session: "s", kv: "on" },
  ...CACHED,
};

const WRONG: unknown[] = [
  null,
  0,
  -1,
  1.5,
  1e308,
  "",
  "\u0000",
  "x".repeat(2000),
  true,
  [],
  {},
  [[]],
  [null],
  { type: 3 },
];

type Path = (string | number)[];

function listPaths(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, field]) =>
    listPaths(field, [...path, Array.isArray(value) ? Number(key) : key]),
  );
  return path.length === 0 ? inner : [path, ...inner];
}

function replaceAt(body: Json, path: Path, value: unknown): Json {
  // A structured clone would keep what occurs twice one object.
  const copy = JSON.parse(JSON.stringify(body));
  const parent = path.slice(0, -1).reduce((inner: Json, key) => inner[key], copy);
  parent[path.at(-1) ?? ""] = value;
  return copy;
}

test("the request itself is answered", async () => {
  const { post, inference } = createTestApp();
  expect((await post(MESSAGES, FULL)).status).toBe(200);
  expect(inference.generateCalls).toHaveLength(1);
});

test.each([MESSAGES, `${MESSAGES}/count_tokens`])("%s: no value of any field is a fault of ours", async (route) => {
  const { post } = createTestApp();
  const paths = listPaths(FULL);
  expect(paths.length).toBeGreaterThan(100);
  let refused = 0;
  for (const path of paths) {
    for (const value of WRONG) {
      const response = await post(route, replaceAt(FULL, path, value));
      const at = `${path.join(".")} = ${JSON.stringify(value).slice(0, 40)}`;
      if (response.status === 200) continue;
      refused++;
      const { status, code, param } = await readMessageError(response);
      expect([status, code], at).toEqual(
        code === "model_not_found" ? [404, code] : [400, code === "not_supported" ? code : "invalid_request"],
      );
      expect(param, at).toBeString();
      // The field itself, or one inside of it, or the choice that lacks its tool now.
      const [named] = String(param).split(/[.[]/);
      expect(path[0] === "tools" ? ["tools", "tool_choice"] : [path[0]], at).toContain(named as string);
    }
  }
  expect(refused).toBeGreaterThan(500);
});
