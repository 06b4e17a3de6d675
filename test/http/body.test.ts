// Bodies that hold what no schema speaks of: nesting without end, text that is no Unicode, a pause without end.

import { describe, expect, test } from "bun:test";
import { NESTING_MAX } from "../../src/api/body-shape.ts";
import { createTestApp, readError, readJson, settle } from "../support/http-app.ts";

const PATH = "/v1/chat/completions";
const MESSAGES = '"messages":[{"role":"user","content":"hi"}]';
const nest = (levels: number) => "[".repeat(levels) + "]".repeat(levels);

describe("nesting", () => {
  test.each(["metadata", "chat_template_kwargs", "response_format", "unknown"])("in %s is limited", async (field) => {
    const { post } = createTestApp();
    const deep = await post(PATH, `{${MESSAGES},"${field}":{"x":${nest(100_000)}}}`);
    expect(await readError(deep)).toMatchObject({ status: 400, code: "invalid_request" });
  });

  test("up to the limit passes", async () => {
    const { post } = createTestApp();
    // The body itself and `metadata` are two of the levels.
    expect((await post(PATH, `{${MESSAGES},"metadata":{"x":${nest(NESTING_MAX - 1)}}}`)).status).toBe(200);
    expect((await post(PATH, `{${MESSAGES},"metadata":{"x":${nest(NESTING_MAX)}}}`)).status).toBe(400);
  });

  test("in a tool call's arguments is limited, though they are text", async () => {
    const { post } = createTestApp();
    const ask = (text: string) => {
      const call = { id: "1", type: "function", function: { name: "f", arguments: text } };
      return post(PATH, { messages: [{ role: "assistant", tool_calls: [call] }] });
    };
    const deep = await readError(await ask(`{"x":${nest(100_000)}}`));
    expect(deep).toMatchObject({ code: "invalid_request", param: "messages[0].tool_calls[0].function.arguments" });
    expect((await ask('{"x":[[1]]}')).status).toBe(200);
    // What is no JSON is the template's business.
    expect((await ask("not JSON [[[")).status).toBe(200);
  });
});

test.each([
  '{"messages":[{"role":"user","content":"a\\ud800b"}]}',
  `{${MESSAGES},"stop":["\\udc00"]}`,
  `{${MESSAGES},"chat_template_kwargs":{"a\\ud800":1}}`,
])("half a surrogate pair is refused: %s", async (body) => {
  const { post } = createTestApp();
  const response = await post(PATH, body);
  expect((await readJson(response.clone())).error.message).toContain("surrogate");
  expect(await readError(response)).toMatchObject({ status: 400, code: "invalid_request" });
});

test("a body that goes silent half-way ends its request; one that is only slow does not", async () => {
  const { app, clock } = createTestApp();
  let controller = null as ReadableStreamDefaultController<Uint8Array> | null;
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start(own) {
      controller = own;
    },
    cancel() {
      cancelled = true;
    },
  });
  const request = new Request(`http://localhost${PATH}`, { method: "POST", body });
  const answer = app.handle(request);
  for (let part = 0; part < 3; part++) {
    controller?.enqueue(new TextEncoder().encode("{"));
    await settle();
    clock.advance(59_000);
    await settle();
  }
  clock.advance(2_000);
  expect(await readError(await answer)).toMatchObject({ status: 504, code: "timeout" });
  expect(cancelled).toBe(true);
  expect(clock.pendingTimers).toBe(0);
});
