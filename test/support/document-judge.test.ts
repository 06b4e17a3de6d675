// The judge must find what it is there for: each kind of answer that a document does not allow.

import { expect, test } from "bun:test";
import { DocumentJudge } from "./document-judge.ts";

const thing = {
  type: "object",
  properties: { name: { type: "string" }, parts: { type: "array", items: { $ref: "#/components/schemas/Part" } } },
  required: ["name"],
};
const error = { type: "object", properties: { error: { type: "string" } }, required: ["error"] };
const refer = (name: string) => ({ schema: { $ref: `#/components/schemas/${name}` } });
const eventOf = (frame: object) => ({ schema: { type: "object", properties: { data: { contentSchema: frame } } } });
const ENDED = { properties: { data: { anyOf: [{ const: "[DONE]" }, { contentSchema: refer("Part").schema }] } } };
const judge = new DocumentJudge({
  paths: {
    "/things/{id}": {
      get: {
        responses: {
          200: { content: { "application/json": refer("Thing"), "text/event-stream": eventOf(refer("Part").schema) } },
          400: { content: { "application/json": refer("ErrorReply") } },
        },
      },
    },
    "/ended": { get: { responses: { 200: { content: { "text/event-stream": { schema: ENDED } } } } } },
    "/nil": { get: { responses: { 200: { description: "Done." } } } },
    "/lines": { post: { responses: { 200: { content: { "application/x-ndjson": refer("Part") } } } } },
    "/things/{id}/parts": { get: { responses: { 200: { content: { "application/json": refer("Part") } } } } },
  },
  components: {
    schemas: {
      Thing: thing,
      Part: { type: "object", properties: { type: { type: "string" } }, required: ["type"] },
      ErrorReply: error,
      AnthropicErrorReply: { type: "object", properties: { type: { const: "error" } }, required: ["type"] },
      OllamaErrorReply: error,
    },
  },
});

async function check(path: string, response: Response, init: RequestInit = {}): Promise<string> {
  const judged = await judge.check(new Request(`http://localhost${path}`, init), response);
  expect(judged.status).toBe(response.status);
  return await judged.text();
}

const json = (body: unknown, status = 200) => Response.json(body, { status });
const typed = (type: string, body: string) => new Response(body, { headers: { "Content-Type": type } });
const events = (body: string) => typed("text/event-stream; charset=utf-8", body);
const lines = (body: string) => typed("application/x-ndjson", body);
const POST = { method: "POST" };
const ANTHROPIC = { headers: { "anthropic-version": "1" } };

test.each([
  ["/things/a", json({ name: "x", parts: [{ type: "y" }] }), {}],
  ["/things/a/b", json({ name: "x" }), {}],
  ["/things/a/parts", json({ type: "x" }), {}],
  ["/things/a", json({ error: "x" }, 400), {}],
  ["/things/a", json({ type: "error" }, 400), ANTHROPIC],
  ["/nil", new Response(null), {}],
  ["/things/a", typed("application/json", ""), { method: "HEAD" }],
  ["/nothing", json({ error: "x" }, 404), {}],
  ["/things/a", events(': hi\n\nevent: x\ndata: {"type":"x"}\n\ndata: {"type":"y"}\n\n'), {}],
  ["/ended", events('data: {"type":"x"}\n\ndata: [DONE]\n\n'), {}],
  ["/lines", lines('{"type":"x"}\n{"type":"y"}\n'), POST],
] as [string, Response, RequestInit][])("%s may be answered so", async (path, response, init) => {
  const whole = await response.clone().text();
  expect(await check(path, response, init)).toBe(whole);
});

test.each([
  ["an undocumented status", "/things/a", json({ error: "x" }, 500), {}, "the status is not documented"],
  ["a content type", "/things/a", typed("text/plain", "x"), {}, "the content type text/plain is not documented"],
  ["a missing field", "/things/a", json({}), {}, "must have required property 'name'"],
  ["a wrong type", "/things/a", json({ name: "x", parts: [{ type: 1 }] }), {}, "/parts/0/type must be string"],
  ["a field more", "/things/a", json({ name: "x", more: 1 }), {}, "must NOT have additional properties"],
  ["another envelope", "/things/a", json({ type: "error" }, 400), {}, "must have required property 'error'"],
  ["the longer path's", "/things/a/parts", json({ name: "x" }), {}, "must have required property 'type'"],
  ["an unknown route's success", "/nothing", json({ error: "x" }), {}, "it is no operation"],
  ["an unknown route's body", "/nothing", json({}, 404), {}, "must have required property"],
  ["a body where none is", "/nil", json({}), {}, "a body came"],
  ["a frame", "/things/a", events('data: {"type":"x"}\n\ndata: {}\n\n'), {}, "must have required property 'type'"],
  ["an end", "/things/a", events("data: [DONE]\n\n"), {}, "must be object"],
  ["a frame's name", "/things/a", events('event: y\ndata: {"type":"x"}\n\n'), {}, "the event y is named x"],
  ["a strange line", "/things/a", events("x\n\n"), {}, "no line of an event"],
  ["half a frame", "/things/a", events('data: {"type":"x"}\n'), {}, "ended within a frame"],
  ["a line", "/lines", lines('{"type":1}\n'), POST, "/type must be string"],
  ["half a line", "/lines", lines('{"type":"x"}\n{'), POST, "ended within a frame"],
] as [string, string, Response, RequestInit, string][])("%s may not", async (_, path, response, init, why) => {
  await expect(check(path, response, init)).rejects.toThrow(why);
});

test("a stream is read no further than its reader asks, and hears of his leaving", async () => {
  let pulled = 0;
  let left: unknown = null;
  const source = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        pulled++;
        controller.enqueue(new TextEncoder().encode('{"type":"x"}\n'));
      },
      cancel(reason) {
        left = reason;
      },
    },
    { highWaterMark: 0 },
  );
  const response = new Response(source, { headers: { "Content-Type": "application/x-ndjson" } });
  const judged = await judge.check(new Request("http://localhost/lines", POST), response);
  const reader = judged.body?.getReader();
  await reader?.read();
  await Bun.sleep(1);
  expect(pulled).toBe(1);
  await reader?.cancel("enough");
  expect(left).toBe("enough");
});
