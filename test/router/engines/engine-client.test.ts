// An engine from the server's side: accepted or refused once, paused while the reader lags, ended exactly once
// whoever goes first.

import { describe, expect, test } from "bun:test";
import { AppError } from "../../../src/protocol/errors.ts";
import type { GenerationEvent, GenerationRequest } from "../../../src/protocol/generation.ts";
import type { FromEngine, ToEngine } from "../../../src/protocol/messages.ts";
import { packTextAnswer } from "../../../src/protocol/text-question.ts";
import { type Accepted, EngineClient } from "../../../src/router/engines/engine-client.ts";

const REQUEST: GenerationRequest = { prompt: { kind: "text", text: "hi" }, sampling: {}, stop: [] };
const DONE: GenerationEvent = {
  type: "done",
  finishReason: "stop",
  usage: { promptTokens: 1, completionTokens: 1, cachedTokens: 0 },
  cache: { live: 0, retained: 0, disk: 0 },
  timings: { queuedMs: 0, promptMs: 0, decodeMs: 0 },
};
const CRASH = new AppError({ code: "engine_crashed", message: "The engine of demo was ended by SIGKILL." });

/** A signal that says how many listen to it. */
function countListeners(): { signal: AbortSignal; count: () => number } {
  const { signal } = new AbortController();
  let count = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    count++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    count--;
    removeEventListener.apply(signal, args);
  };
  return { signal, count: () => count };
}

/** A client whose engine is the test. */
class Script {
  readonly sent: ToEngine[] = [];
  readonly client = new EngineClient((message) => void this.sent.push(message));

  tell(message: FromEngine, payload = new Uint8Array(0)): void {
    this.client.receive({ message, payload });
  }

  events(id: number, ...events: GenerationEvent[]): void {
    this.tell({ type: "events", events: events.map((event): [number, GenerationEvent] => [id, event]) });
  }

  deltas(id: number, count: number): void {
    this.events(id, ...Array.from({ length: count }, (_, i): GenerationEvent => ({ type: "delta", text: `${i} ` })));
  }

  types(): string[] {
    return this.sent.map((message) => message.type);
  }

  async accepted(signal = new AbortController().signal): Promise<Accepted> {
    const accepting = this.client.generate(REQUEST, signal);
    const id = (this.sent.at(-1) as { id: number }).id;
    this.events(id, { type: "started", promptTokens: 3, cache: { live: 1, retained: 0, disk: 0 } });
    return await accepting;
  }
}

async function readAll(events: AsyncIterable<GenerationEvent>): Promise<GenerationEvent[]> {
  const all: GenerationEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

/** The code of what a promise rejects with. */
async function rejection(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "resolved";
  } catch (thrown) {
    return thrown instanceof AppError ? thrown.code : String(thrown);
  }
}

describe("a generation", () => {
  test("resolves when it starts, and gives its events in order", async () => {
    const script = new Script();
    const accepted = await script.accepted();
    expect(accepted).toMatchObject({ promptTokens: 3, cache: { live: 1 } });
    expect(script.sent).toEqual([{ type: "generate", id: 1, request: REQUEST }]);
    script.events(1, { type: "delta", text: "a" }, { type: "delta", text: "b" });
    script.events(1, DONE);
    expect(await readAll(accepted.events)).toEqual([{ type: "delta", text: "a" }, { type: "delta", text: "b" }, DONE]);
    expect(script.client.openCount).toBe(0);
  });

  test("rejects with the engine's refusal", async () => {
    const script = new Script();
    const accepting = script.client.generate(REQUEST, new AbortController().signal);
    script.events(1, {
      type: "error",
      error: { code: "context_length_exceeded", message: "too long", hint: "Shorten." },
    });
    expect(await rejection(accepting)).toBe("context_length_exceeded");
    expect(script.client.openCount).toBe(0);
  });

  test("that can't be sent is not open", async () => {
    const client = new EngineClient(() => {
      throw new RangeError("over the frame limit");
    });
    const { signal } = new AbortController();
    expect(await rejection(client.generate(REQUEST, signal))).toContain("over the frame limit");
    expect(await rejection(client.embed(["a"], signal))).toContain("over the frame limit");
    expect(client.openCount).toBe(0);
  });

  test("leaves nothing on its client's signal, however it ends", async () => {
    const { signal, count } = countListeners();
    const script = new Script();
    await script.accepted(signal);
    const refused = script.client.generate(REQUEST, signal);
    script.client.generate(REQUEST, signal).catch(() => {
      // The engine dies under it.
    });
    expect(count()).toBe(3);
    script.events(1, DONE);
    script.events(2, { type: "error", error: { code: "invalid_request", message: "no" } });
    expect([await rejection(refused), count()]).toEqual(["invalid_request", 1]);
    script.client.fail(CRASH);
    expect(count()).toBe(0);
    const client = new EngineClient(() => {
      throw new RangeError("over the frame limit");
    });
    await rejection(client.generate(REQUEST, signal));
    expect(count()).toBe(0);
  });

  test("requests do not mix", async () => {
    const script = new Script();
    const [first, second] = [await script.accepted(), await script.accepted()];
    script.tell({
      type: "events",
      events: [
        [2, { type: "delta", text: "two" }],
        [1, { type: "delta", text: "one" }],
        [2, DONE],
        [1, DONE],
      ],
    });
    expect(await readAll(first.events)).toEqual([{ type: "delta", text: "one" }, DONE]);
    expect(await readAll(second.events)).toEqual([{ type: "delta", text: "two" }, DONE]);
  });
});

describe("a reader that lags", () => {
  test("is waited for sooner where many log probabilities come", async () => {
    const script = new Script();
    const { events } = await script.accepted();
    const top = Array.from({ length: 20 }, (_, i): [string, number] => [`${i}`, -i]);
    const scores = Array.from({ length: 64 }, (_, offset) => ({ text: "x", offset, logprob: -1, top }));
    // Each weighs as much as 43 events.
    for (let i = 0; i < 5; i++) script.events(1, { type: "delta", scores });
    expect(script.types()).toEqual(["generate"]);
    script.events(1, { type: "delta", scores });
    expect(script.types()).toEqual(["generate", "pause"]);
    const reader = events[Symbol.asyncIterator]();
    for (let read = 0; read < 4; read++) await reader.next();
    expect(script.types()).toEqual(["generate", "pause"]);
    await reader.next();
    expect(script.types()).toEqual(["generate", "pause", "resume"]);
  });

  test("pauses its sequence once, and resumes it once when it has caught up", async () => {
    const script = new Script();
    const { events } = await script.accepted();
    script.deltas(1, 255);
    expect(script.types()).toEqual(["generate"]);
    script.deltas(1, 20);
    expect(script.types()).toEqual(["generate", "pause"]);
    const reader = events[Symbol.asyncIterator]();
    for (let read = 0; read < 275 - 65; read++) await reader.next();
    expect(script.types()).toEqual(["generate", "pause"]);
    await reader.next();
    expect(script.types()).toEqual(["generate", "pause", "resume"]);
    script.deltas(1, 200);
    expect(script.types()).toEqual(["generate", "pause", "resume", "pause"]);
  });

  test("gets the end although it was paused, and nothing is resumed then", async () => {
    const script = new Script();
    const { events } = await script.accepted();
    script.deltas(1, 300);
    script.events(1, DONE);
    expect((await readAll(events)).at(-1)).toEqual(DONE);
    expect(script.types()).toEqual(["generate", "pause"]);
  });
});

describe("leaving", () => {
  test("an abort before it is sent sends nothing", async () => {
    const script = new Script();
    expect(await rejection(script.client.generate(REQUEST, AbortSignal.abort()))).toBe("cancelled");
    expect(await rejection(script.client.embed(["a"], AbortSignal.abort()))).toBe("cancelled");
    expect(script.sent).toEqual([]);
  });

  test("an abort before it starts rejects and cancels", async () => {
    const script = new Script();
    const controller = new AbortController();
    const accepting = script.client.generate(REQUEST, controller.signal);
    controller.abort();
    expect(await rejection(accepting)).toBe("cancelled");
    expect(script.types()).toEqual(["generate", "cancel"]);
    expect(script.client.openCount).toBe(0);
  });

  test("an abort in the middle ends the events with `cancelled`; what comes late is dropped", async () => {
    const script = new Script();
    const controller = new AbortController();
    const { events } = await script.accepted(controller.signal);
    script.deltas(1, 1);
    controller.abort();
    script.deltas(1, 5);
    script.events(1, { type: "cancelled" });
    script.events(1, DONE);
    expect(await readAll(events)).toEqual([{ type: "delta", text: "0 " }, { type: "cancelled" }]);
    expect(script.types()).toEqual(["generate", "cancel"]);
  });

  test("a reader that breaks off cancels, once", async () => {
    const script = new Script();
    const controller = new AbortController();
    const { events } = await script.accepted(controller.signal);
    script.deltas(1, 2);
    for await (const _ of events) break;
    controller.abort();
    script.deltas(1, 2);
    expect(script.types()).toEqual(["generate", "cancel"]);
    expect(script.client.openCount).toBe(0);
  });

  test("an abort after the end does nothing", async () => {
    const script = new Script();
    const controller = new AbortController();
    const { events } = await script.accepted(controller.signal);
    script.events(1, DONE);
    await readAll(events);
    controller.abort();
    expect(script.types()).toEqual(["generate"]);
  });
});

describe("embeddings and stats", () => {
  test("vectors come out of the payload, wherever it begins", async () => {
    const script = new Script();
    const embedding = script.client.embed(["a", "b"], new AbortController().signal);
    const payload = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
    script.tell({ type: "embeddings", id: 1, count: 2, dimensions: 3, promptTokens: 7 }, payload);
    const { vectors, dimensions, promptTokens } = await embedding;
    expect([vectors.map((vector) => [...vector]), dimensions, promptTokens]).toEqual([
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      3,
      7,
    ]);
    expect(script.client.openCount).toBe(0);
  });

  test("a refusal rejects, an abort cancels, and a late answer is dropped", async () => {
    const script = new Script();
    const refused = script.client.embed(["a"], new AbortController().signal);
    script.tell({ type: "refused", id: 1, error: { code: "invalid_request", message: "input[0] is empty." } });
    expect(await rejection(refused)).toBe("invalid_request");
    const controller = new AbortController();
    const left = script.client.embed(["a"], controller.signal);
    controller.abort();
    expect(await rejection(left)).toBe("cancelled");
    expect(script.types()).toEqual(["embed", "embed", "cancel"]);
    script.tell({ type: "embeddings", id: 2, count: 0, dimensions: 0, promptTokens: 0 });
    expect(script.client.openCount).toBe(0);
  });

  test("a text's tokens and a text come out of the payload, wherever it begins", async () => {
    const script = new Script();
    const { signal } = new AbortController();
    const asked = script.client.tell({ ask: "text", tokens: [1] }, signal);
    script.tell({ type: "told", id: 1, tokens: null, pieces: null }, Buffer.from("xhi").subarray(1));
    expect(await asked).toEqual({ kind: "text", text: Buffer.from("hi") });
    const content = ["a"];
    const question = { ask: "tokens", content, addSpecial: false, parseSpecial: true, withPieces: true } as const;
    const listed = script.client.tell({ ...question, content }, signal);
    const answer = {
      kind: "tokens",
      tokens: Int32Array.of(7, 8),
      pieces: [Buffer.from("a"), Buffer.from("bc")],
    } as const;
    const { head, payload } = packTextAnswer({ ...answer, pieces: [...answer.pieces] });
    script.tell({ type: "told", id: 2, ...head }, Buffer.concat([Buffer.of(0), payload]).subarray(1));
    expect(await listed).toEqual({ ...answer, pieces: [...answer.pieces] });
    expect(script.client.openCount).toBe(0);
  });

  test("stats are no request", async () => {
    const script = new Script();
    const asking = script.client.stats();
    expect(script.client.openCount).toBe(0);
    const stats = { waiting: 0, running: 1, paused: 0 } as never;
    script.tell({ type: "stats", id: 1, stats });
    expect(await asking).toEqual(stats);
  });
});

describe("questions that are no requests", () => {
  test("each gets its own answer, and falling idle is about requests alone", async () => {
    const script = new Script();
    let idle = 0;
    script.client.onIdle = () => {
      idle += 1;
    };
    const [cache, flush] = [script.client.cache(), script.client.flush()];
    expect(script.sent).toEqual([
      { type: "cache", id: 1 },
      { type: "flush", id: 2 },
    ]);
    script.tell({ type: "flushed", id: 2 });
    await flush;
    script.tell({ type: "cache", id: 1, entries: [] });
    expect(await cache).toEqual([]);
    expect(idle).toBe(0);
  });

  test("idle is said once the last request has ended, however it ended", async () => {
    const script = new Script();
    let idle = 0;
    script.client.onIdle = () => {
      idle += 1;
    };
    await script.accepted();
    const embedding = script.client.embed(["a"], new AbortController().signal);
    script.events(1, DONE);
    expect(idle).toBe(0);
    script.tell({ type: "refused", id: 2, error: { code: "invalid_request", message: "no" } });
    await rejection(embedding);
    expect(idle).toBe(1);
    const controller = new AbortController();
    await script.accepted(controller.signal);
    controller.abort();
    expect(idle).toBe(2);
  });
});

describe("the engine's death", () => {
  test("ends every open request with `engine_crashed`, once, and refuses new ones", async () => {
    const script = new Script();
    const { events } = await script.accepted();
    script.deltas(1, 2);
    const waiting = script.client.generate(REQUEST, new AbortController().signal);
    const embedding = script.client.embed(["a"], new AbortController().signal);
    const stats = script.client.stats();
    const outcomes = Promise.all([rejection(waiting), rejection(embedding), rejection(stats)]);
    script.client.fail(CRASH);
    script.client.fail(CRASH);
    script.events(1, DONE);
    expect(await outcomes).toEqual(["engine_crashed", "engine_crashed", "engine_crashed"]);
    const told = await readAll(events);
    expect(told.map((event) => event.type)).toEqual(["delta", "delta", "error"]);
    expect(told.at(-1)).toEqual({ type: "error", error: CRASH.toBody() });
    expect(await rejection(script.client.generate(REQUEST, new AbortController().signal))).toBe("engine_crashed");
    expect(script.client.openCount).toBe(0);
  });
});
