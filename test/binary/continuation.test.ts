// Answers that go on from a last message of the assistant, from the compiled binary with a real model: by the official
// client, streamed and whole, with a schema, and as what the model would have written anyway.

import { afterAll, beforeAll, expect, test } from "bun:test";
import OpenAI, { BadRequestError } from "openai";
import { startBinary } from "../support/binary.ts";
import type { Json } from "../support/http-app.ts";
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

const COUNT = "Count from 1 to 10";
const ALL = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10";

const begin = (begun: string, question = COUNT) => ({
  model: "demo",
  temperature: 0,
  messages: [
    { role: "user" as const, content: question },
    { role: "assistant" as const, content: begun },
  ],
});

test.each(["1", "1, 2, 3,", "1, 2, 3, 4, 5, 6, 7, 8, 9,"])("%j goes on as the model would have", async (begun) => {
  const answer = await client.chat.completions.create(begin(begun));
  expect(answer.choices[0]).toMatchObject({ finish_reason: "stop", message: { content: ALL.slice(begun.length) } });
  const runner = client.chat.completions.stream(begin(begun));
  expect(await runner.finalContent()).toBe(ALL.slice(begun.length));
});

test("asked for in vLLM's words it is the same, and refused it is a message of its own", async () => {
  const words = { add_generation_prompt: false, continue_final_message: true };
  const answer = await client.chat.completions.create({ ...begin("1, 2,"), ...words });
  expect(answer.choices[0]?.message.content).toBe(ALL.slice(5));
  const own = await client.chat.completions.create({
    ...begin("1, 2,"),
    ...{ continue_final_message: false },
    max_tokens: 8,
  });
  const shown = async (asks: object): Promise<string> => {
    const body = JSON.stringify({ ...begin("1, 2,"), ...asks });
    const response = await fetch(`${server.url}/apply-template`, { method: "POST", body });
    return ((await response.json()) as Json).prompt;
  };
  expect(await shown(words)).toEndWith("1, 2,");
  const opened = await shown({ add_generation_prompt: true });
  expect(opened).toEndWith("assistant\n");
  expect(opened.length).toBeGreaterThan(
    (await shown({ continue_final_message: false, add_generation_prompt: false })).length,
  );
  expect(own.usage?.prompt_tokens).toBeGreaterThan(answer.usage?.prompt_tokens ?? 0);
});

test("a cut answer is asked for the rest, and what was read is not read again", async () => {
  const question = `${COUNT}. ${"Please do it well. ".repeat(20)}`;
  const first = await client.chat.completions.create({ ...begin("1", question), max_tokens: 6 });
  const begun = `1${first.choices[0]?.message.content}`;
  const rest = await client.chat.completions.create({ ...begin(begun, question), max_tokens: 6 });
  const usage = rest.usage;
  expect(usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan((usage?.prompt_tokens ?? 0) - 4);
});

test("log probabilities and choices are of what comes behind", async () => {
  const answer = await client.chat.completions.create({ ...begin("1, 2,"), n: 2, logprobs: true });
  for (const { message, logprobs } of answer.choices) {
    const text = logprobs?.content?.map(({ token }) => token).join("") ?? "";
    expect(text).toStartWith(message.content ?? "-");
  }
});

test("with a schema, beginning and answer together keep to it", async () => {
  const schema = {
    type: "object",
    properties: { n: { type: "integer" } },
    required: ["n"],
    additionalProperties: false,
  };
  const format = { type: "json_schema", json_schema: { name: "x", strict: true, schema } } as const;
  for (const begun of ['{"n":', "{", '{"n": 4']) {
    const answer = await client.chat.completions.create({ ...begin(begun), response_format: format, max_tokens: 60 });
    const choice = answer.choices[0];
    if (choice?.finish_reason !== "stop") continue;
    expect(JSON.parse(begun + choice.message.content)).toEqual({ n: expect.any(Number) });
    expect((answer as Json).mlo.warnings).toBeUndefined();
  }
  const other = await client.chat.completions
    .create({ ...begin("Well, "), response_format: format })
    .catch((error) => error);
  expect(other).toBeInstanceOf(BadRequestError);
  expect(other.message).toContain("begins in another way");
});
