// Agents against the compiled binary, with a model whose answers are written down: a tool is called, its result goes
// back, and the last answer comes, streamed and not, with more tools and longer prompts than small models are made for.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import OpenAI from "openai";
import type { ChatCompletionTool } from "openai/resources/chat/completions";
import { AGENT_SCHEMAS } from "../support/agent-schemas.ts";
import { startBinary } from "../support/binary.ts";
import { judgeFetch } from "../support/judged-fetch.ts";
import { cacheScriptedModel, scriptCall } from "../support/scripted-model.ts";
import type { Server } from "../support/server.ts";

const SCRIPT = [
  ["I look into the file first.\n", scriptCall("read_file", { path: "notes.txt" })],
  [`${scriptCall("read_file", { path: "a.txt" })}\n`, scriptCall("read_file", { path: "b.txt" })],
  ["The notes say: ", "buy milk."],
] as const;
/** Cline's prompt and tools are 22 KB. */
const LONG_PROMPT = `You are an agent. ${"Follow the rules of this house, every one of them. ".repeat(400)}`;

let server: Server;
let client: OpenAI;

beforeAll(async () => {
  server = await startBinary({ args: ["--model", cacheScriptedModel(SCRIPT), "--ctx", "65536"] });
  const fetch = await judgeFetch(server.url);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "unused", maxRetries: 0, fetch });
});
afterAll(() => server.stop());

const READ_FILE = {
  name: "read_file",
  description: "Read a file.",
  parameters: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
};
const others: ChatCompletionTool[] = Object.entries(AGENT_SCHEMAS)
  .slice(0, 24)
  .map(([name, schema], i) => ({
    type: "function",
    function: { name: `tool_${i}`, description: name, parameters: schema as Record<string, unknown> },
  }));
const tools: ChatCompletionTool[] = [{ type: "function", function: READ_FILE }, ...others];
const messages = [
  { role: "system" as const, content: LONG_PROMPT },
  { role: "user" as const, content: "What do my notes say?" },
];

describe("an agent with 25 tools and a long prompt", () => {
  test("calls, gets results, calls twice at once, and answers", async () => {
    const calls: string[] = [];
    const runner = client.chat.completions.runTools({
      model: "default",
      messages,
      tools: [
        {
          type: "function",
          function: {
            ...READ_FILE,
            parse: (text: string) => JSON.parse(text) as { path: string },
            function: ({ path }: { path: string }) => {
              calls.push(path);
              return "buy milk";
            },
          },
        },
      ],
    });
    expect(await runner.finalContent()).toBe("The notes say: buy milk.");
    // After the first result two more come in one answer, and the third script answers three results.
    expect(calls).toEqual(["notes.txt", "a.txt", "b.txt"]);
  });

  test("streamed: text, then one call with one index, one id and whole arguments", async () => {
    const stream = client.chat.completions.stream({ model: "default", messages, tools });
    const { choices } = await stream.finalChatCompletion();
    expect(choices[0]?.finish_reason).toBe("tool_calls");
    expect(choices[0]?.message.content?.trim()).toBe("I look into the file first.");
    const calls = choices[0]?.message.tool_calls ?? [];
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({
      type: "function",
      function: { name: "read_file", arguments: '{"path":"notes.txt"}' },
    });
    expect(calls[0]?.id).toMatch(/^call_/);
  });
});
