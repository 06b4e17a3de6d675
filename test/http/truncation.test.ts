// Conversations that are too long, in every dialect that takes them: refused, unless the request allows that their oldest
// turns are left out, which the answer then tells.

import { describe, expect, test } from "bun:test";
import { AppError } from "../../src/protocol/errors.ts";
import { createTestApp, readFrames, readJson, type TestApp } from "../support/http-app.ts";
import { readEvents as readMessageEvents } from "../support/messages.ts";
import { readEvents } from "../support/response-events.ts";

const TURNS = ["one", "yes", "two"].map((content, at) => ({ role: at === 1 ? "assistant" : "user", content }));
const CUT = { turns: 1, messages: 2 };
const HEADER = "turns=1, messages=2";

/** Its context holds one message. */
function createShortApp(): TestApp {
  const app = createTestApp();
  const { generate } = app.inference;
  app.inference.generate = async (name, request, signal) => {
    if (request.prompt.kind === "chat" && request.prompt.messages.length < 2) {
      return generate.call(app.inference, name, request, signal);
    }
    const tokens = { prompt: 400, context: 320 };
    throw new AppError({ code: "context_length_exceeded", message: "too long", tokens });
  };
  return app;
}

const DIALECTS = [
  {
    path: "/v1/chat/completions",
    body: { messages: TURNS },
    readLast: async (response: Response) => (await readFrames(response)).at(-2),
  },
  {
    path: "/v1/messages",
    body: { messages: TURNS, max_tokens: 9 },
    readLast: async (response: Response) => (await readMessageEvents(response)).at(-2),
  },
  {
    path: "/v1/responses",
    body: { input: TURNS },
    readLast: async (response: Response) => (await readEvents(response)).at(-1).response,
  },
  {
    path: "/api/chat",
    body: { messages: TURNS, stream: false },
    readLast: async (response: Response) => JSON.parse((await response.text()).trimEnd().split("\n").at(-1) ?? ""),
  },
];

describe.each(DIALECTS)("$path", ({ path, body, readLast }) => {
  test("the oldest turns are left out, and the answer says so", async () => {
    const { post, inference } = createShortApp();
    const headers = { "X-MLO-Truncate": "Auto" };
    const response = await post(path, body, { headers });
    expect(response.headers.get("X-MLO-Truncated")).toBe(HEADER);
    expect((await readJson(response)).mlo.truncated).toEqual(CUT);
    expect(inference.lastRequest.prompt).toMatchObject({ messages: [{ role: "user", content: "two" }] });
    const streamed = await post(path, { ...body, stream: true }, { headers });
    expect(streamed.headers.get("X-MLO-Truncated")).toBe(HEADER);
    expect((await readLast(streamed)).mlo.truncated).toEqual(CUT);
  });

  test("a conversation that fits is left alone", async () => {
    const { post, inference } = createTestApp();
    const response = await post(path, body, { headers: { "X-MLO-Truncate": "auto" } });
    expect(response.headers.get("X-MLO-Truncated")).toBeNull();
    expect((await readJson(response)).mlo.truncated).toBeUndefined();
    expect(inference.lastRequest.prompt).toMatchObject({ messages: [{}, {}, { content: "two" }] });
  });

  test("nothing is left out unasked", async () => {
    const { post } = createShortApp();
    for (const headers of [{}, { "X-MLO-Truncate": "disabled" }]) {
      for (const stream of [false, true]) {
        const response = await post(path, { ...body, stream }, { headers });
        expect(response.status).toBe(400);
        expect(await response.text()).toContain("too long");
      }
    }
  });

  test("other words are refused by name", async () => {
    const { post, inference } = createTestApp();
    const headed = await post(path, body, { headers: { "X-MLO-Truncate": "yes" } });
    expect(headed.status).toBe(400);
    expect(await headed.text()).toContain("X-MLO-Truncate must be auto or disabled");
    expect(inference.generateCalls).toHaveLength(0);
  });
});

// Ollama's bodies are its own.
test.each(DIALECTS.filter(({ path }) => path !== "/api/chat"))(
  "$path: the body can ask for it, and the header comes first",
  async ({ path, body }) => {
    const { post } = createShortApp();
    const asked = { ...body, mlo: { truncate: "auto" } };
    expect((await post(path, asked)).headers.get("X-MLO-Truncated")).toBe(HEADER);
    expect((await post(path, asked, { headers: { "X-MLO-Truncate": "disabled" } })).status).toBe(400);
    const refused = await post(path, { ...body, mlo: { truncate: "yes" } });
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain("mlo.truncate");
  },
);

test("choices share one shortened prompt", async () => {
  const { post, inference } = createShortApp();
  const response = await post("/v1/chat/completions", { messages: TURNS, n: 3, mlo: { truncate: "auto" } });
  expect(response.headers.get("X-MLO-Truncated")).toBe(HEADER);
  expect((await readJson(response)).choices).toHaveLength(3);
  expect(new Set(inference.generateCalls.map(({ request }) => request.prompt)).size).toBe(1);
});

test("one that is too long with its last message alone is refused with its numbers", async () => {
  const { post } = createShortApp();
  const messages = [...TURNS, { role: "user", content: "and three" }];
  const response = await post("/v1/chat/completions", { messages, n: 2 }, { headers: { "X-MLO-Truncate": "auto" } });
  expect(response.status).toBe(400);
  expect((await readJson(response)).error).toMatchObject({ code: "context_length_exceeded", message: "too long" });
});

test("Responses have a field of their own for it", async () => {
  const { post } = createShortApp();
  const asked = { input: TURNS, truncation: "auto" };
  const response = await post("/v1/responses", asked);
  expect(response.headers.get("X-MLO-Truncated")).toBe(HEADER);
  expect(await readJson(response)).toMatchObject({ truncation: "auto", mlo: { truncated: CUT } });
  expect((await post("/v1/responses", asked, { headers: { "X-MLO-Truncate": "disabled" } })).status).toBe(400);
  expect((await post("/v1/responses", { ...asked, truncation: "disabled" })).status).toBe(400);
  const headed = await post("/v1/responses", { input: TURNS }, { headers: { "X-MLO-Truncate": "auto" } });
  expect((await readJson(headed)).truncation).toBe("auto");
});
