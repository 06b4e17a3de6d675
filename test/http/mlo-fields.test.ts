// What headers and the body's `mlo` say of priority, session and kept state, and what is refused.

import { describe, expect, test } from "bun:test";
import { playEvents, SOME_CACHE } from "../support/fake-inference.ts";
import { createTestApp, readError, readJson } from "../support/http-app.ts";

const ROUTES = [
  ["/v1/chat/completions", { messages: [{ role: "user", content: "Hello!" }] }],
  ["/v1/completions", { prompt: "Hello!" }],
] as const;

describe.each(ROUTES)("%s", (path, base) => {
  const send = async (headers: Record<string, string>, body: object = {}) => {
    const { post, inference } = createTestApp();
    const response = await post(path, { ...base, ...body }, { headers });
    return { response, inference };
  };
  const understood = async (headers: Record<string, string>, body: object = {}) => {
    const { response, inference } = await send(headers, body);
    expect(response.status).toBe(200);
    const { priority, session, cache } = inference.lastRequest;
    return { priority, session, cache };
  };

  test("says nothing by itself", async () => {
    expect(await understood({})).toEqual({ priority: undefined, session: undefined, cache: undefined });
  });

  test("headers and the body's fields mean the same", async () => {
    const expected = { priority: "batch" as const, session: "agent 7 – título", cache: { keep: false } };
    const headers = { "X-MLO-Priority": "Batch", "x-mlo-session": " agent 7 ", "X-MLO-KV": "off" };
    expect(await understood(headers)).toEqual({ ...expected, session: "agent 7" });
    const mlo = { priority: "batch", session: "agent 7 – título", kv: "off" };
    expect(await understood({}, { mlo })).toEqual(expected);
  });

  test("a session's name may be UTF-8 in a header, too", async () => {
    const bytes = Buffer.from("título – 7").toString("latin1");
    expect((await understood({ "X-MLO-Session": bytes })).session).toBe("título – 7");
    expect((await understood({ "X-MLO-Session": "t\u00ed" })).session).toBe("tí");
  });

  test("a full context may drop its middle, of which the answer tells", async () => {
    const { inference, response } = await send({}, { context_shift: true, n_keep: -1 });
    expect(response.status).toBe(200);
    expect(inference.lastRequest).toMatchObject({ contextShift: true, keepTokens: -1 });
    expect((await send({}, { context_shift: false })).inference.lastRequest.contextShift).toBe(false);
    expect((await send({})).inference.lastRequest).not.toHaveProperty("contextShift");
    expect(await readError((await send({}, { n_keep: -2 })).response)).toMatchObject({ status: 400, param: "n_keep" });
    const { post, inference: shifting } = createTestApp();
    const usage = { promptTokens: 7, completionTokens: 30, cachedTokens: 2, droppedTokens: 12 };
    const timings = { queuedMs: 1, promptMs: 10, decodeMs: 20 };
    shifting.script = playEvents(
      { type: "started", promptTokens: 7, cache: SOME_CACHE },
      { type: "done", finishReason: "length", usage, cache: SOME_CACHE, timings },
    );
    expect((await readJson(await post(path, base))).mlo.dropped_tokens).toBe(12);
  });

  test("a header comes before the body", async () => {
    const mlo = { priority: "batch", session: "b", kv: "off" };
    const headers = { "X-MLO-Priority": "interactive", "X-MLO-Session": "h", "X-MLO-KV": "on" };
    expect(await understood(headers, { mlo })).toEqual({
      priority: "interactive",
      session: "h",
      cache: undefined,
    });
  });

  test("cache_prompt: false reads anew, and keeps", async () => {
    expect((await understood({}, { cache_prompt: false })).cache).toEqual({ reuse: false });
    expect((await understood({}, { cache_prompt: true })).cache).toBeUndefined();
    expect((await understood({ "X-MLO-KV": "off" }, { cache_prompt: false })).cache).toEqual({
      reuse: false,
      keep: false,
    });
  });

  test.each([
    ["X-MLO-Priority", "urgent"],
    ["X-MLO-Priority", ""],
    ["X-MLO-KV", "0"],
    ["X-MLO-Session", ""],
    ["X-MLO-Session", "x".repeat(201)],
    ["X-MLO-Session", "a\tb"],
  ])("the header %s: %j is refused by name", async (name, value) => {
    const { response, inference } = await send({ [name]: value });
    const body = await readJson(response.clone());
    expect(body.error.message).toContain(`the header ${name} must be`);
    expect(await readError(response)).toEqual({ status: 400, code: "invalid_request", param: name });
    expect(inference.generateCalls).toEqual([]);
  });

  test.each([
    [{ mlo: { priority: "urgent" } }, "mlo.priority"],
    [{ mlo: { kv: false } }, "mlo.kv"],
    [{ mlo: { session: "x".repeat(201) } }, "mlo.session"],
    [{ mlo: { session: "a\nb" } }, "mlo.session"],
    [{ mlo: { session: "" } }, "mlo.session"],
    [{ mlo: "batch" }, "mlo"],
    [{ cache_prompt: "no" }, "cache_prompt"],
  ])("%j is refused by name", async (body, param) => {
    expect(await readError((await send({}, body)).response)).toEqual({ status: 400, code: "invalid_request", param });
  });
});
