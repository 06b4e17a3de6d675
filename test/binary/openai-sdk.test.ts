// The official `openai` client, unchanged, against the compiled binary: what it decodes, how it streams, and which of
// its error classes it throws.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import OpenAI, { APIUserAbortError, BadRequestError, NotFoundError } from "openai";
import type { ChatCompletionChunk, ChatCompletionFunctionTool } from "openai/resources/chat/completions";
import { readEngine, startBinary, waitFor } from "../support/binary.ts";
import { judgeFetch } from "../support/judged-fetch.ts";
import type { Server } from "../support/server.ts";

let server: Server;
let client: OpenAI;

beforeAll(async () => {
  server = await startBinary();
  const fetch = await judgeFetch(server.url);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "unused", maxRetries: 0, fetch });
});
afterAll(() => server.stop());

const ask = (content: string) => ({ model: "demo", temperature: 0, messages: [{ role: "user" as const, content }] });

const GET_WEATHER: ChatCompletionFunctionTool = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Get the current weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
const WEATHER = { ...ask("What is the weather in Paris?"), tools: [GET_WEATHER] };

async function collect(stream: AsyncIterable<ChatCompletionChunk>): Promise<ChatCompletionChunk[]> {
  const chunks: ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks: ChatCompletionChunk[]) => chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");

describe("chat", () => {
  test("plain", async () => {
    const answer = await client.chat.completions.create(ask("Count from 1 to 10"));
    expect(answer.choices[0]?.message).toMatchObject({ role: "assistant", content: "1, 2, 3, 4, 5, 6, 7, 8, 9, 10" });
    expect(answer.choices[0]?.finish_reason).toBe("stop");
    expect(answer.object).toBe("chat.completion");
    expect(answer.model).toBe("demo");
    const usage = answer.usage;
    expect(usage?.total_tokens).toBe((usage?.prompt_tokens ?? 0) + (usage?.completion_tokens ?? 0));
  });

  test("streamed, with the usage in a chunk of its own", async () => {
    const plain = await client.chat.completions.create(ask("Say hello in one sentence"));
    const chunks = await collect(
      await client.chat.completions.create({
        ...ask("Say hello in one sentence"),
        stream: true,
        stream_options: { include_usage: true },
      }),
    );
    expect(textOf(chunks)).toBe("Hello! It is nice to meet you.");
    expect(chunks[0]?.choices[0]?.delta.role).toBe("assistant");
    const reasons = chunks.map(({ choices }) => choices[0]?.finish_reason).filter((reason) => reason);
    expect(reasons).toEqual(["stop"]);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: plain.usage?.completion_tokens } });
    expect(chunks.slice(0, -1).every(({ usage }) => !usage)).toBe(true);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  test("streamed, by the client's own helper", async () => {
    const runner = client.chat.completions.stream(ask("What is 7 + 8?"));
    expect(await runner.finalContent()).toBe("15");
    expect((await runner.finalChatCompletion()).choices[0]?.finish_reason).toBe("stop");
  });

  test("stop strings and limits", async () => {
    const stopped = await client.chat.completions.create({ ...ask("Count from 1 to 10"), stop: ["7"] });
    expect(stopped.choices[0]).toMatchObject({ finish_reason: "stop", message: { content: "1, 2, 3, 4, 5, 6, " } });
    const cut = await client.chat.completions.create({ ...ask("Count from 1 to 10"), max_completion_tokens: 5 });
    expect(cut.choices[0]?.finish_reason).toBe("length");
    expect(cut.usage?.completion_tokens).toBe(5);
  });

  test("several choices, plain and streamed", async () => {
    // The hotter, the less does rounding, which depends on who shares a batch, weigh against the seed.
    const dice = { temperature: 100, top_p: 1, top_k: 0, min_p: 0, grammar: "root ::= [0-9]{12}" };
    const body = { ...ask("Say hello in one sentence"), ...dice, seed: 11 };
    const alone = await Promise.all([11, 12, 13].map((seed) => client.chat.completions.create({ ...body, seed })));
    const plain = await client.chat.completions.create({ ...body, n: 3 });
    expect(plain.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    const texts = plain.choices.map(({ message }) => message.content);
    expect(texts).toEqual(alone.map(({ choices }) => choices[0]?.message.content as string));
    expect(new Set(texts).size).toBe(3);
    expect(plain.usage).toMatchObject({
      prompt_tokens: alone[0]?.usage?.prompt_tokens,
      completion_tokens: alone.reduce((sum, { usage }) => sum + (usage?.completion_tokens ?? 0), 0),
    });

    const chunks = await collect(
      await client.chat.completions.create({ ...body, n: 3, stream: true, stream_options: { include_usage: true } }),
    );
    const choices = chunks.flatMap((chunk) => chunk.choices);
    const streamed = [0, 1, 2].map((index) => choices.filter((choice) => choice.index === index));
    expect(streamed.map((own) => own.map(({ delta }) => delta.content ?? "").join(""))).toEqual(texts as string[]);
    for (const [index, own] of streamed.entries()) {
      const reasons = own.flatMap(({ finish_reason }) => finish_reason ?? []);
      expect(reasons).toEqual([plain.choices[index]?.finish_reason as "stop"]);
    }
    expect(chunks.filter(({ usage }) => usage)).toHaveLength(1);
    expect(chunks.at(-1)?.usage?.completion_tokens).toBe(plain.usage?.completion_tokens as number);

    const runner = client.chat.completions.stream({ ...body, n: 3 });
    const final = await runner.finalChatCompletion();
    expect(final.choices.map(({ message }) => message.content)).toEqual(texts);
  });

  test("a prompt is read once for all its choices", async () => {
    const { data, response } = await client.chat.completions
      .create({ ...ask(`Tell me about this: ${"one two three four five six ".repeat(20)}`), n: 8, max_tokens: 4 })
      .withResponse();
    const tokens = data.usage?.prompt_tokens ?? 0;
    const before = await readEngine(server.url);
    await client.chat.completions.create({
      ...ask(`And now of this: ${"six five four three two one ".repeat(20)}`),
      n: 8,
      max_tokens: 4,
    });
    const after = await readEngine(server.url);
    expect(response.headers.get("X-MLO-Cache")).toMatch(/^live=0, /);
    expect(after.stats.evaluatedTokens - before.stats.evaluatedTokens).toBeLessThan(1.5 * tokens);
  });

  test("a client that aborts gets its own error, and its sequence is free", async () => {
    const stream = await client.chat.completions.create({
      ...ask("Count from 1 to 10"),
      stream: true,
      max_tokens: 4000,
      ...{ ignore_eos: true },
    });
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 3) stream.controller.abort();
    expect(chunks).toBeGreaterThanOrEqual(3);
    await waitFor("the aborted sequence to leave", async () => (await readEngine(server.url)).stats.running === 0);
    const early = new AbortController();
    const call = client.chat.completions
      .create(ask("Count from 1 to 10"), { signal: early.signal })
      .catch((error) => error);
    early.abort();
    expect(await call).toBeInstanceOf(APIUserAbortError);
  });
});

describe("tools and JSON", () => {
  test("a tool call, plain", async () => {
    const answer = await client.chat.completions.create(WEATHER);
    const choice = answer.choices[0];
    expect(choice?.finish_reason).toBe("tool_calls");
    const call = choice?.message.tool_calls?.[0];
    if (call?.type !== "function") throw new Error("no function call");
    expect(call.id).not.toBe("");
    expect(call.function.name).toBe("get_weather");
    expect(JSON.parse(call.function.arguments)).toEqual({ city: "Paris" });
    expect(choice?.message.content ?? "").toBe("");

    const result = { role: "tool" as const, tool_call_id: call.id, content: '{"weather": "sunny", "degrees": 21}' };
    const messages = [...WEATHER.messages, { role: "assistant" as const, tool_calls: [call] }, result];
    const final = await client.chat.completions.create({ ...WEATHER, messages });
    expect(final.choices[0]?.finish_reason).toBe("stop");
    expect(final.choices[0]?.message.content).toContain("21");
  });

  test("a tool call, streamed", async () => {
    const chunks = await collect(await client.chat.completions.create({ ...WEATHER, stream: true }));
    const deltas = chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
    expect(deltas[0]).toMatchObject({ index: 0, id: expect.any(String), type: "function" });
    expect(deltas.map((delta) => delta.function?.name ?? "").join("")).toBe("get_weather");
    expect(JSON.parse(deltas.map((delta) => delta.function?.arguments ?? "").join(""))).toEqual({ city: "Paris" });
    expect(chunks.find(({ choices }) => choices[0]?.finish_reason)?.choices[0]?.finish_reason).toBe("tool_calls");
  });

  test("JSON that follows a schema", async () => {
    const schema = {
      type: "object",
      properties: { name: { type: "string" }, age: { type: "integer" } },
      required: ["name", "age"],
      additionalProperties: false,
    };
    const answer = await client.chat.completions.create({
      ...ask("Extract the name and the age as JSON: Anna is 31 years old."),
      response_format: { type: "json_schema", json_schema: { name: "person", schema, strict: true } },
    });
    expect(JSON.parse(answer.choices[0]?.message.content ?? "")).toEqual({ name: "Anna", age: 31 });
  });
});

describe("the other routes", () => {
  test("completions, plain and streamed", async () => {
    const body = { model: "demo", prompt: "One, two, three,", max_tokens: 12, temperature: 0 };
    const plain = await client.completions.create(body);
    expect(plain.object).toBe("text_completion");
    expect(plain.usage?.completion_tokens).toBeLessThanOrEqual(12);
    let text = "";
    for await (const chunk of await client.completions.create({ ...body, stream: true })) {
      text += chunk.choices[0]?.text ?? "";
    }
    expect(text).toBe(plain.choices[0]?.text as string);
  });

  test("completions of several prompts, as texts and tokens, plain and streamed", async () => {
    const body = { model: "demo", max_tokens: 8, temperature: 0, n: 2 };
    const prompt = ["One, two, three,", "Red, green,"];
    const alone = await Promise.all(prompt.map((text) => client.completions.create({ ...body, prompt: text, n: 1 })));
    const plain = await client.completions.create({ ...body, prompt });
    expect(plain.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    const expected = alone.flatMap(({ choices }) => [choices[0]?.text ?? "", choices[0]?.text ?? ""]);
    expect(plain.choices.map(({ text }) => text)).toEqual(expected);
    const promptTokens = alone.map(({ usage }) => usage?.prompt_tokens ?? 0).reduce((sum, count) => sum + count, 0);
    expect(plain.usage?.prompt_tokens).toBe(promptTokens);
    const texts = ["", "", "", ""];
    for await (const chunk of await client.completions.create({ ...body, prompt, stream: true })) {
      for (const { index, text } of chunk.choices) texts[index] += text;
    }
    expect(texts).toEqual(expected);
    const tokens = await client.completions.create({
      ...body,
      prompt: [
        [10, 11, 12],
        [12, 11],
      ],
    });
    expect(tokens.choices).toHaveLength(4);
    expect(tokens.usage?.prompt_tokens).toBe(5);
  });

  test("embeddings: floats, base64, and the client's own default decode to the same", async () => {
    const body = { model: "demo", input: ["a first text", "another one"] };
    const floats = await client.embeddings.create({ ...body, encoding_format: "float" });
    const standard = await client.embeddings.create(body);
    const raw = await client.embeddings.create({ ...body, encoding_format: "base64" });
    expect(floats.data.map(({ index }) => index)).toEqual([0, 1]);
    for (const [index, { embedding }] of floats.data.entries()) {
      expect(embedding.length).toBeGreaterThan(8);
      expect(Math.hypot(...embedding)).toBeCloseTo(1, 4);
      expect(standard.data[index]?.embedding).toEqual(embedding);
      const text = raw.data[index]?.embedding as unknown as string;
      const bytes = new Uint8Array(Buffer.from(text, "base64"));
      expect([...new Float32Array(bytes.buffer)]).toEqual(embedding);
    }
    expect(floats.usage.prompt_tokens).toBeGreaterThan(2);
  });

  test("models, listed and one", async () => {
    const { data } = await client.models.list();
    expect(data.map(({ id }) => id)).toEqual(["demo"]);
    expect(await client.models.retrieve("demo")).toMatchObject({ id: "demo", object: "model" });
  });
});

describe("errors are the client's own classes", () => {
  test("404, 400, and what they carry", async () => {
    const missing = await client.chat.completions.create({ ...ask("hi"), model: "no/such" }).catch((error) => error);
    expect(missing).toBeInstanceOf(NotFoundError);
    expect(missing).toMatchObject({ status: 404, code: "model_not_found", param: "model" });
    expect(missing.requestID).toBeString();
    const retrieved = await client.models.retrieve("no/such").catch((error) => error);
    expect(retrieved).toBeInstanceOf(NotFoundError);
    const wrong = await client.chat.completions.create({ ...ask("hi"), temperature: -1 }).catch((error) => error);
    expect(wrong).toBeInstanceOf(BadRequestError);
    expect(wrong).toMatchObject({ code: "invalid_request", param: "temperature" });
    const streamed = await client.chat.completions
      .create({ ...ask("hi"), messages: [], stream: true })
      .catch((error) => error);
    expect(streamed).toBeInstanceOf(BadRequestError);
  });

  test("a prompt over the context says both numbers", async () => {
    const long = await client.chat.completions.create(ask("word ".repeat(20_000))).catch((error) => error);
    expect(long).toBeInstanceOf(BadRequestError);
    expect(long.code).toBe("context_length_exceeded");
    expect(long.message).toMatch(/\b\d{5} tokens\b.*\b4096\b/);
  });
});
