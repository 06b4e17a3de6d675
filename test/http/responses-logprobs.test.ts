// Log probabilities of Responses: those of the text's tokens, in deltas, parts and what is stored.

import { expect, test } from "bun:test";
import type { TokenScore } from "../../src/protocol/generation.ts";
import { DONE_EVENT, playEvents } from "../support/fake-inference.ts";
import { createTestApp, type Json, readError, readJson } from "../support/http-app.ts";
import { readEvents } from "../support/response-events.ts";

const PATH = "/v1/responses";
const score = (text: string, top: TokenScore["top"] = []): TokenScore => ({ text, offset: 0, logprob: -0.5, top });

const SCORED = playEvents(
  { type: "delta", scores: [score("<think>")] },
  { type: "delta", reasoning: "Hm", scores: [score("Hm")] },
  { type: "delta", scores: [score("</think>")] },
  { type: "delta", text: "Yes", scores: [score("Yes", [["No", -0.7]])] },
  { type: "delta", text: ".", scores: [score("."), score("<end>")] },
  DONE_EVENT,
);
const YES = { token: "Yes", logprob: -0.5, bytes: [89, 101, 115] };
const NO = { token: "No", logprob: -0.7, bytes: [78, 111] };
const FIRST = { ...YES, top_logprobs: [NO] };
const LAST = { token: ".", logprob: -0.5, bytes: [46], top_logprobs: [] };

test.each([
  [{ top_logprobs: 1 }, 1],
  [{ include: ["message.output_text.logprobs"] }, 0],
  [{ include: ["message.output_text.logprobs"], top_logprobs: 3 }, 3],
])("%j asks for them", async (changes, logprobs) => {
  const { post, get, inference } = createTestApp();
  inference.script = SCORED;
  const body = await readJson(await post(PATH, { input: "x", ...changes }));
  expect(inference.lastRequest.logprobs).toBe(logprobs);
  expect(inference.lastRequest.whole).toBeUndefined();
  expect(body.top_logprobs).toBe(logprobs);
  expect(body.output[1].content[0]).toEqual({
    type: "output_text",
    text: "Yes.",
    annotations: [],
    logprobs: [FIRST, LAST],
  });
  expect((await readJson(await get(`${PATH}/${body.id}`))).output).toEqual(body.output);
});

test("a stream has them with each delta and again at the end, also when it is replayed", async () => {
  const { post, get, inference } = createTestApp();
  inference.script = SCORED;
  const events = await readEvents(await post(PATH, { input: "x", top_logprobs: 1, stream: true }));
  const logprobsOf = (list: Json[], type: string) =>
    list.filter((event) => event.type === `response.output_text.${type}`).map(({ logprobs }) => logprobs);
  expect(logprobsOf(events, "delta")).toEqual([[FIRST], [LAST]]);
  expect(logprobsOf(events, "done")).toEqual([[FIRST, LAST]]);
  const { response } = events.at(-1);
  expect(response.output[1].content[0].logprobs).toEqual([FIRST, LAST]);
  const replayed = await readEvents(await get(`${PATH}/${response.id}?stream=true`));
  expect(logprobsOf(replayed, "delta")).toEqual([[FIRST, LAST]]);
});

test("nobody asked: there are none", async () => {
  const { post, inference } = createTestApp();
  const body = await readJson(await post(PATH, { input: "x", top_logprobs: 0, include: [] }));
  expect(inference.lastRequest).not.toHaveProperty("logprobs");
  expect(body).toMatchObject({ top_logprobs: 0, output: [{ content: [{ logprobs: [] }] }] });
});

test("more than can be kept are in the deltas alone, and the response says so", async () => {
  const { post, inference } = createTestApp();
  const top = Array.from({ length: 20 }, (): [string, number] => ["x", -1]);
  const deltas = Array.from({ length: 70 }, () => ({
    type: "delta" as const,
    text: "y".repeat(100),
    scores: Array.from({ length: 100 }, () => score("y", top)),
  }));
  inference.script = playEvents(...deltas, DONE_EVENT);
  const events = await readEvents(await post(PATH, { input: "x", top_logprobs: 20, stream: true }));
  const told = events.filter(({ type }) => type === "response.output_text.delta");
  expect(told.every(({ logprobs }) => logprobs.length === 100)).toBe(true);
  const { response } = events.at(-1);
  expect(response.output[0].content[0].logprobs).toHaveLength(6200);
  expect(response.mlo.warnings).toMatchObject([{ code: "logprobs_cut" }]);
});

test("an answer in one piece that fails is not stored, with or without them", async () => {
  for (const changes of [{}, { top_logprobs: 1 }]) {
    const { post, inference, state } = createTestApp();
    let saved = 0;
    state.responses.save = () => {
      saved++;
    };
    inference.script = playEvents({ type: "error", error: { code: "engine_crashed", message: "it ended" } });
    expect(await readError(await post(PATH, { input: "x", ...changes }))).toMatchObject({ code: "engine_crashed" });
    expect(saved).toBe(0);
  }
});

test.each([-1, 21, "5"])("top_logprobs %p is refused", async (top_logprobs) => {
  const { post } = createTestApp();
  const refused = { status: 400, code: "invalid_request", param: "top_logprobs" };
  expect(await readError(await post(PATH, { input: "x", top_logprobs }))).toEqual(refused);
});
