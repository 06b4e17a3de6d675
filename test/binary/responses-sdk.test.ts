// The official `openai` client's Responses and Conversations, unchanged, against the compiled binary.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI, { BadRequestError, NotFoundError } from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import type { FunctionTool, Response, ResponseInput, ResponseStreamEvent } from "openai/resources/responses/responses";
import { z } from "zod";
import { readEngine, startBinary, waitFor } from "../support/binary.ts";
import { judgeFetch } from "../support/judged-fetch.ts";
import type { Server } from "../support/server.ts";

let server: Server;
let client: OpenAI;
let folder: string;

const connect = async (url: string) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0, fetch: await judgeFetch(url) });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mlo-responses-"));
  server = await startBinary({ env: { XDG_STATE_HOME: folder } });
  client = await connect(server.url);
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const ask = (input: string) => ({ model: "demo", temperature: 0, input });
const ENDLESS = { ...ask("Count from 1 to 10"), max_output_tokens: 3000, ...{ ignore_eos: true } };

const GET_WEATHER: FunctionTool = {
  type: "function",
  name: "get_weather",
  description: "Get the current weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  strict: false,
};

async function collect(stream: AsyncIterable<ResponseStreamEvent>): Promise<ResponseStreamEvent[]> {
  const events: ResponseStreamEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

const deltasOf = (events: readonly ResponseStreamEvent[]) =>
  events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");

describe("answers", () => {
  test("plain", async () => {
    const response = await client.responses.create(ask("Count from 1 to 10"));
    expect(response.output_text).toBe("1, 2, 3, 4, 5, 6, 7, 8, 9, 10");
    expect(response).toMatchObject({ object: "response", status: "completed", model: "demo" });
    const { usage } = response;
    expect(usage?.total_tokens).toBe((usage?.input_tokens ?? 0) + (usage?.output_tokens ?? 0));
  });

  test("streamed, event by event and by the client's own helper", async () => {
    const events = await collect(await client.responses.create({ ...ask("Say hello in one sentence"), stream: true }));
    expect(deltasOf(events)).toBe("Hello! It is nice to meet you.");
    expect(events.map((event) => event.sequence_number)).toEqual([...events.keys()]);
    expect(events.at(-1)?.type).toBe("response.completed");
    let text = "";
    const helper = client.responses.stream(ask("Say hello in one sentence"));
    helper.on("response.output_text.delta", ({ delta }) => {
      text += delta;
    });
    expect((await helper.finalResponse()).output_text).toBe(text);
    expect(text).toBe(deltasOf(events));
  });

  test("cut by the limit", async () => {
    const response = await client.responses.create({ ...ask("Count from 1 to 10"), max_output_tokens: 5 });
    expect(response).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
    expect(response.usage?.output_tokens).toBe(5);
  });

  test("parsed by a zod schema, plain and streamed", async () => {
    const format = zodTextFormat(z.object({ name: z.string(), age: z.number().int() }), "person");
    const body = { ...ask("Extract the name and the age as JSON: Anna is 31 years old."), text: { format } };
    expect((await client.responses.parse(body)).output_parsed).toEqual({ name: "Anna", age: 31 });
    const final = await client.responses.stream(body).finalResponse();
    expect(final.output_parsed).toEqual({ name: "Anna", age: 31 });
  });

  test("log probabilities are those of the text", async () => {
    const body = { ...ask("Count from 1 to 10"), top_logprobs: 2, include: ["message.output_text.logprobs" as const] };
    const [item] = (await client.responses.create(body)).output;
    if (item?.type !== "message" || item.content[0]?.type !== "output_text") throw new Error("no text");
    const { text, logprobs = [] } = item.content[0];
    expect(logprobs.map(({ token }) => token).join("")).toBe(text);
    expect(logprobs.every(({ logprob, top_logprobs: top }) => logprob <= 0 && top.length === 2)).toBe(true);
    const events = await collect(await client.responses.create({ ...body, stream: true }));
    const streamed = events.flatMap((event) => (event.type === "response.output_text.delta" ? event.logprobs : []));
    expect(streamed.map(({ token }) => token)).toEqual(logprobs.map(({ token }) => token));
  });

  test("a function call and its output", async () => {
    const body = { ...ask("What is the weather in Paris?"), tools: [GET_WEATHER] };
    const response = await client.responses.create(body);
    const [call] = response.output;
    if (call?.type !== "function_call") throw new Error("no function call");
    expect(call.name).toBe("get_weather");
    expect(JSON.parse(call.arguments)).toEqual({ city: "Paris" });
    const output = '{"weather": "sunny", "degrees": 21}';
    const result = { type: "function_call_output" as const, call_id: call.call_id, output };
    const next = { model: "demo", temperature: 0, tools: [GET_WEATHER] };
    const stateful = await client.responses.create({ ...next, input: [result], previous_response_id: response.id });
    expect(stateful.output_text).toContain("21");
    const input = [{ role: "user" as const, content: body.input }, call, result];
    const stateless = await client.responses.create({ ...next, input, store: false });
    expect(stateless.output_text).toBe(stateful.output_text);
    const events = await collect(await client.responses.create({ ...body, stream: true }));
    const done = events.find((event) => event.type === "response.function_call_arguments.done");
    expect(JSON.parse(done?.arguments ?? "")).toEqual({ city: "Paris" });
  });

  test("a prompt is counted as it is read", async () => {
    const response = await client.responses.create(ask("Say hello in one sentence"));
    const counted = await client.responses.inputTokens.count({ model: "demo", input: "Say hello in one sentence" });
    expect(counted.input_tokens).toBe(response.usage?.input_tokens ?? 0);
  });

  test("a client that aborts frees its sequence", async () => {
    const stream = await client.responses.create({ ...ENDLESS, stream: true });
    let events = 0;
    for await (const _ of stream) if (++events === 6) stream.controller.abort();
    await waitFor("the aborted sequence to leave", async () => (await readEngine(server.url)).stats.running === 0);
  });
});

describe("state", () => {
  test("shown, listed, deleted", async () => {
    const input = ["Say hello", "in one sentence"].map((content) => ({ role: "user" as const, content }));
    const { output_text: _, ...created } = await client.responses.create({ ...ask(""), input, metadata: { a: "b" } });
    expect(await client.responses.retrieve(created.id)).toMatchObject(created as unknown as Record<string, unknown>);
    const items = [];
    for await (const item of client.responses.inputItems.list(created.id, { limit: 1, order: "asc" })) items.push(item);
    expect(items.map((item) => (item.type === "message" ? item.content[0] : null))).toMatchObject([
      { type: "input_text", text: "Say hello" },
      { type: "input_text", text: "in one sentence" },
    ]);
    await client.responses.delete(created.id);
    expect(await client.responses.retrieve(created.id).catch((error) => error)).toBeInstanceOf(NotFoundError);
  });

  test("a continued response reads nothing again", async () => {
    const first = await client.responses.create(ask(`Tell me about this: ${"one two three four ".repeat(30)}`));
    const second = await client.responses.create({ ...ask("And now?"), previous_response_id: first.id });
    const before = first.usage?.input_tokens ?? 0;
    expect(second.usage?.input_tokens).toBeGreaterThan(before);
    expect(second.usage?.input_tokens_details.cached_tokens).toBeGreaterThanOrEqual(before - 1);
  });

  test("compacted, it goes on from its summary", async () => {
    const first = await client.responses.create(ask("What is 7 + 8?"));
    const compacted = await client.responses.compact({ model: "demo", previous_response_id: first.id });
    expect(compacted.output.map(({ type }) => type)).toEqual(["message", "compaction"]);
    const input = [...compacted.output, { role: "user" as const, content: "Count from 1 to 10" }];
    const next = await client.responses.create({ ...ask(""), input: input as ResponseInput, max_output_tokens: 8 });
    expect(next.usage?.input_tokens).toBeGreaterThan(compacted.usage.output_tokens);
  });

  test("it outlives the server", async () => {
    const first = await client.responses.create(ask(`Remember this: ${"four three two one ".repeat(100)}`));
    await server.stop();
    server = await startBinary({ env: { XDG_STATE_HOME: folder } });
    client = await connect(server.url);
    expect((await client.responses.retrieve(first.id)).output_text).toBe(first.output_text);
    const second = await client.responses.create({ ...ask("And now?"), previous_response_id: first.id });
    expect(second.usage?.input_tokens).toBeGreaterThan(first.usage?.input_tokens ?? 0);
    expect(second.usage?.input_tokens_details.cached_tokens).toBeGreaterThanOrEqual(256);
  });

  test("conversations", async () => {
    const items = [{ type: "message" as const, role: "developer" as const, content: "You are brief." }];
    const conversation = await client.conversations.create({ metadata: { topic: "demo" }, items });
    const body = { ...ask("Say hello in one sentence"), conversation: conversation.id };
    const response = await client.responses.create(body);
    expect(response.conversation?.id).toBe(conversation.id);
    const roles: string[] = [];
    for await (const item of client.conversations.items.list(conversation.id, { order: "asc", limit: 2 })) {
      roles.push(item.type === "message" ? item.role : item.type);
    }
    expect(roles).toEqual(["developer", "user", "assistant"]);
    const added = await client.conversations.items.create(conversation.id, {
      items: [{ type: "message", role: "user", content: "Bye." }],
    });
    const [item] = added.data;
    if (item?.type !== "message") throw new Error("no message");
    const place = { conversation_id: conversation.id };
    expect(await client.conversations.items.retrieve(item.id, place)).toMatchObject({ id: item.id });
    await client.conversations.items.delete(item.id, place);
    const updated = await client.conversations.update(conversation.id, { metadata: { topic: "other" } });
    expect(updated.metadata).toEqual({ topic: "other" });
    expect(await client.conversations.retrieve(conversation.id)).toMatchObject({ metadata: { topic: "other" } });
    expect(await client.conversations.delete(conversation.id)).toMatchObject({ deleted: true });
    expect(await client.conversations.retrieve(conversation.id).catch((error) => error)).toBeInstanceOf(NotFoundError);
  });
});

describe("in the background", () => {
  const untilEnded = async (id: string): Promise<Response> => {
    let response = await client.responses.retrieve(id);
    await waitFor("the response to end", async () => {
      response = await client.responses.retrieve(id);
      return response.status !== "queued" && response.status !== "in_progress";
    });
    return response;
  };

  test("begun, then had", async () => {
    const begun = await client.responses.create({ ...ask("Count from 1 to 10"), background: true });
    expect(begun.status).toBe("queued");
    expect((await untilEnded(begun.id)).output_text).toBe("1, 2, 3, 4, 5, 6, 7, 8, 9, 10");
  });

  test("a stream that is cut goes on where it was", async () => {
    const stream = await client.responses.create({ ...ask("Count from 1 to 10"), background: true, stream: true });
    const head: ResponseStreamEvent[] = [];
    for await (const event of stream) {
      head.push(event);
      if (head.length === 8) break;
    }
    const [created] = head;
    if (created?.type !== "response.created") throw new Error("the first event is another");
    const { id } = created.response;
    const rest = await client.responses.retrieve(id, { stream: true, starting_after: 7 });
    const events = [...head, ...(await collect(rest))];
    expect(events.map((event) => event.sequence_number)).toEqual([...events.keys()]);
    expect(deltasOf(events)).toBe("1, 2, 3, 4, 5, 6, 7, 8, 9, 10");
    const replayed = await client.responses.stream({ response_id: id }).finalResponse();
    expect(replayed.output_text).toBe("1, 2, 3, 4, 5, 6, 7, 8, 9, 10");
  });

  test("cancelled", async () => {
    const { id } = await client.responses.create({ ...ENDLESS, background: true });
    const cancelled = await client.responses.cancel(id);
    expect(cancelled.status).toBe("cancelled");
    await waitFor("the sequence to leave", async () => (await readEngine(server.url)).stats.running === 0);
    expect((await client.responses.retrieve(id)).status).toBe("cancelled");
  });
});

test("errors are the client's own classes", async () => {
  const wrong = await client.responses.create({ ...ask("x"), temperature: -1 }).catch((error) => error);
  expect(wrong).toBeInstanceOf(BadRequestError);
  expect(wrong).toMatchObject({ code: "invalid_request", param: "temperature" });
  const missing = await client.responses
    .create({ ...ask("x"), previous_response_id: "resp_0" })
    .catch((error) => error);
  expect(missing).toBeInstanceOf(NotFoundError);
  expect(missing).toMatchObject({ code: "not_found", param: "previous_response_id" });
});
