// Thoughts through Ollama's routes, with the template of a model that thinks: a grammar writes what such a model would,
// and llama.cpp's parser takes it apart.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { postJson } from "../support/completions.ts";
import type { Json } from "../support/http-app.ts";
import { HAS_NATIVE } from "../support/llama-library.ts";
import type { Server } from "../support/server.ts";
import { startThinkingServer } from "../support/thinking-server.ts";

const START_MS = 120_000;

let server: Server;

beforeAll(async () => {
  if (HAS_NATIVE) server = await startThinkingServer();
}, START_MS);

afterAll(async () => {
  await server?.stop();
});

async function ask(grammar: string, changes: object): Promise<Json> {
  const options = { temperature: 0, num_predict: 200, grammar };
  const messages = [{ role: "user", content: "Is it so?" }];
  return (await postJson(`${server.url}/api/chat`, { messages, options, stream: false, ...changes })).json();
}

const THOUGHT = 'root ::= "<think>\\nHm, well.\\n</think>\\n\\nYes."';

describe.skipIf(!HAS_NATIVE)("a model that thinks", () => {
  test.each([{}, { think: true }, { think: "high" }])("says so apart from its answer, with %j", async (changes) => {
    const { message, done_reason } = await ask(THOUGHT, changes);
    expect([message.thinking.trim(), message.content.trim(), done_reason]).toEqual(["Hm, well.", "Yes.", "stop"]);
  });

  test("in lines of their own", async () => {
    const options = { temperature: 0, num_predict: 200, grammar: THOUGHT };
    const response = await postJson(`${server.url}/api/generate`, { prompt: "Is it so?", options });
    const lines = (await response.text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const both = lines.filter(({ thinking = "", response: text }) => thinking !== "" && text !== "");
    expect(both).toEqual([]);
    expect(
      lines
        .map(({ thinking = "" }) => thinking)
        .join("")
        .trim(),
    ).toBe("Hm, well.");
    expect(
      lines
        .map(({ response: text }) => text)
        .join("")
        .trim(),
    ).toBe("Yes.");
  });

  test("and does not where it shall not", async () => {
    const { message } = await ask('root ::= "Yes."', { think: false });
    expect(message).toEqual({ role: "assistant", content: "Yes." });
  });

  test("is listed as one that can", async () => {
    const { models } = (await (await fetch(`${server.url}/api/tags`)).json()) as Json;
    const shown: Json = await (await postJson(`${server.url}/api/show`, { model: models[0].name })).json();
    expect(shown.capabilities).toEqual(["completion", "tools", "thinking"]);
  });
});
