// GET /api/events over the real bus: frames, topics, readers that leave and those that do not read.

import { describe, expect, test } from "bun:test";
import { createTestApp, type Json, readError, settle, type TestApp } from "../support/http-app.ts";

interface Frame {
  event: string;
  data: Json;
}

/** Reads what is there, frame by frame; comments are left out. */
class FrameReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly comments: string[] = [];
  #text = "";

  constructor(response: Response) {
    this.#reader = (response.body as ReadableStream<Uint8Array>).getReader();
  }

  async next(): Promise<Frame | null> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end === -1) {
        const { done, value } = await this.#reader.read();
        if (done) return null;
        this.#text += new TextDecoder().decode(value);
        continue;
      }
      const block = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 2);
      if (block.startsWith(":")) this.comments.push(block);
      else return parse(block);
    }
  }

  leave(): Promise<void> {
    return this.#reader.cancel();
  }
}

function parse(block: string): Frame {
  const field = (name: string) =>
    block
      .split("\n")
      .find((line) => line.startsWith(`${name}: `))
      ?.slice(name.length + 2);
  const data = JSON.parse(field("data") ?? "null");
  if (data.seq !== undefined && field("id") !== String(data.seq)) throw new Error(`the id is not the number: ${block}`);
  return { event: field("event") ?? "", data };
}

async function listen({ get }: TestApp, query = ""): Promise<FrameReader> {
  const response = await get(`/api/events${query}`);
  expect([response.status, response.headers.get("Content-Type")]).toEqual([200, "text/event-stream; charset=utf-8"]);
  return new FrameReader(response);
}

describe("events", () => {
  test("come as they happen, named after their topics", async () => {
    const app = createTestApp();
    const reader = await listen(app);
    app.events.publish("models", { type: "listed", id: "a" });
    app.events.publish("convert", { id: "j" });
    const time = app.clock.wallMs();
    expect(await reader.next()).toEqual({
      event: "models",
      data: { topic: "models", seq: 1, time, data: { type: "listed", id: "a" } },
    });
    expect(await reader.next()).toMatchObject({ event: "convert", data: { seq: 2, data: { id: "j" } } });
    expect(reader.comments).toEqual([": listening"]);
    await reader.leave();
  });

  test("are those of the topics that were asked for", async () => {
    const app = createTestApp();
    const reader = await listen(app, "?topics=download,%20models");
    app.events.publish("convert", {});
    app.events.publish("download", { asked: "x" });
    expect((await reader.next())?.data).toMatchObject({ topic: "download", seq: 2 });
    await reader.leave();
  });

  test("an unknown topic is refused with the ones that there are", async () => {
    const response = await createTestApp().get("/api/events?topics=models,weather");
    const { error } = (await response.clone().json()) as Json;
    expect(await readError(response)).toEqual({ status: 400, code: "invalid_request", param: "topics" });
    expect([error.message, error.hint]).toEqual([
      '`topics` has "weather", which is no topic',
      "Topics are convert, download, hardware, models.",
    ]);
  });

  test("silence is broken by comments", async () => {
    const app = createTestApp();
    const reader = await listen(app);
    const next = reader.next();
    await settle();
    app.clock.advance(40_000);
    app.events.publish("models", {});
    await next;
    expect(reader.comments).toEqual([": listening", ": keep-alive", ": keep-alive"]);
    await reader.leave();
  });
});

describe("readers", () => {
  test("who leaves makes room", async () => {
    const app = createTestApp();
    const readers: FrameReader[] = [];
    for (let n = 0; n < 64; n++) readers.push(await listen(app));
    expect(await readError(await app.get("/api/events"))).toMatchObject({ status: 503, code: "overloaded" });
    await readers[0]?.leave();
    await (await listen(app)).leave();
    for (const reader of readers) await reader.leave();
    expect(app.events.hasReaders("models")).toBe(false);
  });

  test("who does not read is told what is lost", async () => {
    const app = createTestApp();
    const reader = await listen(app);
    await settle();
    for (let n = 1; n <= 1_000; n++) app.events.publish("models", { n });
    const frames: (Frame | null)[] = [await reader.next()];
    while ((frames.at(-1)?.data.seq ?? 0) < 1_000) frames.push(await reader.next());
    const lost = frames.filter((frame) => frame?.event === "lost").reduce((sum, frame) => sum + frame?.data.lost, 0);
    const got = frames.filter((frame) => frame?.event === "models").length;
    expect([lost + got, lost > 500]).toEqual([1_000, true]);
    await reader.leave();
  });
});
