import { expect, test } from "bun:test";
import type { ChatMessage } from "../../src/protocol/generation.ts";
import { DONE_EVENT, playEvents, playText } from "../support/fake-inference.ts";
import { createTestApp, type Json, readError, readJson, type TestApp } from "../support/http-app.ts";
import { remove } from "../support/response-events.ts";

const PATH = "/v1/responses";

const messagesOf = ({ inference }: TestApp): ChatMessage[] => {
  const { prompt } = inference.lastRequest;
  return prompt.kind === "chat" ? prompt.messages : [];
};

const ask = async (app: TestApp, body: object): Promise<Json> => readJson(await app.post(PATH, body));

test("a response is shown as it was given, and gone when it is deleted", async () => {
  const app = createTestApp();
  const body = await ask(app, { input: "x", metadata: { a: "b" } });
  expect(await readJson(await app.get(`${PATH}/${body.id}`))).toEqual(body);
  expect(await readJson(await remove(app, `${PATH}/${body.id}`))).toEqual({
    id: body.id,
    object: "response.deleted",
    deleted: true,
  });
  expect((await app.get(`${PATH}/${body.id}`)).status).toBe(404);
  expect(await readError(await app.post(PATH, { input: "y", previous_response_id: body.id }))).toMatchObject({
    status: 404,
    param: "previous_response_id",
  });
});

test("what is not to be stored is not", async () => {
  const app = createTestApp();
  const body = await ask(app, { input: "x", store: false });
  expect((await app.get(`${PATH}/${body.id}`)).status).toBe(404);
  expect(app.inference.lastRequest.session).toBeUndefined();
});

test("a response continues others: their items come first, and the engine knows the conversation", async () => {
  const app = createTestApp();
  app.inference.script = playEvents(
    { type: "delta", reasoning: "Hm." },
    { type: "delta", toolCalls: [{ index: 0, id: "c1", name: "f", arguments: "{}" }] },
    { ...DONE_EVENT, finishReason: "tool_calls" } as typeof DONE_EVENT,
  );
  const first = await ask(app, { instructions: "Be brief.", input: "one" });
  app.inference.script = playText("fine");
  const output = { type: "function_call_output", call_id: "c1", output: "1" };
  const second = await ask(app, { input: [output], previous_response_id: first.id });
  await ask(app, { input: "three", instructions: "Be long.", previous_response_id: second.id });
  const call = { id: "c1", type: "function" as const, function: { name: "f", arguments: "{}" } };
  expect(messagesOf(app)).toEqual([
    { role: "system", content: "Be long." },
    { role: "user", content: "one" },
    { role: "assistant", content: null, reasoning_content: "Hm.", tool_calls: [call] },
    { role: "tool", tool_call_id: "c1", content: "1" },
    { role: "assistant", content: "fine" },
    { role: "user", content: "three" },
  ]);
  expect(app.inference.generateCalls.map(({ request }) => request.session)).toEqual([first.id, first.id, first.id]);
});

test("a chain with a gap says which response is missing", async () => {
  const app = createTestApp();
  const first = await ask(app, { input: "one" });
  const second = await ask(app, { input: "two", previous_response_id: first.id });
  await remove(app, `${PATH}/${first.id}`);
  const response = await app.post(PATH, { input: "three", previous_response_id: second.id });
  const { error } = await readJson(response.clone());
  expect(await readError(response)).toMatchObject({ status: 404, code: "not_found", param: "previous_response_id" });
  expect(error.message).toContain(first.id);
});

test("an item can be named instead of sent", async () => {
  const app = createTestApp();
  const first = await ask(app, { input: [{ role: "user", content: "one", id: "msg_mine" }] });
  const reference = { id: first.output[0].id };
  await ask(app, { input: [{ type: "item_reference", id: "msg_mine" }, reference, { role: "user", content: "two" }] });
  expect(messagesOf(app).map(({ content }) => content)).toEqual(["one", "Hello", "two"]);
});

test("the input is listed by pages", async () => {
  const app = createTestApp();
  const input = ["a", "b", "c"].map((text) => ({ role: "user", content: text, id: `msg_${text}` }));
  const { id } = await ask(app, { input });
  const list = async (query: string): Promise<Json> => readJson(await app.get(`${PATH}/${id}/input_items${query}`));
  expect(await list("?order=asc&limit=2")).toMatchObject({
    object: "list",
    data: [{ id: "msg_a", type: "message", content: [{ type: "input_text", text: "a" }] }, { id: "msg_b" }],
    first_id: "msg_a",
    last_id: "msg_b",
    has_more: true,
  });
  expect(await list("?order=asc&limit=2&after=msg_b")).toMatchObject({ data: [{ id: "msg_c" }], has_more: false });
  expect((await list("")).data.map((item: Json) => item.id)).toEqual(["msg_c", "msg_b", "msg_a"]);
  expect((await list("?after=msg_b")).data.map((item: Json) => item.id)).toEqual(["msg_a"]);
});

test("two items with one id are two items", async () => {
  const app = createTestApp();
  const twice = { role: "user", content: "x", id: "msg_1" };
  const { id } = await ask(app, { input: [twice, twice] });
  const { data } = await readJson(await app.get(`${PATH}/${id}/input_items`));
  expect(new Set(data.map((item: Json) => item.id)).size).toBe(2);
});

test("only a response in the background can be cancelled", async () => {
  const app = createTestApp();
  const { id } = await ask(app, { input: "x" });
  expect(await readError(await app.post(`${PATH}/${id}/cancel`, ""))).toEqual({
    status: 400,
    code: "invalid_request",
    param: "response_id",
  });
});

test("a request that leaves no state is not stored either, unless it asks for that", async () => {
  const app = createTestApp();
  const stores = async (body: object) => (await ask(app, { input: "x", mlo: { kv: "off" }, ...body })).store;
  expect(await stores({})).toBe(false);
  expect(await stores({ store: true })).toBe(true);
  expect(await stores({ background: true })).toBe(true);
  const { id } = await readJson(await app.post("/v1/conversations", {}));
  expect(await stores({ conversation: id })).toBe(true);
  const headers = { "X-MLO-KV": "off" };
  const headed = await readJson(await app.post(PATH, { input: "x" }, { headers }));
  expect((await app.get(`${PATH}/${headed.id}`)).status).toBe(404);
});

test("an answer that can't be stored is given, and says so", async () => {
  const app = createTestApp();
  app.state.responses.save = () => {
    throw new Error("the disk is full");
  };
  const body = await ask(app, { input: "x" });
  expect(body).toMatchObject({ status: "completed", store: false });
  expect(body.mlo.warnings).toEqual([
    { code: "not_stored", path: "store", message: "the response was not stored: the disk is full" },
  ]);
});

test("what was open when its server ended is a failure", async () => {
  const app = createTestApp();
  const { id } = await ask(app, { input: "x" });
  const stored = app.state.responses.read(id);
  if (stored === null) throw new Error("it was not stored");
  const ended = Bun.spawnSync(["true"]).pid;
  app.state.responses.save({ ...stored, pid: ended, status: "queued", body: { ...stored.body, status: "queued" } });
  const body = await readJson(await app.get(`${PATH}/${id}`));
  expect(body).toMatchObject({ status: "failed", error: { code: "server_error" } });
});
