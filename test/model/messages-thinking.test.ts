// Thoughts through Anthropic's route, with the templates of models that think: a grammar writes what such a model
// would, llama.cpp's parser takes it apart, and the blocks are what the request asked for.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { postJson } from "../support/completions.ts";
import type { Json } from "../support/http-app.ts";
import { HAS_NATIVE } from "../support/llama-library.ts";
import { readEvents } from "../support/messages.ts";
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

const ask = (changes: object) => ({
  max_tokens: 200,
  temperature: 0,
  messages: [{ role: "user", content: "Is it so?" }],
  ...changes,
});

async function answer(changes: object): Promise<Json> {
  return (await postJson(`${server.url}/v1/messages`, ask(changes))).json();
}

/** What the model is made to write. */
const THOUGHT = { grammar: 'root ::= "<think>\\nHm, well.\\n</think>\\n\\nYes."' };
const BRIEF = { grammar: 'root ::= "Yes."' };

describe.skipIf(!HAS_NATIVE)("a model that thinks", () => {
  test("shows its thoughts to who asked for them, and signs the block", async () => {
    const { content, stop_reason } = await answer({ ...THOUGHT, thinking: { type: "adaptive" } });
    expect(content.map(({ type }: Json) => type)).toEqual(["thinking", "text"]);
    expect(content[0].thinking.trim()).toBe("Hm, well.");
    expect(content[0].signature).not.toBe("");
    expect([content[1].text.trim(), stop_reason]).toEqual(["Yes.", "end_turn"]);
  });

  test("streams them as a block of its own", async () => {
    const body = ask({ ...THOUGHT, thinking: { type: "enabled", budget_tokens: 100 }, stream: true });
    const events = await readEvents(await postJson(`${server.url}/v1/messages`, body));
    const textOf = (kind: string) => events.map(({ delta }) => delta?.[kind] ?? "").join("");
    expect(events.flatMap(({ content_block }) => content_block?.type ?? [])).toEqual(["thinking", "text"]);
    expect([textOf("thinking").trim(), textOf("text").trim()]).toEqual(["Hm, well.", "Yes."]);
  });

  test("is not asked to think, and its thoughts stay away, when nobody asked", async () => {
    for (const thinking of [undefined, { type: "disabled" }]) {
      const { content } = await answer({ ...BRIEF, thinking });
      expect(content).toEqual([{ type: "text", text: "Yes." }]);
    }
    // This template writes an empty thought itself then, so the prompt is longer.
    const count = async (thinking?: object) => {
      const { messages } = ask({});
      return (await (await postJson(`${server.url}/v1/messages/count_tokens`, { messages, thinking })).json()) as Json;
    };
    const [without, with_] = [await count(), await count({ type: "adaptive" })];
    expect(without.input_tokens).toBeGreaterThan(with_.input_tokens);
  });
});
