// An agent of Anthropic's SDK against the compiled binary, with a model whose answers are written down: a long prompt
// with the fields that Claude Code sends, calls of two turns, their results, and the last answer.

import { afterAll, beforeAll, expect, test } from "bun:test";
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { startBinary } from "../support/binary.ts";
import { judgeFetch } from "../support/judged-fetch.ts";
import { cacheScriptedModel, scriptCall } from "../support/scripted-model.ts";
import type { Server } from "../support/server.ts";

const SCRIPT = [
  ["I look into the file first.\n", scriptCall("read_file", { path: "notes.txt" })],
  [`${scriptCall("read_file", { path: "a.txt" })}\n`, scriptCall("read_file", { path: "b.txt" })],
  ["The notes say: ", "buy milk."],
] as const;

let server: Server;
let client: Anthropic;

beforeAll(async () => {
  server = await startBinary({ args: ["--model", cacheScriptedModel(SCRIPT), "--ctx", "65536"] });
  const fetch = await judgeFetch(server.url);
  client = new Anthropic({ baseURL: server.url, apiKey: null, authToken: "unused", maxRetries: 0, fetch });
});
afterAll(() => server.stop());

test.each([false, true])("the tool runner goes through all turns, streaming: %p", async (stream) => {
  const calls: string[] = [];
  const readFile = betaTool({
    name: "read_file",
    description: "Read a file.",
    inputSchema: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
    run: ({ path }) => {
      calls.push(path);
      return "buy milk";
    },
  });
  const mark = { cache_control: { type: "ephemeral" as const } };
  const later = { name: "later", description: "Not yet.", input_schema: { type: "object" as const } };
  const runner = client.beta.messages.toolRunner({
    model: "default",
    max_tokens: 16_000,
    stream,
    system: [
      { type: "text", text: "x-anthropic-billing-header: cc_version=2; cc_entrypoint=sdk-cli;" },
      { type: "text", text: "Follow the rules of this house, every one of them. ".repeat(400), ...mark },
    ],
    messages: [
      { role: "user", content: [{ type: "text", text: "What do my notes say?" }] },
      { role: "system", content: [{ type: "text", text: "# Environment\nNone.", ...mark }] },
    ],
    tools: [readFile, { ...later, defer_loading: true }],
    thinking: { type: "adaptive" },
    context_management: { edits: [{ type: "clear_thinking_20251015", keep: "all" }] },
    output_config: { effort: "high" },
    metadata: { user_id: '{"device_id":"x","session_id":"y"}' },
    betas: ["claude-code-20250219", "interleaved-thinking-2025-05-14"],
  });
  const final = await runner.runUntilDone();
  expect(final.content.map((block) => (block.type === "text" ? block.text : "")).join("")).toBe(
    "The notes say: buy milk.",
  );
  expect(calls).toEqual(["notes.txt", "a.txt", "b.txt"]);
  // Nearly all of the prompt was read by the turns before.
  expect(final.usage.cache_read_input_tokens).toBeGreaterThan(20_000);
});
