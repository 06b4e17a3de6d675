import { expect, test } from "bun:test";
import { DONE_EVENT, playEvents } from "../support/fake-inference.ts";
import { createTestApp, type Json, readJson, settle } from "../support/http-app.ts";
import { readEvents, typesOf } from "../support/response-events.ts";

const PATH = "/v1/responses";
const STREAM = { input: "Hello!", stream: true };

test("a stream's events, in order", async () => {
  const { post, inference } = createTestApp();
  const response = await post(PATH, STREAM);
  expect(response.headers.get("Content-Type")).toStartWith("text/event-stream");
  expect(response.headers.get("X-MLO-Cache")).toContain("retained=2");
  const events = await readEvents(response);
  expect(inference.lastRequest.whole).toBeUndefined();
  expect(events[0].sequence_number).toBe(0);
  expect(typesOf(events)).toEqual([
    "created",
    "in_progress",
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
    "completed",
  ]);
  const [created, , added] = events;
  expect(created.response).toMatchObject({ status: "in_progress", output: [], usage: null });
  expect(added.item).toMatchObject({ type: "message", status: "in_progress", content: [] });
  expect(events.filter(({ delta }) => delta).map(({ delta }) => delta)).toEqual(["Hel", "lo"]);
  const last = events.at(-1).response;
  expect(last.output).toEqual([events.at(-2).item]);
  expect(last).toMatchObject({ id: created.response.id, status: "completed", usage: { total_tokens: 10 } });
});

const THOUGHT = playEvents(
  { type: "delta", reasoning: "Hm" },
  { type: "delta", text: "Wait." },
  { type: "delta", toolCalls: [{ index: 0, id: "call_a", name: "f", arguments: "{" }] },
  { type: "delta", toolCalls: [{ index: 1, id: "call_b", name: "g" }] },
  { type: "delta", toolCalls: [{ index: 0, arguments: "}" }] },
  { ...DONE_EVENT, finishReason: "tool_calls" } as typeof DONE_EVENT,
);

test("reasoning, text and calls each have their own events and places", async () => {
  const { post, inference } = createTestApp();
  inference.script = THOUGHT;
  const events = await readEvents(await post(PATH, STREAM));
  expect(typesOf(events)).toEqual([
    "created",
    "in_progress",
    "output_item.added",
    "content_part.added",
    "reasoning_text.delta",
    "reasoning_text.done",
    "content_part.done",
    "output_item.done",
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
    "output_item.added",
    "function_call_arguments.delta",
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
    "function_call_arguments.done",
    "output_item.done",
    "completed",
  ]);
  const byType = (type: string): Json[] => events.filter((event) => event.type === `response.${type}`);
  expect(byType("output_item.added").map((event) => event.output_index)).toEqual([0, 1, 2, 3]);
  const calls = byType("function_call_arguments.delta");
  expect(calls.map((event) => [event.output_index, event.delta])).toEqual([
    [2, "{"],
    [2, "}"],
  ]);
  expect(byType("function_call_arguments.done").map((event) => event.arguments)).toEqual(["{}", ""]);
  expect(events.at(-1).response.output).toEqual(byType("output_item.done").map((event) => event.item));
});

test("a summary has its own events", async () => {
  const { post, inference } = createTestApp();
  inference.script = THOUGHT;
  const events = await readEvents(await post(PATH, { ...STREAM, reasoning: { summary: "auto" } }));
  expect(typesOf(events).slice(2, 8)).toEqual([
    "output_item.added",
    "reasoning_summary_part.added",
    "reasoning_summary_text.delta",
    "reasoning_summary_text.done",
    "reasoning_summary_part.done",
    "output_item.done",
  ]);
});

test("an answer that is cut ends with an event of its own", async () => {
  const { post, inference } = createTestApp();
  const cut = { ...DONE_EVENT, finishReason: "length" } as typeof DONE_EVENT;
  inference.script = playEvents({ type: "delta", text: "Hel" }, cut);
  const events = await readEvents(await post(PATH, STREAM));
  expect(events.at(-1)).toMatchObject({ type: "response.incomplete", response: { status: "incomplete" } });
});

test("a client that leaves frees its sequence, and nothing is stored", async () => {
  const { get, post, inference, clock } = createTestApp({ requestTimeoutMs: 60_000 });
  let returned = false;
  inference.script = async function* () {
    try {
      for (;;) yield { type: "delta", text: "x" };
    } finally {
      returned = true;
    }
  };
  const response = await post(PATH, STREAM);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const opening = new TextDecoder().decode((await reader.read()).value);
  await reader.cancel();
  await settle();
  expect(inference.generateCalls[0]?.signal.aborted).toBe(true);
  expect(returned).toBe(true);
  expect(clock.pendingTimers).toBe(0);
  const id = /"id":"(resp_\w+)"/.exec(opening)?.[1];
  expect((await get(`${PATH}/${id}`)).status).toBe(404);
});

test("silence is filled with comments", async () => {
  const { post, inference, clock } = createTestApp({ keepAliveMs: 1000 });
  const gate = Promise.withResolvers<void>();
  inference.script = async function* () {
    await gate.promise;
    yield DONE_EVENT;
  };
  const response = await post(PATH, STREAM);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  const silent = reader.read();
  await settle();
  clock.advance(1000);
  expect(new TextDecoder().decode((await silent).value)).toBe(": keep-alive\n\n");
  gate.resolve();
  let rest = "";
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    rest += new TextDecoder().decode(step.value);
  }
  expect(rest).toContain("response.completed");
});

test("the time limit ends a stream with a failure", async () => {
  const { post, inference, clock } = createTestApp({ requestTimeoutMs: 1000, keepAliveMs: 5000 });
  inference.script = () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) });
  const text = post(PATH, STREAM).then(readEvents);
  await settle();
  clock.advance(1000);
  expect((await text).at(-1)).toMatchObject({
    type: "response.failed",
    response: { error: { code: "server_error", message: expect.stringContaining("1000 ms") } },
  });
});

test("a stored response is streamed again, in the same order", async () => {
  const { get, post, inference } = createTestApp();
  inference.script = THOUGHT;
  const first = await readEvents(await post(PATH, STREAM));
  const { id } = first[0].response;
  const again = await readEvents(await get(`${PATH}/${id}?stream=true`));
  expect(again.at(-1).response).toEqual(first.at(-1).response);
  const order = (events: Json[]) => events.filter(({ item }) => item?.status === "completed").map(({ item }) => item);
  expect(order(again)).toEqual(order(first));
  const rest = await readEvents(await get(`${PATH}/${id}?stream=true&starting_after=3`));
  expect(rest).toEqual(again.slice(4));
  expect(await readJson(await get(`${PATH}/${id}?stream=false`))).toEqual(again.at(-1).response);
});
