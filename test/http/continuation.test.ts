// A last message of the assistant: when an answer goes on from it, when it does not, and which requests contradict
// themselves.

import { describe, expect, test } from "bun:test";
import type { ChatPrompt } from "../../src/protocol/generation.ts";
import { playText } from "../support/fake-inference.ts";
import { createTestApp, readError, readJson } from "../support/http-app.ts";

const PATH = "/v1/chat/completions";
const USER = { role: "user", content: "Hi" };
const BEGUN = { role: "assistant", content: "Well, " };
const THOUGHT = { role: "assistant", content: "", reasoning_content: "Let me" };
const CALLS = {
  role: "assistant",
  content: "Well, ",
  tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: "{}" } }],
};

async function readPrompt(messages: object[], asks: object = {}): Promise<Partial<ChatPrompt>> {
  const { post, inference } = createTestApp();
  expect((await post(PATH, { messages, ...asks })).status).toBe(200);
  const { prompt } = inference.lastRequest;
  if (prompt.kind !== "chat") throw new Error("no chat");
  return prompt;
}

describe("an answer goes on", () => {
  test.each([
    ["from a last message of the assistant", [USER, BEGUN], {}, "content"],
    ["as llama.cpp's clients ask for it", [USER, BEGUN], { add_generation_prompt: false }, "content"],
    ["as vLLM's do", [USER, BEGUN], { add_generation_prompt: false, continue_final_message: true }, "content"],
    ["without the other half", [USER, BEGUN], { continue_final_message: true }, "content"],
    ["from thoughts alone", [USER, THOUGHT], {}, "reasoning"],
    ["in the thoughts", [USER, THOUGHT], { continue_final_message: "reasoning_content" }, "reasoning"],
    ["behind the thoughts", [USER, THOUGHT], { continue_final_message: "content" }, "content"],
    ["behind thoughts and text", [USER, { ...THOUGHT, content: "So" }], { continue_final_message: true }, "content"],
    ["from parts", [USER, { role: "assistant", content: [{ type: "text", text: "a" }] }], {}, "content"],
    ["from the last of two", [USER, BEGUN, BEGUN], {}, "content"],
    ["from a lone message", [BEGUN], {}, "content"],
  ] as const)("%s", async (_, messages, asks, continues) => {
    const prompt = await readPrompt([...messages], asks);
    expect(prompt.continues).toBe(continues);
    expect(prompt.messages).toHaveLength(messages.length);
    expect(prompt.opensAnswer).toBeUndefined();
  });
});

describe("an answer is a message of its own", () => {
  test.each([
    ["when it is asked for", [USER, BEGUN], { add_generation_prompt: true }],
    ["when going on is not wanted", [USER, BEGUN], { continue_final_message: false }],
    ["behind calls", [USER, CALLS], {}],
    ["behind a user's message", [BEGUN, USER], {}],
    ["behind a user's message, said twice", [USER], { add_generation_prompt: true, continue_final_message: false }],
  ] as const)("%s", async (_, messages, asks) => {
    const prompt = await readPrompt([...messages], asks);
    expect(prompt.continues).toBeUndefined();
    expect(prompt.opensAnswer).toBeUndefined();
    expect(prompt.messages).toHaveLength(messages.length);
  });

  test.each([{}, { continue_final_message: true }, { continue_final_message: "content" }])(
    "where only its place is kept by an empty one, with %j",
    async (asks) => {
      for (const empty of [
        { role: "assistant", content: "" },
        { role: "assistant", content: null },
        { role: "assistant" },
      ]) {
        const prompt = await readPrompt([USER, empty], asks);
        expect(prompt).toMatchObject({ messages: [USER] });
        expect(prompt.continues).toBeUndefined();
      }
    },
  );
});

describe("a request that contradicts itself is refused", () => {
  test.each([
    [[USER, BEGUN], { add_generation_prompt: true, continue_final_message: true }, "add_generation_prompt"],
    [[USER, BEGUN], { add_generation_prompt: true, continue_final_message: "content" }, "add_generation_prompt"],
    [[USER], { continue_final_message: true }, "continue_final_message"],
    [[USER, CALLS], { continue_final_message: true }, "continue_final_message"],
    [[USER, BEGUN], { continue_final_message: "reasoning_content" }, "continue_final_message"],
    [[USER, BEGUN], { continue_final_message: "thoughts" }, "continue_final_message"],
    [[USER, BEGUN], { continue_final_message: 1 }, "continue_final_message"],
    [[USER, BEGUN], { add_generation_prompt: "no" }, "add_generation_prompt"],
    [[USER], { add_generation_prompt: false }, "add_generation_prompt"],
    [[USER, CALLS], { add_generation_prompt: false }, "add_generation_prompt"],
  ] as const)("case %#: %j with %j", async (messages, asks, param) => {
    const { post, inference } = createTestApp();
    const error = await readError(await post(PATH, { messages, ...asks }));
    expect(error).toEqual({ status: 400, code: "invalid_request", param });
    expect(inference.generateCalls).toEqual([]);
  });
});

test("a look at a prompt may do without what opens an answer", async () => {
  const { post, inference } = createTestApp();
  await post("/apply-template", { messages: [USER], add_generation_prompt: false });
  await post("/apply-template", { messages: [USER, BEGUN] });
  await post("/apply-template", { messages: [USER] });
  const prompts = inference.tellCalls.map(({ question }) => (question.ask === "prompt" ? question.prompt : null));
  expect(prompts.map((prompt) => [prompt?.opensAnswer, prompt?.continues])).toEqual([
    [false, undefined],
    [undefined, "content"],
    [undefined, undefined],
  ]);
});

describe("an answer that goes on is checked together with its beginning", () => {
  const schema = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };
  const asks = { response_format: { type: "json_schema", json_schema: { name: "x", schema } } };

  test.each([
    ['{"a":', " 1}", 0],
    ['{"a":', ' "x"}', 1],
    ["```json\n", '{"a": 1}', 0],
    ["Well, ", "no", 1],
  ])("%s then %s", async (begun, text, warnings) => {
    const { post, inference } = createTestApp();
    inference.script = playText(text);
    const body = await readJson(await post(PATH, { messages: [USER, { role: "assistant", content: begun }], ...asks }));
    expect(body.choices[0].message.content).toBe(text);
    expect((body.mlo.warnings ?? []).map(({ code }: { code: string }) => code)).toEqual(
      Array(warnings).fill("schema_mismatch"),
    );
  });
});
