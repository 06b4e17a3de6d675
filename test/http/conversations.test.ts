import { expect, test } from "bun:test";
import { createTestApp, type Json, readError, readJson, type TestApp } from "../support/http-app.ts";
import { remove } from "../support/response-events.ts";

const PATH = "/v1/conversations";
const HELLO = { type: "message", role: "user", content: "Hello!" };

const create = async (app: TestApp, body: object = {}): Promise<string> => {
  return (await readJson(await app.post(PATH, body))).id;
};

test("a conversation is made, shown, changed and deleted", async () => {
  const app = createTestApp();
  const made = await readJson(await app.post(PATH, { metadata: { a: "b" } }));
  expect(made).toEqual({
    id: expect.stringMatching(/^conv_[0-9a-f]{32}$/),
    object: "conversation",
    created_at: 1_700_000_000,
    metadata: { a: "b" },
  });
  expect(await readJson(await app.get(`${PATH}/${made.id}`))).toEqual(made);
  const changed = await readJson(await app.post(`${PATH}/${made.id}`, { metadata: { c: "d" } }));
  expect(changed).toEqual({ ...made, metadata: { c: "d" } });
  expect(await readJson(await remove(app, `${PATH}/${made.id}`))).toEqual({
    id: made.id,
    object: "conversation.deleted",
    deleted: true,
  });
  expect((await app.get(`${PATH}/${made.id}`)).status).toBe(404);
});

test("responses continue it and add to it", async () => {
  const app = createTestApp();
  const id = await create(app, { items: [{ ...HELLO, role: "developer", content: "Be brief." }] });
  const first = await readJson(await app.post("/v1/responses", { input: "one", conversation: id }));
  expect(first.conversation).toEqual({ id });
  await app.post("/v1/responses", { input: "two", conversation: { id }, stream: true }).then((reply) => reply.text());
  const { prompt, session } = app.inference.lastRequest;
  expect(session).toBe(id);
  expect(prompt.kind === "chat" ? prompt.messages.map(({ role, content }) => [role, content]) : null).toEqual([
    ["system", "Be brief."],
    ["user", "one"],
    ["assistant", "Hello"],
    ["user", "two"],
  ]);
  const { data } = await readJson(await app.get(`${PATH}/${id}/items?order=asc`));
  expect(data.map((item: Json) => item.role)).toEqual(["developer", "user", "assistant", "user", "assistant"]);
});

test("a response that fails adds nothing", async () => {
  const app = createTestApp();
  const id = await create(app);
  app.inference.script = async function* () {
    yield { type: "error", error: { code: "engine_crashed", message: "gone" } };
  };
  expect((await app.post("/v1/responses", { input: "one", conversation: id })).status).toBe(503);
  expect((await readJson(await app.get(`${PATH}/${id}/items`))).data).toEqual([]);
});

test("items are added, listed, shown and deleted", async () => {
  const app = createTestApp();
  const id = await create(app);
  const added = await readJson(await app.post(`${PATH}/${id}/items`, { items: [{ ...HELLO, id: "msg_1" }, HELLO] }));
  expect(added).toMatchObject({ object: "list", data: [{ id: "msg_1" }, {}], first_id: "msg_1", has_more: false });
  await app.post(`${PATH}/${id}/items`, { items: [{ ...HELLO, id: "msg_1" }] });
  const listed = await readJson(await app.get(`${PATH}/${id}/items?order=asc`));
  expect(listed.data).toEqual(added.data);
  expect(await readJson(await app.get(`${PATH}/${id}/items/msg_1`))).toEqual(added.data[0]);
  expect(await readJson(await remove(app, `${PATH}/${id}/items/msg_1`))).toMatchObject({ id, object: "conversation" });
  expect((await app.get(`${PATH}/${id}/items/msg_1`)).status).toBe(404);
  expect((await readJson(await app.get(`${PATH}/${id}/items`))).data).toHaveLength(1);
});

test("conversations and items that are not there", async () => {
  const app = createTestApp();
  const missing = { status: 404, code: "not_found", param: "conversation_id" };
  const path = `${PATH}/conv_1`;
  expect(await readError(await app.get(path))).toEqual(missing);
  expect(await readError(await app.post(path, { metadata: {} }))).toEqual(missing);
  expect(await readError(await remove(app, path))).toEqual(missing);
  expect(await readError(await app.get(`${path}/items`))).toEqual(missing);
  expect(await readError(await app.post(`${path}/items`, { items: [HELLO] }))).toEqual(missing);
  expect(await readError(await app.get(`${path}/items/msg_1`))).toEqual(missing);
  const id = await create(app);
  const noItem = { status: 404, code: "not_found", param: "item_id" };
  expect(await readError(await app.get(`${PATH}/${id}/items/msg_1`))).toEqual(noItem);
  expect(await readError(await remove(app, `${PATH}/${id}/items/msg_1`))).toEqual(noItem);
});

test.each([
  ["", { metadata: [] }, "invalid_request", "metadata"],
  ["", { items: [{ role: "user" }] }, "invalid_request", "items[0].content"],
  ["", { items: [{ type: "item_reference", id: "msg_1" }] }, "not_found", "items[0].id"],
  ["/ID", {}, "invalid_request", "metadata"],
  ["/ID/items", {}, "invalid_request", "items"],
  ["/ID/items", { items: [] }, "invalid_request", "items"],
  ["/ID/items", { items: [{ type: "mcp_call" }] }, "not_supported", "items[0].type"],
])("POST %s %j is refused by name", async (path, body, code, param) => {
  const app = createTestApp();
  const id = await create(app);
  const error = await readError(await app.post(PATH + path.replace("ID", id), body));
  expect(error).toEqual({ status: code === "not_found" ? 404 : 400, code, param });
});
