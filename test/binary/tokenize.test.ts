// Texts and tokens against the compiled binary, as programs for llama.cpp's server use it: what is tokenized is the same
// text again, a template's text is the chat's prompt, and other requests go on beside long ones.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readEngine, startBinary, waitFor } from "../support/binary.ts";
import type { Json } from "../support/http-app.ts";
import type { Server } from "../support/server.ts";

let server: Server;

beforeAll(async () => {
  server = await startBinary();
});
afterAll(() => server.stop());

async function post(path: string, body: object, signal?: AbortSignal): Promise<{ status: number; body: Json }> {
  const response = await fetch(server.url + path, {
    method: "POST",
    body: JSON.stringify(body),
    signal: signal ?? AbortSignal.timeout(60_000),
  });
  return { status: response.status, body: await response.json() };
}

const TEXT = "Count from 1 to 10, grüße, 🫠!";

test("a text is itself again, also by its pieces", async () => {
  const { body: plain } = await post("/tokenize", { content: TEXT });
  expect(plain.tokens.length).toBeGreaterThan(5);
  expect((await post("/detokenize", { tokens: plain.tokens })).body).toEqual({ content: TEXT });
  const { body: listed } = await post("/tokenize", { content: TEXT, with_pieces: true });
  expect(listed.tokens.map(({ id }: Json) => id)).toEqual(plain.tokens);
  const bytes = listed.tokens.map(({ piece }: Json) => Buffer.from(piece));
  expect(Buffer.concat(bytes).toString()).toBe(TEXT);
  expect(listed.tokens.some(({ piece }: Json) => Array.isArray(piece))).toBe(true);
});

test("the template's text is the prompt that a chat has", async () => {
  const messages = [{ role: "user", content: "Count from 1 to 10" }];
  const { body: shown } = await post("/apply-template", { messages });
  expect(shown.prompt).toContain("Count from 1 to 10");
  const settings = { temperature: 0, max_tokens: 12 };
  const chat = await post("/v1/chat/completions", { messages, ...settings });
  const text = await post("/v1/completions", { prompt: shown.prompt, ...settings });
  expect(text.body.choices[0].text).toBe(chat.body.choices[0].message.content);
  const { body: tokens } = await post("/tokenize", { content: shown.prompt, add_special: true });
  expect(tokens.tokens).toHaveLength(chat.body.usage.prompt_tokens);
});

test("what is wrong is a 400 in OpenAI's envelope", async () => {
  const outside = await post("/detokenize", { tokens: [1, 1_000_000] });
  expect(outside).toMatchObject({ status: 400, body: { error: { code: "invalid_request", param: "tokens[1]" } } });
  const many = await post("/tokenize", { content: "a ".repeat(200_000), with_pieces: true });
  expect(many).toMatchObject({ status: 400, body: { error: { param: "content" } } });
  expect(many.body.error.message).toMatch(/has \d{6} tokens, at most 65536/);
});

test("a million tokens come whole, and a stream beside them is not held up", async () => {
  const streamed = await fetch(`${server.url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ prompt: "One, two,", max_tokens: 2000, ignore_eos: true, stream: true }),
  });
  const reader = (streamed.body as ReadableStream<Uint8Array>).getReader();
  let chunks = 0;
  const counting = (async () => {
    while (!(await reader.read()).done) chunks++;
  })();
  const content = "one two three four ".repeat(50_000);
  const { status, body } = await post("/tokenize", { content });
  expect(status).toBe(200);
  const before = chunks;
  const { body: back } = await post("/detokenize", { tokens: body.tokens.slice(0, 200_000) });
  expect(content.startsWith(back.content)).toBe(true);
  expect(chunks).toBeGreaterThan(before);
  await reader.cancel();
  await counting;
});

test("who leaves leaves nothing behind", async () => {
  const content = "one two three four ".repeat(200_000);
  for (let turn = 0; turn < 3; turn++) {
    await post("/tokenize", { content }, AbortSignal.timeout(20)).catch((error: Error) => {
      expect(error.name).toBe("TimeoutError");
    });
  }
  expect((await post("/tokenize", { content: "a" })).status).toBe(200);
  await waitFor("the jobs to end", async () => {
    const { handles } = (await readEngine(server.url)).stats;
    return (handles.job ?? 0) === 0 && (handles.prompt ?? 0) === 0;
  });
});
