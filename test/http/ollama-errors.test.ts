import { describe, expect, test } from "bun:test";
import { AppError } from "../../src/protocol/errors.ts";
import { playEvents } from "../support/fake-inference.ts";
import { createTestApp, type Json, readJson, type TestApp } from "../support/http-app.ts";

const HELLO = [{ role: "user", content: "Hello!" }];

/** Status, code and param of an error, with the envelope's shape checked. */
async function readFailure(response: Response): Promise<[status: number, code: string, param?: string]> {
  const { error, code, param } = await readJson(response);
  if (typeof error !== "string" || !error.endsWith(".")) throw new Error(`no words: ${JSON.stringify(error)}`);
  return param === undefined ? [response.status, code] : [response.status, code, param];
}

const user = (fields: object) => ({ messages: [{ role: "user", content: "x", ...fields }] });

test.each([
  ["/api/chat", { messages: "hi" }, "invalid_request", "messages"],
  ["/api/chat", user({ role: "robot" }), "invalid_request", "messages[0].role"],
  ["/api/chat", user({ content: 3 }), "invalid_request", "messages[0].content"],
  ["/api/chat", { messages: [{ role: "user" }] }, "invalid_request", "messages[0].content"],
  ["/api/chat", user({ images: ["aGk="] }), "not_supported", "messages[0].images"],
  ["/api/chat", user({ tool_calls: [{ function: {} }] }), "invalid_request", "messages[0].tool_calls[0].function.name"],
  ["/api/chat", { messages: HELLO, stream: "no" }, "invalid_request", "stream"],
  ["/api/chat", { messages: HELLO, think: "much" }, "invalid_request", "think"],
  ["/api/chat", { messages: HELLO, format: "xml" }, "invalid_request", "format"],
  ["/api/chat", { messages: HELLO, format: "json", options: { grammar: "x" } }, "invalid_request", "options.grammar"],
  ["/api/chat", { messages: HELLO, keep_alive: "soon" }, "invalid_request", "keep_alive"],
  ["/api/chat", { messages: HELLO, keep_alive: {} }, "invalid_request", "keep_alive"],
  ["/api/chat", { messages: HELLO, logprobs: "yes" }, "invalid_request", "logprobs"],
  ["/api/chat", { messages: HELLO, top_logprobs: 3 }, "invalid_request", "top_logprobs"],
  ["/api/chat", { messages: HELLO, logprobs: true, top_logprobs: 21 }, "invalid_request", "top_logprobs"],
  ["/api/chat", { messages: HELLO, options: [] }, "invalid_request", "options"],
  ["/api/chat", { messages: HELLO, options: { temperature: "hot" } }, "invalid_request", "options.temperature"],
  ["/api/chat", { messages: HELLO, options: { seed: 1.5 } }, "invalid_request", "options.seed"],
  ["/api/chat", { messages: HELLO, options: { num_predict: "many" } }, "invalid_request", "options.num_predict"],
  ["/api/chat", { messages: HELLO, options: { stop: [""] } }, "invalid_request", "options.stop[0]"],
  ["/api/chat", { messages: HELLO, tools: [{ type: "web" }] }, "not_supported", "tools[0].type"],
  ["/api/generate", { prompt: 3 }, "invalid_request", "prompt"],
  ["/api/generate", { prompt: "x", images: ["aGk="] }, "not_supported", "images"],
  ["/api/generate", { prompt: "x", template: "{{ .Prompt }}" }, "not_supported", "template"],
  ["/api/generate", { prompt: "x", raw: true, system: "y" }, "invalid_request", "system"],
  ["/api/generate", { prompt: "x", suffix: "z", system: "y" }, "invalid_request", "system"],
  ["/api/generate", { prompt: "x", raw: true, context: [1] }, "invalid_request", "context"],
  ["/api/generate", { prompt: "x", raw: true, format: "json" }, "not_supported", "format"],
  ["/api/generate", { prompt: "x", suffix: "y", format: { type: "object" } }, "not_supported", "format"],
  ["/api/generate", { prompt: "x", context: "y" }, "invalid_request", "context"],
  ["/api/embed", { input: 3 }, "invalid_request", "input"],
  ["/api/embed", { input: ["a", ""] }, "invalid_request", "input[1]"],
  ["/api/embed", { input: Array(2049).fill("a") }, "invalid_request", "input"],
  ["/api/embed", { input: "a", dimensions: 4 }, "invalid_request", "dimensions"],
  ["/api/embeddings", { prompt: ["a"] }, "invalid_request", "prompt"],
  ["/api/show", {}, "invalid_request", "model"],
  ["/api/show", { model: "" }, "invalid_request", "model"],
  ["/api/copy", { source: "demo" }, "invalid_request", "destination"],
  ["/api/copy", { destination: "x" }, "invalid_request", "source"],
  ["/api/chat", [], "invalid_request", undefined],
])("%s refuses %j by name", async (path, body, code, param) => {
  const { post, inference } = createTestApp();
  const failure = await readFailure(await post(path as string, body));
  expect(failure as Json).toEqual(param === undefined ? [400, code] : [400, code, param]);
  expect(inference.generateCalls).toHaveLength(0);
});

test.each(["/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show", "/api/copy"])(
  "%s: an unknown model is 404 in words that clients look for, a broken body 400",
  async (path) => {
    const { post } = createTestApp();
    const body = { model: "nope:latest", source: "nope:latest", destination: "x", messages: HELLO, prompt: "x" };
    const missing = await post(path, { ...body, input: "x" });
    expect((await missing.clone().json()).error).toContain("not found");
    expect(await readFailure(missing)).toEqual([404, "model_not_found", "model"]);
    expect(await readFailure(await post(path, "{"))).toEqual([400, "invalid_request"]);
    expect(await readFailure(await post(path, ""))).toEqual([400, "invalid_request"]);
    expect(await readFailure(await createTestApp({ bodyBytesMax: 5 }).post(path, body))).toEqual([
      413,
      "payload_too_large",
    ]);
  },
);

test.each([
  ["context_length_exceeded", 400],
  ["overloaded", 503],
  ["engine_crashed", 503],
  ["internal", 500],
] as const)("a refusal %s precedes the stream and gets its status", async (code, status) => {
  const { post, inference } = createTestApp();
  inference.refusal = new AppError({ code, message: "no" });
  for (const [path, body] of [
    ["/api/chat", { messages: HELLO }],
    ["/api/chat", {}],
    ["/api/generate", { prompt: "x" }],
    ["/api/embed", { input: "x" }],
  ] as const) {
    const response = await post(path, body);
    expect(response.headers.has("Retry-After")).toBe(status === 503);
    expect(await readFailure(response)).toEqual([status, code]);
  }
  expect(inference.keepCalls).toEqual([]);
});

test("an error event is the status of a whole answer and the last line of a stream", async () => {
  const { post, inference } = createTestApp();
  inference.script = playEvents(
    { type: "delta", text: "Hel" },
    { type: "error", error: { code: "engine_crashed", message: "the engine ended" } },
  );
  const whole = await post("/api/chat", { messages: HELLO, stream: false });
  expect(await readFailure(whole)).toEqual([503, "engine_crashed"]);
  const text = await (await post("/api/chat", { messages: HELLO })).text();
  const last = JSON.parse(text.trim().split("\n").at(-1) ?? "");
  expect(last).toEqual({ error: expect.stringContaining("the engine ended. "), code: "engine_crashed" });
});

const send = ({ app }: TestApp, method: string, path: string, headers: Record<string, string> = {}) =>
  app.handle(new Request(`http://localhost${path}`, { method, headers, ...(method === "GET" ? {} : { body: "{}" }) }));

describe("deleting", () => {
  test("a missing name, an unknown model, and one that is not ours", async () => {
    const { app, inference } = createTestApp();
    const remove = (body: string) => app.handle(new Request("http://localhost/api/delete", { method: "DELETE", body }));
    expect(await readFailure(await remove("{}"))).toEqual([400, "invalid_request", "model"]);
    expect(await readFailure(await remove(""))).toEqual([400, "invalid_request"]);
    expect(await readFailure(await remove('{"name": "nope"}'))).toEqual([404, "model_not_found", "model"]);
    inference.refusal = new AppError({ code: "forbidden", message: "it is built in", hint: "Delete it yourself." });
    expect(await readFailure(await remove('{"name": "demo"}'))).toEqual([403, "forbidden"]);
  });
});

describe("at the edge", () => {
  test.each([
    ["POST", "/api/push"],
    ["POST", "/api/create"],
    ["POST", "/api/blobs/sha256:abc"],
    ["HEAD", "/api/blobs/sha256:abc"],
  ])("%s %s is not here, and says what to do instead", async (method, path) => {
    const response = await send(createTestApp(), method, path);
    expect(response.status).toBe(501);
    if (method === "HEAD") return;
    expect((await response.clone().json()).error).toContain("Put a GGUF file into the models folder");
    expect(await readFailure(response)).toEqual([501, "not_implemented"]);
  });

  test("another method, host or origin is refused in the same envelope", async () => {
    const wrong = await send(createTestApp(), "GET", "/api/chat");
    expect(wrong.headers.get("Allow")).toBe("POST");
    expect(await readFailure(wrong)).toEqual([405, "method_not_allowed"]);
    const foreign = await send(createTestApp(), "POST", "/api/chat", { Origin: "https://example.org" });
    expect(await readFailure(foreign)).toEqual([403, "forbidden"]);
    const rebound = await createTestApp().app.handle(new Request("http://evil.example/api/tags"));
    expect(await readFailure(rebound)).toEqual([403, "forbidden"]);
  });

  test("our own routes below /api keep their envelope", async () => {
    for (const path of ["/api/health", "/api/cache", "/api/nothing"]) {
      const { error } = await readJson(await send(createTestApp(), "POST", path));
      expect(error.hint).toBeString();
    }
  });
});

test("a load is refused for a header that says nothing, as an answer is", async () => {
  const { post, inference } = createTestApp();
  const headers = { "X-MLO-Priority": "high" };
  for (const body of [{ model: "demo" }, { model: "demo", prompt: "x" }]) {
    const response = await post("/api/generate", body, { headers });
    expect(await readFailure(response)).toEqual([400, "invalid_request", "X-MLO-Priority"]);
  }
  expect(inference.loadCalls).toEqual([]);
});
