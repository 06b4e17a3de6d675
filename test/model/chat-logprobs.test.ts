// Log probabilities of a chat over llama.cpp: a token each, with the text whole and streamed, and beside tools.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Json, parseFrames, readJson } from "../support/http-app.ts";
import { HAS_NATIVE } from "../support/llama-library.ts";
import { type Server, startServer } from "../support/server.ts";

const TIMEOUT_MS = 120_000;
const ASK = {
  messages: [{ role: "user", content: "Hello!" }],
  logprobs: true,
  top_logprobs: 2,
  temperature: 0,
  max_tokens: 24,
};

let server: Server | null = null;
beforeAll(async () => {
  if (HAS_NATIVE) server = await startServer();
}, TIMEOUT_MS);
afterAll(() => server?.stop());

const post = (body: object) =>
  fetch(`${server?.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(body) });

const textOf = (content: readonly Json[]) =>
  Buffer.from(content.flatMap(({ bytes }: { bytes: number[] }) => bytes)).toString();

test.skipIf(!HAS_NATIVE)("whole and streamed, they are those of the content's tokens", async () => {
  const whole = await readJson(await post(ASK));
  const { message, logprobs } = whole.choices[0];
  expect(logprobs.content.length).toBe(whole.usage.completion_tokens);
  expect(textOf(logprobs.content).trimStart()).toStartWith(message.content.trimStart());
  for (const { logprob, top_logprobs } of logprobs.content) {
    // Greedy: the token is the likeliest one.
    expect(top_logprobs).toHaveLength(2);
    expect(Math.abs(top_logprobs[0].logprob - logprob)).toBeLessThan(1e-3);
  }
  const frames = parseFrames(await (await post({ ...ASK, stream: true })).text());
  const streamed = frames.slice(0, -1).flatMap((frame) => frame.choices[0]?.logprobs?.content ?? []);
  expect(streamed.map(({ token }: Json) => token)).toEqual(logprobs.content.map(({ token }: Json) => token));
});

test.skipIf(!HAS_NATIVE)("beside tools every token has one, whatever it becomes", async () => {
  const parameters = { type: "object", properties: { a: { type: "string" } } };
  const tools = [{ type: "function", function: { name: "f", parameters } }];
  for (const tool_choice of ["auto", "required"]) {
    const reply = await readJson(await post({ ...ASK, tools, tool_choice }));
    expect(reply.choices[0].logprobs.content.length).toBe(reply.usage.completion_tokens);
  }
});
