import { expect, test } from "bun:test";
import { dropOldestTurns, generateTruncated, startTruncated } from "../../src/api/truncation.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { ChatMessage, ChatPrompt, GenerationRequest } from "../../src/protocol/generation.ts";
import { FakeInference } from "../support/fake-inference.ts";

const user = (content: string): ChatMessage => ({ role: "user", content });
const model = (content: string): ChatMessage => ({ role: "assistant", content });
const SYSTEM: ChatMessage = { role: "system", content: "Be brief." };
const CALL: ChatMessage = {
  role: "assistant",
  content: null,
  tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }],
};
const RESULT: ChatMessage = { role: "tool", tool_call_id: "c", content: "1" };

const prompt = (...messages: ChatMessage[]): ChatPrompt => ({ kind: "chat", messages });

test("turns are dropped whole, calls with their results; system text stays wherever it stands", () => {
  const long = prompt(
    SYSTEM,
    user("one"),
    CALL,
    RESULT,
    model("done"),
    SYSTEM,
    user("two"),
    model("yes"),
    user("three"),
  );
  expect(dropOldestTurns(long, 0)).toEqual({
    prompt: prompt(SYSTEM, SYSTEM, user("two"), model("yes"), user("three")),
    dropped: { turns: 1, messages: 4 },
  });
  expect(dropOldestTurns(long, 1)).toEqual({
    prompt: prompt(SYSTEM, SYSTEM, user("three")),
    dropped: { turns: 2, messages: 6 },
  });
});

test("of the last turn the oldest calls go with their results, behind all other turns", () => {
  const agent = prompt(user("one"), model("yes"), user("two"), CALL, RESULT, CALL, RESULT, RESULT, CALL, RESULT);
  expect(dropOldestTurns(agent, 0)?.dropped).toEqual({ turns: 1, messages: 2 });
  expect(dropOldestTurns(agent, 1)).toEqual({
    prompt: prompt(user("two"), CALL, RESULT),
    dropped: { turns: 1, messages: 7 },
  });
  const lone = prompt(SYSTEM, user("do it"), CALL, RESULT, model("more"));
  expect(dropOldestTurns(lone, 0)).toEqual({
    prompt: prompt(SYSTEM, user("do it"), model("more")),
    dropped: { turns: 0, messages: 2 },
  });
});

test("messages of the user in a row are one turn, and what was asked and done last stays", () => {
  expect(dropOldestTurns(prompt(SYSTEM, user("one"), user("more"), CALL, RESULT), 1)).toBeNull();
  expect(dropOldestTurns(prompt(), 1)).toBeNull();
  expect(dropOldestTurns(prompt(model("hi"), user("one")), 1)?.dropped).toEqual({ turns: 1, messages: 1 });
});

/** A context in which each character is a token. */
function makeInference(context: number): FakeInference {
  const inference = new FakeInference();
  const { generate } = inference;
  inference.generate = async (name, request, signal) => {
    const tokens = JSON.stringify(request.prompt.kind === "chat" ? request.prompt.messages : []).length;
    if (tokens < context) return generate.call(inference, name, request, signal);
    const numbers = { prompt: tokens, context };
    throw new AppError({ code: "context_length_exceeded", message: "too long", tokens: numbers });
  };
  return inference;
}

const request = (...messages: ChatMessage[]): GenerationRequest => ({
  prompt: prompt(...messages),
  sampling: {},
  stop: [],
});
const { signal } = new AbortController();

test("a prompt that fits is left as it is", async () => {
  const inference = makeInference(10_000);
  const asked = request(user("one"), model("yes"), user("two"));
  const { truncation } = await generateTruncated(inference, undefined, asked, signal);
  expect(truncation).toBeNull();
  expect(inference.lastRequest).toBe(asked);
});

test("so many turns go that the prompt fits and leaves room for an answer", async () => {
  const inference = makeInference(2000);
  const turns = Array.from({ length: 50 }, (_, i) => [user(`question ${i} ${"x".repeat(i)}`), model(`answer ${i}`)]);
  const asked = request(SYSTEM, ...turns.flat(), user("last"));
  const { truncation } = await generateTruncated(inference, undefined, asked, signal);
  const left = inference.lastRequest.prompt;
  if (left.kind !== "chat" || truncation === null) throw new Error("it was not truncated");
  expect(left.messages[0]).toEqual(SYSTEM);
  expect(left.messages.at(-1)).toEqual(user("last"));
  expect(left.messages).toHaveLength(102 - truncation.messages);
  const length = JSON.stringify(left.messages).length;
  expect(length).toBeLessThanOrEqual(1520);
  expect(length).toBeGreaterThan(1000);
});

test("the next turns begin with the same prompt, for a while", async () => {
  const inference = makeInference(2000);
  const turns = Array.from({ length: 60 }, (_, i) => [user(`question ${i} ${"x".repeat(20)}`), model(`answer ${i}`)]);
  const firsts = new Set<string>();
  for (let count = 30; count < 60; count++) {
    const asked = request(SYSTEM, ...turns.slice(0, count).flat(), user("last"));
    const { request: fitted } = await generateTruncated(inference, undefined, asked, signal);
    firsts.add(JSON.stringify(fitted.prompt.kind === "chat" && fitted.prompt.messages[1]));
  }
  // Some 95 tokens a turn: each eighth of the context is two or three turns.
  expect(firsts.size).toBeLessThan(18);
});

test("choices share what the first one found out", async () => {
  const inference = makeInference(500);
  const asked = request(user("x".repeat(600)), model("yes"), user("two"));
  const { starts, first } = startTruncated(inference, undefined, [asked, { ...asked }, { ...asked }], signal);
  await Promise.all(starts);
  const { prompt: fitted } = (await first).request;
  expect(inference.generateCalls.map(({ request }) => request.prompt)).toEqual([fitted, fitted, fitted]);
  expect(inference.generateCalls.every(({ request }) => request.prompt === fitted)).toBe(true);
});

test("a last turn that is too long is refused with its own numbers", async () => {
  const inference = makeInference(500);
  const asked = request(user("one"), model("yes"), user("x".repeat(600)));
  const call = generateTruncated(inference, undefined, asked, signal);
  expect(await call.catch((error) => error)).toMatchObject({
    code: "context_length_exceeded",
    tokens: { prompt: JSON.stringify([user("x".repeat(600))]).length, context: 500 },
  });
});

test("other refusals are passed on", async () => {
  const inference = new FakeInference();
  inference.refusal = new AppError({ code: "overloaded", message: "busy" });
  const call = generateTruncated(inference, undefined, request(user("a"), model("b"), user("c")), signal);
  expect(await call.catch((error) => error)).toMatchObject({ code: "overloaded" });
  expect(inference.generateCalls).toHaveLength(1);
});
