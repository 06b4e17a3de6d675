// The official `ollama` client, unchanged, against the compiled binary: what it decodes, how it streams, what it throws,
// and how long models and names stay.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type ChatResponse, Ollama, type Tool } from "ollama";
import { makeFolder, readEngines, startBinary, waitFor } from "../support/binary.ts";
import { judgeFetch } from "../support/judged-fetch.ts";
import type { Server } from "../support/server.ts";

const DEMO = join(import.meta.dir, "../../src/demo/demo.gguf");

let server: Server;
let client: Ollama;

beforeAll(async () => {
  server = await startBinary();
  client = new Ollama({ host: server.url, fetch: (await judgeFetch(server.url)) as typeof fetch });
});
afterAll(() => server.stop());

const ask = (content: string) => ({
  model: "demo",
  messages: [{ role: "user", content }],
  options: { temperature: 0 },
});

const GET_WEATHER: Tool = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Get the current weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
const WEATHER = { ...ask("What is the weather in Paris?"), tools: [GET_WEATHER] };

async function collect(stream: AsyncIterable<ChatResponse>): Promise<ChatResponse[]> {
  const lines: ChatResponse[] = [];
  for await (const line of stream) lines.push(line);
  return lines;
}

describe("chat", () => {
  test("plain, with counts and times", async () => {
    const answer = await client.chat(ask("Count from 1 to 10"));
    expect(answer.message).toEqual({ role: "assistant", content: "1, 2, 3, 4, 5, 6, 7, 8, 9, 10" });
    expect(answer).toMatchObject({ model: "demo", done: true, done_reason: "stop" });
    expect(answer.prompt_eval_count).toBeGreaterThan(5);
    expect(answer.eval_count).toBeGreaterThan(5);
    expect(answer.total_duration).toBeGreaterThan(answer.eval_duration);
    expect(Math.abs(Date.now() - new Date(answer.created_at).getTime())).toBeLessThan(60_000);
  });

  test("streamed", async () => {
    const lines = await collect(await client.chat({ ...ask("Say hello in one sentence"), stream: true }));
    expect(lines.map(({ message }) => message.content).join("")).toBe("Hello! It is nice to meet you.");
    expect(lines.length).toBeGreaterThan(3);
    expect(lines.map(({ done }) => done)).toEqual([...lines.slice(1).map(() => false), true]);
    expect(lines.at(-1)).toMatchObject({ done_reason: "stop", eval_count: expect.any(Number) });
  });

  test("limits and stops", async () => {
    const cut = await client.chat({ ...ask("Count from 1 to 10"), options: { temperature: 0, num_predict: 5 } });
    expect(cut).toMatchObject({ done_reason: "length", eval_count: 5 });
    const stopped = await client.chat({ ...ask("Count from 1 to 10"), options: { temperature: 0, stop: ["7"] } });
    expect(stopped.message.content).toBe("1, 2, 3, 4, 5, 6, ");
  });

  test("a tool call, and its result", async () => {
    const answer = await client.chat(WEATHER);
    const [call] = answer.message.tool_calls ?? [];
    expect(call?.function).toMatchObject({ name: "get_weather", arguments: { city: "Paris" } });
    const result = { role: "tool", tool_name: "get_weather", content: '{"weather": "sunny", "degrees": 21}' };
    const final = await client.chat({ ...WEATHER, messages: [...WEATHER.messages, answer.message, result] });
    expect(final.message.content).toContain("21");
    const lines = await collect(await client.chat({ ...WEATHER, stream: true }));
    const calls = lines.flatMap(({ message }) => message.tool_calls ?? []);
    expect(calls.map((streamed) => streamed.function.arguments)).toEqual([{ city: "Paris" }]);
  });

  test("JSON that follows a schema, and any object", async () => {
    const schema = {
      type: "object",
      properties: { name: { type: "string" }, age: { type: "integer" } },
      required: ["name", "age"],
    };
    const question = ask("Extract the name and the age as JSON: Anna is 31 years old.");
    const answer = await client.chat({ ...question, format: schema });
    expect(JSON.parse(answer.message.content)).toEqual({ name: "Anna", age: 31 });
    const free = await client.chat({ ...question, format: "json" });
    expect(JSON.parse(free.message.content)).toBeObject();
  });

  test("log probabilities of the tokens, also those that were not chosen", async () => {
    const scored = { ...ask("What is 7 + 8?"), logprobs: true, top_logprobs: 2 };
    const { message, logprobs = [], eval_count } = await client.chat(scored);
    const said = logprobs.map(({ token }) => token).join("");
    expect([said.startsWith(message.content), logprobs.length]).toEqual([true, eval_count]);
    for (const { logprob, top_logprobs = [] } of logprobs) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top_logprobs.map((other) => other.logprob)[0]).toBeCloseTo(logprob, 5);
      expect(top_logprobs).toHaveLength(2);
    }
    const lines = await collect(await client.chat({ ...scored, stream: true }));
    expect(lines.flatMap((line) => (line.logprobs ?? []).map(({ token }) => token)).join("")).toBe(said);
  });

  test("a client that aborts frees its sequence", async () => {
    const stream = await client.chat({
      ...ask("Count from 1 to 10"),
      stream: true,
      options: { num_predict: 4000, ...{ ignore_eos: true } },
    });
    let lines = 0;
    const read = async () => {
      for await (const _ of stream) if (++lines === 3) stream.abort();
    };
    expect(await read().catch((error: Error) => error.name)).toBe("AbortError");
    await waitFor("the sequence to leave", async () => (await readEngines(server.url))[0]?.stats.running === 0);
  });
});

test("generate: with the template, raw, and streamed", async () => {
  const options = { temperature: 0, num_predict: 16 };
  const answer = await client.generate({ model: "demo", prompt: "What is 7 + 8?", options });
  expect(answer).toMatchObject({ response: "15", done: true, done_reason: "stop" });
  const raw = await client.generate({ model: "demo", prompt: "One, two, three,", raw: true, options });
  let streamed = "";
  const lines = await client.generate({ model: "demo", prompt: "One, two, three,", raw: true, options, stream: true });
  for await (const { response = "" } of lines) streamed += response;
  expect(streamed).toBe(raw.response as string);
});

test("embeddings, new and old", async () => {
  const { embeddings, prompt_eval_count } = await client.embed({ model: "demo", input: ["a first text", "another"] });
  expect(embeddings).toHaveLength(2);
  for (const vector of embeddings) expect(Math.hypot(...vector)).toBeCloseTo(1, 4);
  expect(prompt_eval_count).toBeGreaterThan(2);
  const old = await client.embeddings({ model: "demo", prompt: "a first text" });
  expect(old.embedding).toEqual(embeddings[0] as number[]);
});

test("models: listed, shown, running, and the version", async () => {
  await client.chat(ask("Say hello in one sentence"));
  expect((await client.list()).models.map(({ name }) => name)).toEqual(["demo:latest"]);
  const shown = await client.show({ model: "demo:latest" });
  expect(shown.capabilities).toContain("completion");
  expect(shown.model_info as unknown as Record<string, unknown>).toMatchObject({ "general.architecture": "llama" });
  const [running] = (await client.ps()).models;
  expect(running).toMatchObject({ name: "demo:latest", size_vram: 0 });
  expect(running?.size).toBeGreaterThan(100_000);
  expect((await client.version()).version).toMatch(/^\d+\.\d+\.\d+$/);
});

test("a model stays for as long as it was told, and is unloaded on demand", async () => {
  const running = async () => (await client.ps()).models.length;
  await client.chat({ ...ask("Say hello in one sentence"), keep_alive: "10m" });
  const [model] = (await client.ps()).models;
  const minutes = (new Date(model?.expires_at ?? 0).getTime() - Date.now()) / 60_000;
  expect(minutes).toBeGreaterThan(8);
  expect(minutes).toBeLessThan(11);
  expect(await client.generate({ model: "demo", prompt: "", keep_alive: 0 })).toMatchObject({ done_reason: "unload" });
  await waitFor("the engine to be stopped", async () => (await running()) === 0);
  expect(await client.chat({ model: "demo", keep_alive: -1 })).toMatchObject({ done_reason: "load" });
  expect(await running()).toBe(1);
  await client.chat({ ...ask("Say hello in one sentence"), keep_alive: 0 });
  await waitFor("the engine to be stopped", async () => (await running()) === 0);
});

describe("errors", () => {
  const failed = (call: Promise<unknown>) => call.catch((error: { status_code: number; error: string }) => error);

  test("carry status and words", async () => {
    expect(await failed(client.chat({ ...ask("hi"), model: "no-such" }))).toMatchObject({
      name: "ResponseError",
      status_code: 404,
      error: expect.stringContaining("not found"),
    });
    expect(await failed(client.chat({ ...ask("hi"), options: { temperature: -1 } }))).toMatchObject({
      status_code: 400,
      error: expect.stringContaining("options.temperature"),
    });
    expect(await failed(client.chat(ask("word ".repeat(20_000))))).toMatchObject({
      status_code: 400,
      error: expect.stringMatching(/\b\d{5} tokens\b.*\b4096\b/),
    });
    expect(await failed(client.delete({ model: "demo" }))).toMatchObject({ status_code: 403 });
  });

  test("of what only Ollama's registry has say what to do", async () => {
    expect(await failed(client.pull({ model: "llama3" }))).toMatchObject({
      status_code: 404,
      error: expect.stringContaining("owner/repo"),
    });
    for (const call of [client.push({ model: "x" }), client.create({ model: "x" })]) {
      expect(await failed(call)).toMatchObject({ status_code: 501, error: expect.stringContaining("GGUF file") });
    }
  });
});

test("copied names outlive a restart, and a model in the server's own folder can be deleted", async () => {
  using home = makeFolder();
  const models = join(home.path, "data/ml-offload/models");
  mkdirSync(models, { recursive: true });
  copyFileSync(DEMO, join(models, "small.gguf"));
  const env = { XDG_DATA_HOME: join(home.path, "data"), XDG_STATE_HOME: join(home.path, "state") };
  const start = () => startBinary({ env, args: ["--alias", "gpt-4o=small"] });
  const first = await start();
  try {
    const own = new Ollama({ host: first.url });
    await own.copy({ source: "gpt-4o", destination: "mine" });
    expect((await own.chat({ ...ask("What is 7 + 8?"), model: "mine" })).message.content).toBe("15");
  } finally {
    await first.stop();
  }
  const second = await start();
  try {
    const own = new Ollama({ host: second.url });
    const names = async () => (await own.list()).models.map(({ name }) => name);
    expect(await names()).toEqual(["small:latest", "mine:latest", "gpt-4o:latest"]);
    await own.chat({ ...ask("What is 7 + 8?"), model: "mine:latest" });
    await own.delete({ model: "mine:latest" });
    expect(await names()).toEqual(["small:latest", "gpt-4o:latest"]);
    expect(existsSync(join(models, "small.gguf"))).toBe(true);
    await own.delete({ model: "small" });
    expect([existsSync(join(models, "small.gguf")), await names()]).toEqual([false, ["demo:latest"]]);
    await waitFor("its engine to be stopped", async () => (await readEngines(second.url)).length === 0);
  } finally {
    await second.stop();
  }
});
