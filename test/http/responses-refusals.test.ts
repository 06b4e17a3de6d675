import { expect, test } from "bun:test";
import { AppError } from "../../src/protocol/errors.ts";
import { playEvents } from "../support/fake-inference.ts";
import { createTestApp, readError } from "../support/http-app.ts";
import { readEvents, remove, typesOf } from "../support/response-events.ts";

const PATH = "/v1/responses";
const TOOL = { type: "function", name: "f" };
const item = (changes: object) => ({ input: [changes] });

test.each([
  [{}, "invalid_request", "input"],
  [{ input: [] }, "invalid_request", "input"],
  [{ input: 5 }, "invalid_request", "input"],
  [{ input: [3] }, "invalid_request", "input[0]"],
  [item({ content: "x" }), "invalid_request", "input[0].role"],
  [item({ role: "robot", content: "x" }), "invalid_request", "input[0].role"],
  [item({ role: "user" }), "invalid_request", "input[0].content"],
  [item({ role: "user", content: [{ type: "input_text" }] }), "invalid_request", "input[0].content[0].text"],
  [item({ role: "user", content: [{ type: "input_image" }] }), "not_supported", "input[0].content[0].type"],
  [item({ role: "user", content: [{ type: "input_file" }] }), "not_supported", "input[0].content[0].type"],
  [item({ type: "web_search_call" }), "not_supported", "input[0].type"],
  [item({ type: "function_call", name: "f", arguments: "{}" }), "invalid_request", "input[0].call_id"],
  [item({ type: "function_call", call_id: "c", arguments: "{}" }), "invalid_request", "input[0].name"],
  [item({ type: "function_call", call_id: "c", name: "f" }), "invalid_request", "input[0].arguments"],
  [
    item({ type: "function_call", call_id: "c", name: "f", arguments: "[".repeat(200) + "]".repeat(200) }),
    "invalid_request",
    "input[0].arguments",
  ],
  [item({ type: "function_call_output", call_id: "c" }), "invalid_request", "input[0].output"],
  [item({ type: "function_call_output", call_id: "c", output: "x" }), "invalid_request", "input[0].call_id"],
  [item({ type: "reasoning", summary: [{ type: "summary_text" }] }), "invalid_request", "input[0].summary[0].text"],
  [item({ type: "item_reference" }), "invalid_request", "input[0].id"],
  [{ input: "x", temperature: "0" }, "invalid_request", "temperature"],
  [{ input: "x", max_output_tokens: 0 }, "invalid_request", "max_output_tokens"],
  [{ input: "x", metadata: { a: 1 } }, "invalid_request", "metadata.a"],
  [{ input: "x", metadata: { "a\nb": 1 } }, "invalid_request", "metadata.a\nb"],
  [{ input: "x", metadata: { "\r": "x".repeat(513) } }, "invalid_request", "metadata.\r"],
  [{ input: "x", metadata: { a: "x".repeat(513) } }, "invalid_request", "metadata.a"],
  [{ input: "x", background: true, store: false }, "invalid_request", "background"],
  [{ input: "x", conversation: "conv_1", store: false }, "invalid_request", "conversation"],
  [{ input: "x", conversation: "conv_1", previous_response_id: "resp_1" }, "invalid_request", "conversation"],
  [{ input: "x", prompt: { id: "p" } }, "not_supported", "prompt"],
  [{ input: "x", text: { format: { type: "xml" } } }, "invalid_request", "text.format.type"],
  [{ input: "x", text: { format: { type: "json_schema", name: "x" } } }, "invalid_request", "text.format.schema"],
  [{ input: "x", text: { format: { type: "json_object" } }, grammar: "x" }, "invalid_request", "grammar"],
  [{ input: "x", tools: [{ type: "function" }] }, "invalid_request", "tools[0].name"],
  [{ input: "x", tool_choice: "required" }, "invalid_request", "tool_choice"],
  [{ input: "x", tools: [{ type: "web_search" }], tool_choice: "required" }, "invalid_request", "tool_choice"],
  [{ input: "x", tools: [TOOL], tool_choice: { type: "function" } }, "invalid_request", "tool_choice.name"],
  [{ input: "x", tools: [TOOL], tool_choice: { type: "function", name: "g" } }, "invalid_request", "tool_choice.name"],
  [{ input: "x", tools: [TOOL], tool_choice: { type: "allowed_tools" } }, "invalid_request", "tool_choice.tools"],
  [{ input: "x", tools: [TOOL], tool_choice: { type: "file_search" } }, "not_supported", "tool_choice.type"],
  [{ input: "x", truncation: "some" }, "invalid_request", "truncation"],
])("%j is refused by name", async (body, code, param) => {
  const { post, inference } = createTestApp();
  expect(await readError(await post(PATH, body))).toEqual({ status: 400, code, param });
  expect(inference.generateCalls).toHaveLength(0);
});

test.each([
  [{ model: "nope", input: "x" }, "model_not_found", "model"],
  [{ input: "x", previous_response_id: "resp_1" }, "not_found", "previous_response_id"],
  [{ input: "x", conversation: { id: "conv_1" } }, "not_found", "conversation"],
  [item({ type: "item_reference", id: "msg_1" }), "not_found", "input[0].id"],
])("%j names what is not there", async (body, code, param) => {
  const { post, inference } = createTestApp();
  expect(await readError(await post(PATH, body))).toEqual({ status: 404, code, param });
  expect(inference.generateCalls).toHaveLength(0);
});

test("responses that are not there", async () => {
  const app = createTestApp();
  const missing = { status: 404, code: "not_found", param: "response_id" };
  for (const path of ["resp_1", "resp_1?stream=true", "resp_1/input_items"]) {
    expect(await readError(await app.get(`${PATH}/${path}`))).toEqual(missing);
  }
  expect(await readError(await remove(app, `${PATH}/resp_1`))).toEqual(missing);
  expect(await readError(await app.post(`${PATH}/resp_1/cancel`, ""))).toEqual(missing);
  const undecodable = { status: 400, code: "invalid_request", param: "response_id" };
  expect(await readError(await app.get(`${PATH}/%zz`))).toEqual(undecodable);
  for (const name of ["%2F..%2Fx", "%00", "x".repeat(5000)]) {
    expect(await readError(await app.get(`${PATH}/${name}`))).toEqual(missing);
  }
});

test.each([
  ["?stream=maybe", "stream"],
  ["?stream=", "stream"],
  ["?stream=true&stream=true", "stream"],
  ["?starting_after=2", "starting_after"],
  ["?stream=true&starting_after=-1", "starting_after"],
  ["?stream=true&starting_after=9999", "starting_after"],
  ["/input_items?limit=0", "limit"],
  ["/input_items?limit=101", "limit"],
  ["/input_items?limit=2&limit=3", "limit"],
  ["/input_items?order=up", "order"],
  ["/input_items?order=asc&order=desc", "order"],
  ["/input_items?after=msg_1", "after"],
])("the query %s is refused by name", async (query, param) => {
  const { get, post } = createTestApp();
  const { id } = (await (await post(PATH, { input: "x" })).json()) as { id: string };
  expect(await readError(await get(`${PATH}/${id}${query}`))).toEqual({ status: 400, code: "invalid_request", param });
});

test("methods that a path does not take", async () => {
  const app = createTestApp();
  const response = await app.get(`${PATH}/resp_1/cancel`);
  expect(response.headers.get("Allow")).toBe("POST");
  expect(await readError(response)).toMatchObject({ status: 405, code: "method_not_allowed" });
  expect(await readError(await app.get(PATH))).toMatchObject({ status: 405 });
  const named = await app.app.handle(new Request(`http://localhost${PATH}/input_tokens`, { method: "PUT" }));
  expect(named.headers.get("Allow")).toBe("POST");
});

test.each([
  ["context_length_exceeded", 400],
  ["engine_crashed", 503],
] as const)("a refusal %s precedes the stream and gets its status", async (code, status) => {
  const { post, inference } = createTestApp();
  inference.refusal = new AppError({ code, message: "no" });
  for (const stream of [true, false]) {
    expect(await readError(await post(PATH, { input: "x", stream }))).toEqual({ status, code, param: null });
  }
});

test("an error after the start is the status of a whole answer, and the last event of a stream", async () => {
  const { get, post, inference } = createTestApp();
  const error = { code: "engine_crashed", message: "the engine ended" } as const;
  inference.script = playEvents({ type: "delta", text: "Hel" }, { type: "error", error });
  expect(await readError(await post(PATH, { input: "x" }))).toMatchObject({ status: 503, code: "engine_crashed" });
  const events = await readEvents(await post(PATH, { input: "x", stream: true }));
  expect(typesOf(events).slice(-3)).toEqual(["content_part.done", "output_item.done", "failed"]);
  const { response } = events.at(-1);
  expect(response).toMatchObject({
    status: "failed",
    error: { code: "server_error", message: "the engine ended", hint: expect.any(String) },
    output: [{ status: "incomplete", content: [{ text: "Hel" }] }],
  });
  expect(await (await get(`${PATH}/${response.id}`)).json()).toEqual(response);
});

test("a source that breaks off is a failure, not a clean end", async () => {
  const { post, inference } = createTestApp();
  inference.script = playEvents({ type: "delta", text: "x" });
  expect(await readError(await post(PATH, { input: "x" }))).toMatchObject({ status: 500, code: "internal" });
  const events = await readEvents(await post(PATH, { input: "x", stream: true }));
  expect(events.at(-1)).toMatchObject({ type: "response.failed", response: { error: { code: "server_error" } } });
});
