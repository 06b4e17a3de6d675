import { expect, test } from "bun:test";
import { AppError } from "../../src/protocol/errors.ts";
import type { GenerationEvent } from "../../src/protocol/generation.ts";
import { DONE_EVENT } from "../support/fake-inference.ts";
import { createTestApp, type Json, readError, readJson, settle, type TestApp } from "../support/http-app.ts";
import { parseEvents, readEvents, remove, typesOf } from "../support/response-events.ts";

const PATH = "/v1/responses";
const BACKGROUND = { input: "Hello!", background: true };

/** The app, and a hand that gives the generation's events. It ends when it is aborted. */
function createManualApp(): TestApp & { emit(...events: GenerationEvent[]): Promise<void> } {
  const app = createTestApp();
  const queue: GenerationEvent[] = [];
  let wake = () => {};
  app.inference.script = async function* (_, signal) {
    signal.addEventListener("abort", () => wake(), { once: true });
    for (;;) {
      const event = queue.shift();
      if (event !== undefined) yield event;
      else if (signal.aborted) return yield { type: "cancelled" };
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  };
  return {
    ...app,
    async emit(...events) {
      queue.push(...events);
      wake();
      await settle();
    },
  };
}

const show = async (app: TestApp, id: string): Promise<Json> => readJson(await app.get(`${PATH}/${id}`));

test("the answer comes at once, and grows until it is complete", async () => {
  const app = createManualApp();
  const begun = await readJson(await app.post(PATH, BACKGROUND));
  expect(begun).toMatchObject({ status: "queued", background: true, output: [] });
  await app.emit({ type: "delta", text: "Hel" });
  expect(await show(app, begun.id)).toMatchObject({
    status: "in_progress",
    output: [{ status: "in_progress", content: [{ text: "Hel" }] }],
  });
  await app.emit({ type: "delta", text: "lo" }, DONE_EVENT);
  const ended = await show(app, begun.id);
  expect(ended).toMatchObject({ id: begun.id, status: "completed", output: [{ content: [{ text: "Hello" }] }] });
  expect(await readJson(await app.post(`${PATH}/${begun.id}/cancel`, ""))).toEqual(ended);
});

test("a stream that is cut and resumed is the uncut one", async () => {
  const app = createManualApp();
  const uncut = readEvents(await app.post(PATH, { ...BACKGROUND, stream: true }));
  await app.emit({ type: "delta", text: "Hel" });
  const reader = ((await app.get(`${PATH}/${await findId(app)}?stream=true`)).body as ReadableStream).getReader();
  const cut = parseEvents(new TextDecoder().decode((await reader.read()).value));
  await reader.cancel();
  const resumed = app.get(`${PATH}/${cut[0].response.id}?stream=true&starting_after=${cut.length - 1}`);
  await app.emit({ type: "delta", text: "lo" }, DONE_EVENT);
  const all = await uncut;
  expect(typesOf(all).slice(0, 4)).toEqual(["created", "queued", "in_progress", "output_item.added"]);
  expect([...cut, ...(await readEvents(await resumed))]).toEqual(all);
  // From the database, at every place.
  for (const at of all.keys()) {
    const rest = await readEvents(await app.get(`${PATH}/${cut[0].response.id}?stream=true&starting_after=${at}`));
    expect(rest).toEqual(all.slice(at + 1));
  }
});

async function findId(app: TestApp): Promise<string> {
  const session = app.inference.lastRequest.session;
  if (session === undefined) throw new Error("a stored response has a session");
  return session;
}

test("a client that leaves changes nothing", async () => {
  const app = createManualApp();
  const response = await app.post(PATH, { ...BACKGROUND, stream: true });
  await app.emit({ type: "delta", text: "Hel" });
  await (response.body as ReadableStream).cancel();
  await app.emit({ type: "delta", text: "lo" }, DONE_EVENT);
  expect(app.inference.generateCalls[0]?.signal.aborted).toBe(false);
  expect(await show(app, await findId(app))).toMatchObject({ status: "completed" });
});

test("a cancelled one keeps what it had, and its followers end", async () => {
  const app = createManualApp();
  const { id } = await readJson(await app.post(PATH, BACKGROUND));
  await app.emit({ type: "delta", text: "Hel" });
  const follower = readEvents(await app.get(`${PATH}/${id}?stream=true`));
  const cancelled = await readJson(await app.post(`${PATH}/${id}/cancel`, ""));
  expect(cancelled).toMatchObject({ status: "cancelled", output: [{ status: "incomplete" }] });
  expect(app.inference.generateCalls[0]?.signal.aborted).toBe(true);
  expect(await show(app, id)).toEqual(cancelled);
  expect((await follower).at(-1)).toMatchObject({ type: "response.failed", response: { status: "cancelled" } });
});

test("a deleted one is cancelled first", async () => {
  const app = createManualApp();
  const { id } = await readJson(await app.post(PATH, BACKGROUND));
  await settle();
  expect((await remove(app, `${PATH}/${id}`)).status).toBe(200);
  expect(app.inference.generateCalls[0]?.signal.aborted).toBe(true);
  expect((await app.get(`${PATH}/${id}`)).status).toBe(404);
});

test("it can't be continued before its end", async () => {
  const app = createManualApp();
  const { id } = await readJson(await app.post(PATH, BACKGROUND));
  expect(await readError(await app.post(PATH, { input: "x", previous_response_id: id }))).toEqual({
    status: 400,
    code: "invalid_request",
    param: "previous_response_id",
  });
  await app.emit(DONE_EVENT);
  const next = app.post(PATH, { input: "x", previous_response_id: id });
  await app.emit(DONE_EVENT);
  expect((await next).status).toBe(200);
});

test("a refusal is a failed response", async () => {
  const { get, post, inference } = createTestApp();
  inference.refusal = new AppError({ code: "context_length_exceeded", message: "too long" });
  const { id } = await readJson(await post(PATH, BACKGROUND));
  await settle();
  const error = { code: "context_length_exceeded", message: "too long", hint: expect.any(String) };
  expect(await readJson(await get(`${PATH}/${id}`))).toMatchObject({ status: "failed", error });
  const events = await readEvents(await get(`${PATH}/${id}?stream=true`));
  expect(typesOf(events)).toEqual(["created", "queued", "failed"]);
});

test("without a place to leave it nothing is begun; at its end it is kept in memory", async () => {
  const app = createManualApp();
  const { save } = app.state.responses;
  const full = () => {
    throw new AppError({ code: "storage_unavailable", message: "the disk is full" });
  };
  app.state.responses.save = full;
  expect(await readError(await app.post(PATH, BACKGROUND))).toMatchObject({ status: 503, code: "storage_unavailable" });
  expect(app.inference.generateCalls).toHaveLength(0);
  app.state.responses.save = save.bind(app.state.responses);
  const { id } = await readJson(await app.post(PATH, BACKGROUND));
  app.state.responses.save = full;
  await app.emit({ type: "delta", text: "kept" }, DONE_EVENT);
  expect(await show(app, id)).toMatchObject({ status: "completed", output: [{ content: [{ text: "kept" }] }] });
  expect((await readEvents(await app.get(`${PATH}/${id}?stream=true`))).at(-1).type).toBe("response.completed");
});

test("there is a limit to how many run", async () => {
  const app = createManualApp();
  for (let begun = 0; begun < 256; begun++) expect((await app.post(PATH, BACKGROUND)).status).toBe(200);
  expect(await readError(await app.post(PATH, BACKGROUND))).toMatchObject({ status: 503, code: "overloaded" });
});
