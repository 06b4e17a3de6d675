// More of the official `openai` client, unchanged, against the compiled binary: zod parsing, tool runners, custom tools,
// and what it gets for resources that this server does not have.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import OpenAI, { APIError } from "openai";
import { zodFunction, zodResponseFormat, zodResponsesFunction } from "openai/helpers/zod";
import type { ChatCompletionTool } from "openai/resources/chat/completions";
import { z } from "zod";
import { startBinary } from "../support/binary.ts";
import type { Server } from "../support/server.ts";

let server: Server;
let client: OpenAI;

beforeAll(async () => {
  server = await startBinary();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "unused", maxRetries: 0 });
});
afterAll(() => server.stop());

const ask = (content: string) => ({ model: "demo", temperature: 0, messages: [{ role: "user" as const, content }] });
const PERSON = z.object({ name: z.string(), age: z.number().int() });
const EXTRACT = "Extract the name and the age as JSON: Anna is 31 years old.";
const CITY = z.object({ city: z.string() });
const WEATHER_TOOL = { name: "get_weather", description: "Get the current weather of a city", parameters: CITY };

describe("zod", () => {
  test("an answer, whole and streamed", async () => {
    const body = { ...ask(EXTRACT), response_format: zodResponseFormat(PERSON, "person") };
    const parsed = await client.chat.completions.parse(body);
    expect(parsed.choices[0]?.message.parsed).toEqual({ name: "Anna", age: 31 });
    const grown: unknown[] = [];
    const stream = client.chat.completions.stream(body).on("content.delta", ({ parsed: part }) => grown.push(part));
    expect((await stream.finalChatCompletion()).choices[0]?.message.parsed).toEqual({ name: "Anna", age: 31 });
    expect(grown.at(-1)).toEqual({ name: "Anna", age: 31 });
  });

  test("a tool's arguments, in chats and responses", async () => {
    const question = "What is the weather in Paris?";
    const chat = await client.chat.completions.parse({ ...ask(question), tools: [zodFunction(WEATHER_TOOL)] });
    const [call] = chat.choices[0]?.message.tool_calls ?? [];
    expect(call).toMatchObject({ type: "function", function: { parsed_arguments: { city: "Paris" } } });
    const body = { model: "demo", temperature: 0, input: question, tools: [zodResponsesFunction(WEATHER_TOOL)] };
    const parsed = await client.responses.parse(body);
    expect(parsed.output[0]).toMatchObject({ type: "function_call", parsed_arguments: { city: "Paris" } });
    const streamed = await client.responses.stream(body).finalResponse();
    expect(streamed.output[0]).toMatchObject({ type: "function_call", parsed_arguments: { city: "Paris" } });
  });

  test.each([false, true])("the tool runner, streaming: %p", async (stream) => {
    const cities: string[] = [];
    const run = ({ city }: z.infer<typeof CITY>) => {
      cities.push(city);
      return { weather: "sunny", degrees: 21 };
    };
    const body = { ...ask("What is the weather in Paris?"), tools: [zodFunction({ ...WEATHER_TOOL, function: run })] };
    const runner = stream
      ? client.chat.completions.runTools({ ...body, stream })
      : client.chat.completions.runTools(body);
    expect(await runner.finalContent()).toContain("sunny");
    expect(cities).toEqual(["Paris"]);
    expect(runner.messages).toHaveLength(4);
  });
});

describe("custom tools", () => {
  // The demo model calls this tool for this question; which letters it writes is its own affair.
  const name = "get_weather";
  const question = "What is the weather in Paris?";
  const INPUT = /^[A-Z][a-z]{2,8}$/;
  const definition = "[A-Z][a-z]{2,8}";

  test("in chats", async () => {
    const format = { type: "grammar" as const, grammar: { syntax: "regex" as const, definition } };
    const tools: ChatCompletionTool[] = [{ type: "custom", custom: { name, format } }];
    const body = { ...ask(question), tools, tool_choice: { type: "custom" as const, custom: { name } } };
    const { data, response } = await client.chat.completions.create(body).withResponse();
    expect(response.headers.get("X-MLO-Relaxed")).toBeNull();
    const [call] = data.choices[0]?.message.tool_calls ?? [];
    if (call?.type !== "custom") throw new Error("no custom call");
    expect(call.custom.name).toBe(name);
    expect(call.custom.input).toMatch(INPUT);
    const inputs: string[] = [];
    for await (const { choices } of await client.chat.completions.create({ ...body, stream: true })) {
      for (const { index, custom } of choices[0]?.delta.tool_calls ?? []) {
        inputs[index] = (inputs[index] ?? "") + (custom?.input ?? "");
      }
    }
    expect(inputs[0]).toMatch(INPUT);
    const result = { role: "tool" as const, tool_call_id: call.id, content: '{"weather": "sunny", "degrees": 21}' };
    const messages = [...body.messages, { role: "assistant" as const, tool_calls: [call] }, result];
    const next = await client.chat.completions.create({ ...body, messages, tool_choice: "auto" });
    expect(next.choices[0]?.message.content).toContain("sunny");
  });

  test("in responses", async () => {
    const format = { type: "grammar" as const, syntax: "regex" as const, definition };
    const tools = [{ type: "custom" as const, name, format }];
    const body = { model: "demo", temperature: 0, tools, tool_choice: { type: "custom" as const, name } };
    const response = await client.responses.create({ ...body, input: question });
    const call = response.output.find((item) => item.type === "custom_tool_call");
    expect(call?.input).toMatch(INPUT);
    const pieces = new Map<string, string>();
    for await (const event of await client.responses.create({ ...body, input: question, stream: true })) {
      if (event.type === "response.custom_tool_call_input.delta") {
        pieces.set(event.item_id, (pieces.get(event.item_id) ?? "") + event.delta);
      }
      if (event.type === "response.custom_tool_call_input.done") expect(pieces.get(event.item_id)).toBe(event.input);
    }
    expect([...pieces.values()][0]).toMatch(INPUT);
    const output = '{"weather": "sunny", "degrees": 21}';
    const result = { type: "custom_tool_call_output" as const, call_id: call?.call_id ?? "", output };
    const next = { ...body, tool_choice: "auto" as const, input: [result], previous_response_id: response.id };
    expect((await client.responses.create(next)).output_text).toContain("sunny");
  });
});

test("what is not here says so in the client's own errors", async () => {
  const calls: [number, () => PromiseLike<unknown>][] = [
    [405, () => client.chat.completions.list()],
    [404, () => client.chat.completions.retrieve("chatcmpl-0")],
    [404, () => client.chat.completions.update("chatcmpl-0", { metadata: {} })],
    [404, () => client.chat.completions.delete("chatcmpl-0")],
    [405, () => client.models.delete("demo")],
    [404, () => client.files.list()],
    [404, () => client.moderations.create({ input: "x" })],
    [404, () => client.images.generate({ prompt: "x" })],
  ];
  for (const [status, call] of calls) {
    const error = await Promise.resolve(call()).catch((thrown: unknown) => thrown);
    if (!(error instanceof APIError)) throw new Error(`no error of the API: ${error}`);
    expect([error.status, error.type]).toEqual([status, "invalid_request_error"]);
    expect(error.error).toMatchObject({ hint: expect.any(String) });
  }
});
