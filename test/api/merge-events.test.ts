// The merge of several generations over sources that the test drives by hand.

import { describe, expect, test } from "bun:test";
import { MergedEvents } from "../../src/api/merge-events.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { GenerationEvent } from "../../src/protocol/generation.ts";
import { DONE_EVENT, playText } from "../support/fake-inference.ts";
import { settle } from "../support/http-app.ts";

const delta = (text: string): GenerationEvent => ({ type: "delta", text });

/** Counts what is asked of it, and answers when the test says so. */
class ManualSource implements AsyncIterable<GenerationEvent> {
  asked = 0;
  returned = 0;
  #waiting: PromiseWithResolvers<IteratorResult<GenerationEvent>>[] = [];

  emit(event: GenerationEvent): void {
    this.#waiting.shift()?.resolve({ done: false, value: event });
  }

  [Symbol.asyncIterator](): AsyncIterator<GenerationEvent> {
    return {
      next: () => {
        this.asked++;
        const answer = Promise.withResolvers<IteratorResult<GenerationEvent>>();
        this.#waiting.push(answer);
        return answer.promise;
      },
      return: async () => {
        this.returned++;
        return { done: true, value: undefined };
      },
    };
  }
}

function createMerge(count: number) {
  const sources = Array.from({ length: count }, () => new ManualSource());
  return { sources, merged: new MergedEvents(sources.map((source) => Promise.resolve(source))) };
}

const at = (sources: ManualSource[], index: number): ManualSource => {
  const source = sources[index];
  if (source === undefined) throw new Error(`there is no source ${index}`);
  return source;
};

async function readAll(merged: MergedEvents): Promise<string[]> {
  const seen: string[] = [];
  for (;;) {
    const step = await merged.next();
    if (step.done === true) return seen;
    const { choice, event } = step.value;
    seen.push(`${choice} ${event.type === "error" ? event.error.message : event.type}`);
  }
}

describe("a merge", () => {
  test("gives events in the order in which they come, with their choice", async () => {
    const { sources, merged } = createMerge(3);
    const first = merged.next();
    await settle();
    at(sources, 2).emit(delta("c"));
    at(sources, 0).emit(delta("a"));
    expect((await first).value).toEqual({ choice: 2, event: delta("c") });
    expect((await merged.next()).value).toEqual({ choice: 0, event: delta("a") });
    const third = merged.next();
    await settle();
    at(sources, 1).emit(DONE_EVENT);
    expect((await third).value).toEqual({ choice: 1, event: DONE_EVENT });
  });

  test("asks nobody before it is asked, and holds one event of each at most", async () => {
    const { sources, merged } = createMerge(2);
    await settle();
    expect(sources.map(({ asked }) => asked)).toEqual([0, 0]);
    const first = merged.next();
    await settle();
    for (const source of sources) for (let event = 0; event < 3; event++) source.emit(delta("x"));
    await first;
    await settle();
    expect(sources.map(({ asked }) => asked)).toEqual([1, 1]);
    await merged.next();
    await settle();
    // The first of them gave its event to the reader, so it alone was asked again.
    expect(sources.map(({ asked }) => asked)).toEqual([2, 1]);
  });

  test("a fast choice does not keep out a slow one", async () => {
    async function* rush(): AsyncIterable<GenerationEvent> {
      for (;;) yield delta("fast");
    }
    const merged = new MergedEvents([Promise.resolve(rush()), Promise.resolve(rush())]);
    const seen: number[] = [];
    for (let event = 0; event < 100; event++) seen.push((await merged.next()).value.choice);
    expect(seen.filter((choice) => choice === 1)).toHaveLength(50);
  });

  test("a choice has ended with its terminal event; the merge has when all have", async () => {
    const script = playText("a", "b");
    const sources = [0, 1].map(async () => script({} as never, new AbortController().signal));
    const seen = await readAll(new MergedEvents(sources));
    expect(seen.filter((line) => line.endsWith("done")).sort()).toEqual(["0 done", "1 done"]);
    expect(seen).toHaveLength(8);
  });

  test("a source that throws, breaks off, or never begins is an error of its choice alone", async () => {
    const one = (events: GenerationEvent[], thrown?: Error) =>
      (async function* () {
        yield* events;
        if (thrown !== undefined) throw thrown;
      })();
    const refused = Promise.reject(new AppError({ code: "overloaded", message: "no place" }));
    const merged = new MergedEvents([
      Promise.resolve(one([DONE_EVENT])),
      Promise.resolve(one([], new Error("surprise"))),
      Promise.resolve(one([])),
      refused,
    ]);
    // A refusal that nobody has asked for yet is no unhandled rejection.
    await settle();
    expect((await readAll(merged)).sort()).toEqual([
      "0 done",
      "1 surprise",
      "2 the generation broke off",
      "3 no place",
    ]);
  });

  test("return ends every source, also one that begins later, and one that was refused", async () => {
    const late = Promise.withResolvers<ManualSource>();
    const [early, later] = [new ManualSource(), new ManualSource()];
    const merged = new MergedEvents([Promise.resolve(early), late.promise, Promise.reject(new Error("refused"))]);
    void merged.next();
    const returned = merged.return();
    await settle();
    expect([early.returned, later.returned]).toEqual([1, 0]);
    late.resolve(later);
    await returned;
    expect(later.returned).toBe(1);
  });
});
