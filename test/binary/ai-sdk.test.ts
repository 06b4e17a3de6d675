// The AI SDK (`ai` with its providers for OpenAI and for what is compatible), unchanged, against the compiled binary.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateText, type LanguageModel, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { readEngine, startBinary, waitFor } from "../support/binary.ts";
import type { Server } from "../support/server.ts";

let server: Server;

beforeAll(async () => {
  server = await startBinary();
});
afterAll(() => server.stop());

const openai = () => createOpenAI({ baseURL: `${server.url}/v1`, apiKey: "unused" });
const compatible = () =>
  createOpenAICompatible({
    name: "local",
    baseURL: `${server.url}/v1`,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });

const PROVIDERS: [string, () => LanguageModel][] = [
  ["openai-compatible", () => compatible()("demo")],
  ["openai, Responses", () => openai()("demo")],
  ["openai, chats", () => openai().chat("demo")],
];

const weather = (cities: string[]) => ({
  get_weather: tool({
    description: "Get the current weather of a city",
    inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => {
      cities.push(city);
      return { weather: "sunny", degrees: 21 };
    },
  }),
});

describe.each(PROVIDERS)("%s", (_, open) => {
  const ask = (prompt: string) => ({ model: open(), temperature: 0, maxRetries: 0, prompt });

  test("plain and streamed", async () => {
    const plain = await generateText(ask("Count from 1 to 10"));
    expect([plain.text, plain.finishReason]).toEqual(["1, 2, 3, 4, 5, 6, 7, 8, 9, 10", "stop"]);
    expect(plain.usage.inputTokens).toBeGreaterThan(5);
    const streamed = streamText(ask("Count from 1 to 10"));
    const pieces: string[] = [];
    for await (const piece of streamed.textStream) pieces.push(piece);
    expect(pieces.join("")).toBe(plain.text);
    expect(pieces.length).toBeGreaterThan(3);
    expect((await streamed.usage).outputTokens).toBe(plain.usage.outputTokens as number);
  });

  test("a tool is called, and its result answered", async () => {
    const cities: string[] = [];
    const body = { ...ask("What is the weather in Paris?"), tools: weather(cities), stopWhen: stepCountIs(4) };
    const plain = await generateText(body);
    expect(plain.steps).toHaveLength(2);
    expect(plain.text).toContain("sunny");
    const streamed = streamText(body);
    const types = new Set<string>();
    for await (const { type } of streamed.fullStream) types.add(type);
    expect([...types]).toEqual(expect.arrayContaining(["tool-input-delta", "tool-call", "tool-result", "text-delta"]));
    expect(types.has("error")).toBe(false);
    expect(await streamed.text).toBe(plain.text);
    expect(cities).toEqual(["Paris", "Paris"]);
  });

  test("an object by a zod schema, whole and as it grows", async () => {
    const body = {
      ...ask("Extract the name and the age as JSON: Anna is 31 years old."),
      output: Output.object({ schema: z.object({ name: z.string(), age: z.number().int() }) }),
    };
    expect((await generateText(body)).output).toEqual({ name: "Anna", age: 31 });
    const parts: unknown[] = [];
    for await (const part of streamText(body).partialOutputStream) parts.push(part);
    expect(parts.at(-1)).toEqual({ name: "Anna", age: 31 });
  });

  test("an error carries our status and words", async () => {
    const refused = await generateText({ ...ask("x"), temperature: -1 }).catch((error) => error);
    expect(APICallError.isInstance(refused)).toBe(true);
    expect(refused).toMatchObject({ statusCode: 400, message: expect.stringContaining("temperature") });
  });

  test("a stream that is aborted frees its sequence", async () => {
    const leaving = new AbortController();
    const { textStream } = streamText({ ...ask("Count from 1 to 10"), abortSignal: leaving.signal });
    for await (const _piece of textStream) leaving.abort();
    await waitFor("the sequence to leave", async () => (await readEngine(server.url)).stats.running === 0);
  });
});

test("completions, embeddings, and pictures refused by name", async () => {
  const model = compatible().completionModel("demo");
  const { text } = await generateText({ model, temperature: 0, prompt: "One, two,", maxOutputTokens: 8 });
  expect(text).not.toBe("");
  const values = ["a first text", "another"];
  const [one, other] = await Promise.all([
    embedMany({ model: compatible().embeddingModel("demo"), values }),
    embedMany({ model: openai().embedding("demo"), values }),
  ]);
  expect(one.embeddings).toHaveLength(2);
  expect(other.embeddings).toEqual(one.embeddings);
  const image = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const content = [{ type: "image" as const, image, mediaType: "image/png" }];
  for (const seeing of [openai()("demo"), compatible()("demo")]) {
    const call = generateText({ model: seeing, maxRetries: 0, messages: [{ role: "user", content }] });
    expect(await call.catch((error) => error)).toMatchObject({ statusCode: 400 });
  }
});
