// The official `@anthropic-ai/sdk`, unchanged, against the compiled binary: what it decodes, how it streams, its tool
// runner, and which of its error classes it throws.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import Anthropic, { APIUserAbortError, BadRequestError, NotFoundError } from "@anthropic-ai/sdk";
import { betaZodOutputFormat, betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";
import { readEngine, startBinary, waitFor } from "../support/binary.ts";
import { judgeFetch } from "../support/judged-fetch.ts";
import type { Server } from "../support/server.ts";

let server: Server;
let client: Anthropic;

beforeAll(async () => {
  server = await startBinary();
  const fetch = await judgeFetch(server.url);
  client = new Anthropic({ baseURL: server.url, apiKey: "unused", maxRetries: 0, fetch });
});
afterAll(() => server.stop());

const ask = (content: string) => ({
  model: "demo",
  max_tokens: 128,
  messages: [{ role: "user" as const, content }],
  // The client's types have left it out, as the newest models do; its requests still may have it.
  ...{ temperature: 0 },
});

const COUNT_TO_TEN = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10";

const GET_WEATHER: Anthropic.Tool = {
  name: "get_weather",
  description: "Get the current weather of a city",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

describe("messages", () => {
  test("plain, and by key or token", async () => {
    const answer = await client.messages.create(ask("Count from 1 to 10"));
    expect(answer).toMatchObject({ type: "message", role: "assistant", model: "demo", stop_reason: "end_turn" });
    expect(answer.content).toEqual([{ type: "text", text: COUNT_TO_TEN } as never]);
    expect(answer._request_id).toStartWith("req-");
    const byToken = new Anthropic({ baseURL: server.url, apiKey: null, authToken: "unused", maxRetries: 0 });
    expect((await byToken.messages.create(ask("Count from 1 to 10"))).content).toEqual(answer.content);
    expect((await client.beta.messages.create({ ...ask("Count from 1 to 10"), betas: ["x"] })).content).toEqual(
      answer.content as never,
    );
  });

  test("a message that goes on", async () => {
    const begun = {
      ...ask(""),
      messages: [
        { role: "user" as const, content: "Count from 1 to 10" },
        { role: "assistant" as const, content: "1, 2, 3," },
      ],
    };
    const rest = COUNT_TO_TEN.slice("1, 2, 3,".length);
    const answer = await client.messages.create(begun);
    expect(answer.content).toEqual([{ type: "text", text: rest } as never]);
    expect(await client.messages.stream(begun).finalText()).toBe(rest);
    const { input_tokens } = await client.messages.countTokens({ model: "demo", messages: begun.messages });
    expect(input_tokens).toBe(answer.usage.input_tokens + (answer.usage.cache_read_input_tokens ?? 0));
  });

  test("streamed: every event, in order", async () => {
    const types: string[] = [];
    let text = "";
    for await (const event of await client.messages.create({ ...ask("Count from 1 to 10"), stream: true })) {
      if (types.at(-1) !== event.type) types.push(event.type);
      if (event.type === "content_block_delta" && event.delta.type === "text_delta") text += event.delta.text;
    }
    expect(text).toBe(COUNT_TO_TEN);
    expect(types).toEqual([
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
  });

  test("streamed, by the client's own helper, is the message in one piece", async () => {
    const plain = await client.messages.create(ask("What is 7 + 8?"));
    const texts: string[] = [];
    const stream = client.messages.stream(ask("What is 7 + 8?")).on("text", (delta) => texts.push(delta));
    const streamed = await stream.finalMessage();
    expect(await stream.finalText()).toBe("15");
    expect(texts.join("")).toBe("15");
    expect(streamed.content as unknown).toEqual(plain.content);
    expect([streamed.stop_reason, streamed.usage.output_tokens]).toEqual(["end_turn", plain.usage.output_tokens]);
    expect(stream.request_id).toStartWith("req-");
  });

  test("stop sequences and limits", async () => {
    const stopped = await client.messages.create({ ...ask("Count from 1 to 10"), stop_sequences: ["9", "7"] });
    expect(stopped).toMatchObject({ stop_reason: "stop_sequence", stop_sequence: "7" });
    expect(stopped.content).toMatchObject([{ text: "1, 2, 3, 4, 5, 6, " }]);
    const cut = await client.messages.create({ ...ask("Count from 1 to 10"), max_tokens: 5 });
    expect(cut).toMatchObject({ stop_reason: "max_tokens", usage: { output_tokens: 5 } });
    const warmed = await client.messages.create({ ...ask("Count from 1 to 10"), max_tokens: 0 });
    expect(warmed).toMatchObject({ content: [], stop_reason: "max_tokens", usage: { output_tokens: 0 } });
  });

  test("usage adds up to what count_tokens says, and a marked conversation is kept by name", async () => {
    const system = [{ type: "text" as const, text: "Be brief.", cache_control: { type: "ephemeral" as const } }];
    const request = { ...ask(`Tell me of ${"one two three ".repeat(30)}`), system };
    const { input_tokens } = await client.messages.countTokens({
      model: "demo",
      system,
      messages: request.messages,
    });
    const sum = ({ usage }: Anthropic.Message) =>
      usage.input_tokens + (usage.cache_creation_input_tokens ?? 0) + (usage.cache_read_input_tokens ?? 0);
    const first = await client.messages.create({ ...request, max_tokens: 4 });
    expect(sum(first)).toBe(input_tokens);
    expect(first.usage.cache_creation_input_tokens).toBeGreaterThan(60);
    const again = await client.messages.stream({ ...request, max_tokens: 4 }).finalMessage();
    expect(sum(again)).toBe(input_tokens);
    expect(again.usage.cache_read_input_tokens).toBeGreaterThan(60);
    const { entries } = (await (await fetch(`${server.url}/api/cache`)).json()) as { entries: { session: string }[] };
    expect(entries.some(({ session }) => session?.startsWith("cached-"))).toBe(true);
  });

  test("count_tokens computes nothing, grows with tools, and counts beyond the context", async () => {
    const { model, messages } = ask("Hello!");
    const before = (await readEngine(server.url)).stats.evaluatedTokens;
    const plain = await client.messages.countTokens({ model, messages });
    const tooled = await client.beta.messages.countTokens({ model, messages, tools: [GET_WEATHER] });
    const long = await client.messages.countTokens({ model, messages: ask("word ".repeat(20_000)).messages });
    expect(plain.input_tokens).toBeGreaterThan(2);
    expect(tooled.input_tokens).toBeGreaterThan(plain.input_tokens);
    expect(long.input_tokens).toBeGreaterThan(20_000);
    expect((await readEngine(server.url)).stats.evaluatedTokens).toBe(before);
  });

  test("a client that aborts gets its own error, and its sequence is free", async () => {
    const endless = { ...ask("Count from 1 to 10"), max_tokens: 4000, ...{ ignore_eos: true } };
    const stream = client.messages.stream(endless);
    stream.on("text", () => stream.abort());
    expect(await stream.finalMessage().catch((error) => error)).toBeInstanceOf(APIUserAbortError);
    await waitFor("the aborted sequence to leave", async () => (await readEngine(server.url)).stats.running === 0);
  });
});

describe("tools and JSON", () => {
  test("a tool call, its result, and the answer", async () => {
    const request = { ...ask("What is the weather in Paris?"), tools: [GET_WEATHER] };
    const asked = await client.messages.create(request);
    expect(asked.stop_reason).toBe("tool_use");
    const call = asked.content.find((block) => block.type === "tool_use");
    expect(call).toMatchObject({ name: "get_weather", input: { city: "Paris" } });
    const content = [{ type: "text" as const, text: '{"weather": "sunny", "degrees": 21}' }];
    const answer = await client.messages.create({
      ...request,
      messages: [
        ...request.messages,
        { role: "assistant", content: asked.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: call?.id ?? "", content }] },
      ],
    });
    expect(answer.stop_reason).toBe("end_turn");
    expect(answer.content.map((block) => (block.type === "text" ? block.text : "")).join("")).toContain("21");
  });

  test("a streamed call is what the plain one is", async () => {
    const request = { ...ask("What is the weather in Paris?"), tools: [GET_WEATHER] };
    const pieces: string[] = [];
    const stream = client.messages.stream(request).on("inputJson", (piece) => pieces.push(piece));
    const message = await stream.finalMessage();
    expect(message.stop_reason).toBe("tool_use");
    const call = message.content.find((block) => block.type === "tool_use");
    expect(call).toMatchObject({ name: "get_weather", input: { city: "Paris" } });
    expect(call?.id).toMatch(/^[\w-]+$/);
    expect(JSON.parse(pieces.join(""))).toEqual({ city: "Paris" });
  });

  test.each([false, true])("the tool runner, streaming: %p", async (stream) => {
    const cities: string[] = [];
    const runner = client.beta.messages.toolRunner({
      ...ask("What is the weather in Paris?"),
      max_iterations: 4,
      stream,
      tools: [
        betaZodTool({
          name: "get_weather",
          description: "Get the current weather of a city",
          inputSchema: z.object({ city: z.string() }),
          run: ({ city }) => {
            cities.push(city);
            return '{"weather": "sunny", "degrees": 21}';
          },
        }),
      ],
    });
    const final = await runner.runUntilDone();
    // The whole conversation was sent, not only what was new in it: the server holds none.
    expect(runner.params.messages).toHaveLength(4);
    expect(final.usage.input_tokens + (final.usage.cache_read_input_tokens ?? 0)).toBeGreaterThan(20);
    expect(cities).toEqual(["Paris"]);
    expect(final.stop_reason).toBe("end_turn");
    expect(final.content.map((block) => (block.type === "text" ? block.text : "")).join("")).toContain("21");
  });

  test("JSON that follows a schema, parsed", async () => {
    const message = await client.messages.parse({
      ...ask("Extract the name and the age as JSON: Anna is 31 years old."),
      output_config: { format: zodOutputFormat(z.object({ name: z.string(), age: z.number().int() })) },
    });
    expect(message.parsed_output).toEqual({ name: "Anna", age: 31 });
  });
});

test("the beta resources: a helper's stream, parsing, models", async () => {
  const stream = client.beta.messages.stream({ ...ask("Count from 1 to 10"), betas: ["x"] });
  expect(await stream.finalText()).toBe(COUNT_TO_TEN);
  const parsed = await client.beta.messages.parse({
    ...ask("Extract the name and the age as JSON: Anna is 31 years old."),
    output_config: { format: betaZodOutputFormat(z.object({ name: z.string(), age: z.number().int() })) },
  });
  expect(parsed.parsed_output).toEqual({ name: "Anna", age: 31 });
  const ids: string[] = [];
  for await (const { id } of client.beta.models.list()) ids.push(id);
  expect(ids).toEqual(["demo"]);
  expect(await client.beta.models.retrieve("demo")).toMatchObject({ id: "demo", type: "model" });
});

describe("models and errors", () => {
  test("models, listed and one", async () => {
    const ids: string[] = [];
    for await (const model of client.models.list({ limit: 1 })) ids.push(model.id);
    expect(ids).toEqual(["demo"]);
    const one = await client.models.retrieve("demo");
    expect(one).toMatchObject({ id: "demo", type: "model", max_input_tokens: 4096 });
    expect(Date.parse(one.created_at)).toBeGreaterThan(0);
  });

  test("errors are the client's own classes, and say what and which request", async () => {
    const missing = await client.messages.create({ ...ask("hi"), model: "no/such" }).catch((error) => error);
    expect(missing).toBeInstanceOf(NotFoundError);
    expect(missing).toMatchObject({ status: 404, type: "not_found_error", requestID: expect.stringMatching(/^req-/) });
    expect(await client.models.retrieve("no/such").catch((error) => error)).toBeInstanceOf(NotFoundError);
    const wrong = await client.messages.create({ ...ask("hi"), max_tokens: -1 }).catch((error) => error);
    expect(wrong).toBeInstanceOf(BadRequestError);
    expect(wrong.error.error).toMatchObject({ type: "invalid_request_error", param: "max_tokens" });
    const streamed = client.messages.stream({ ...ask("hi"), messages: [] });
    expect(await streamed.finalMessage().catch((error) => error)).toBeInstanceOf(BadRequestError);
  });

  test("what is not here says so in its envelope", async () => {
    const calls = [client.messages.batches.list(), client.beta.files.list()];
    for (const call of calls) {
      const error = await Promise.resolve(call).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(NotFoundError);
      expect(error).toMatchObject({ type: "not_found_error" });
    }
  });

  test("a prompt over the context says it as agents expect", async () => {
    const long = await client.messages.create(ask("word ".repeat(20_000))).catch((error) => error);
    expect(long).toBeInstanceOf(BadRequestError);
    expect(long.message).toMatch(/prompt is too long: \d{5} tokens > 4096 maximum/);
  });
});
