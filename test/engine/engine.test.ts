// The engine over the fake backend: every request ends once and as if it were alone, in whatever company and
// whatever happens to it, and nothing stays behind.

import { describe, expect, test } from "bun:test";
import { AssertionFailed } from "../../src/lib/assert.ts";
import type { GenerationRequest } from "../../src/protocol/generation.ts";
import { EngineRun, outcome, runAlone } from "../support/engine-run.ts";
import type { FakeOptions } from "../support/fake-options.ts";

const WORDS = ["the fox", "a lazy dog jumps", "one two three four five six", "é", "hello there general kenobi"];

function request(seed: number, changes: Partial<GenerationRequest> = {}): GenerationRequest {
  const text = `${WORDS[seed % WORDS.length]} ${"x".repeat(seed % 40)}`;
  const sampling = seed % 2 === 0 ? { temperature: 0 } : { temperature: 1, seed };
  return { prompt: { kind: "text", text }, sampling, maxTokens: 30, stop: [], ...changes };
}

const endless = (seed: number, changes: Partial<GenerationRequest> = {}): GenerationRequest =>
  request(seed, { sampling: { temperature: 0, ignoreEos: true }, ...changes });

/** An engine that has run these requests to a first piece of text of each. */
function running(options: FakeOptions, ...requests: GenerationRequest[]): EngineRun {
  const run = new EngineRun(options);
  for (const [i, one] of requests.entries()) run.generate(i + 1, one);
  for (let i = 0; i < 3; i++) run.step();
  return run;
}

describe("many requests", () => {
  test.each([
    [{ parallel: 1, batchSize: 8 }],
    [{ parallel: 4, batchSize: 32 }],
    [{ parallel: 8, batchSize: 5 }],
    [{ parallel: 4, batchSize: 32, contextLength: 90 }],
  ] as [FakeOptions][])("end as if alone, with %j", (options) => {
    using run = new EngineRun(options);
    const requests = Array.from({ length: 25 }, (_, i) => request(i));
    for (const [i, one] of requests.entries()) run.generate(i, one);
    run.settle();
    for (const [i, one] of requests.entries()) expect(outcome(run.story(i))).toEqual(outcome(runAlone(one)));
    run.checkEmpty();
  });

  test("share one batch and one message a step", () => {
    using run = running({ parallel: 3 }, endless(0), endless(1), endless(2));
    run.messages = [];
    const before = run.backend.decodeCalls;
    run.step();
    expect(run.backend.decodeCalls).toBe(before + 1);
    expect(run.messages).toHaveLength(1);
  });

  test("begin in order of arrival, except that a slow prompt keeps nobody", () => {
    const polls = [5, 0, 0, 0];
    using run = new EngineRun({ parallel: 1, taskPolls: () => polls.shift() ?? 0 });
    for (const id of [1, 2, 3]) run.generate(id, request(id, { maxTokens: 3 }));
    const ends: number[] = [];
    for (let i = 0; i < 40; i++) {
      run.step();
      for (const [id, story] of run.stories) if (story.end !== null && !ends.includes(id)) ends.push(id);
    }
    expect(ends).toEqual([2, 1, 3]);
  });

  test("are told how long they waited and worked", () => {
    using run = new EngineRun({ parallel: 1 });
    run.generate(1, endless(0, { maxTokens: 10 }));
    run.generate(2, endless(1, { maxTokens: 10 }));
    run.settle();
    expect(run.story(1).end).toMatchObject({ timings: { queuedMs: 1, promptMs: 0, decodeMs: 9 } });
    expect(run.story(2).end).toMatchObject({ timings: { queuedMs: 11, promptMs: 0, decodeMs: 9 } });
  });
});

describe("an answer", () => {
  test("ends at a stop string, which is not part of it", () => {
    const whole = runAlone(endless(2, { maxTokens: 60 }));
    const stop = whole.text.slice(20, 23);
    const cut = runAlone(endless(2, { maxTokens: 60, stop: [stop, "never there"] }));
    expect(cut.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)));
    expect(cut.end).toMatchObject({ type: "done", finishReason: "stop", stopString: stop });
  });

  test("ends with `length` at its limit and at the context's", () => {
    const limited = runAlone(endless(3, { maxTokens: 7 }));
    expect(limited.end).toMatchObject({ finishReason: "length", usage: { completionTokens: 7 } });
    using run = new EngineRun({ contextLength: 64 });
    const { maxTokens: _, ...unlimited } = endless(0);
    run.generate(1, unlimited);
    run.settle();
    expect(run.story(1).end).toMatchObject({
      finishReason: "length",
      usage: { promptTokens: 8, completionTokens: 56, cachedTokens: 0 },
    });
  });

  test("goes through the parser when the prompt needs one", () => {
    const chat = request(0, { prompt: { kind: "chat", messages: [{ role: "user", content: "hello" }] } });
    const alone = runAlone(chat);
    expect(alone.end).toMatchObject({ type: "done" });
    expect(alone.text.length).toBeGreaterThan(0);
  });
});

describe("refusals", () => {
  test("a prompt that does not fit is told both numbers", () => {
    using run = new EngineRun({ contextLength: 64, sequenceContextLength: 20 });
    run.generate(1, request(0, { prompt: { kind: "text", text: "x".repeat(20) } }));
    run.generate(2, request(0, { prompt: { kind: "text", text: "x".repeat(19) } }));
    run.settle();
    const { end, events } = run.story(1);
    expect(events).toHaveLength(1);
    expect(end).toMatchObject({ type: "error", error: { code: "context_length_exceeded" } });
    expect(JSON.stringify(end)).toMatch(/has 20 tokens and the context holds 20/);
    expect(run.story(2).end).toMatchObject({ type: "done", usage: { completionTokens: 1 } });
    run.checkEmpty();
  });

  test.each([
    ["prompt", "invalid_request"],
    ["sampler", "invalid_request"],
    ["parser", "invalid_request"],
  ] as const)("a failing %s refuses that request alone", (fault, code) => {
    using run = new EngineRun();
    const chat = request(0, { prompt: { kind: "chat", messages: [{ role: "user", content: "hi" }] } });
    run.backend.faults[fault] = () => "told to fail";
    run.generate(1, chat);
    run.step();
    run.backend.faults = {};
    run.generate(2, chat);
    run.settle();
    expect(run.story(1).events).toEqual([
      { type: "error", error: { code, message: "told to fail", hint: expect.any(String) } },
    ]);
    expect(run.story(2).end?.type).toBe("done");
    run.checkEmpty();
  });

  test("an empty prompt is refused", () => {
    using run = new EngineRun();
    run.generate(1, request(0, { prompt: { kind: "tokens", tokens: [] } }));
    run.settle();
    expect(run.story(1).end).toMatchObject({ type: "error", error: { code: "invalid_request" } });
    run.checkEmpty();
  });

  test("a model that only embeds does not generate", () => {
    using run = new EngineRun({ canGenerate: false });
    run.generate(1, request(0));
    run.settle();
    expect(run.story(1).end).toMatchObject({ type: "error", error: { code: "not_supported" } });
    run.checkEmpty();
  });

  test("an id that is open can't be used again", () => {
    using run = new EngineRun();
    run.generate(1, request(0));
    expect(() => run.generate(1, request(0))).toThrow(AssertionFailed);
  });
});

describe("cancelling", () => {
  const states: [string, (run: EngineRun) => void][] = [
    ["before its prompt is looked at", () => {}],
    ["while its prompt is prepared", (run) => run.step()],
    ["while it runs", (run) => Array.from({ length: 6 }, () => run.step())],
    [
      "while it is paused",
      (run) => {
        for (let i = 0; i < 6; i++) run.step();
        run.send("pause", 2);
        run.step();
      },
    ],
    [
      "while it is paused before its prompt is ready",
      (run) => {
        run.step();
        run.send("pause", 2);
      },
    ],
  ];

  test.each(states)("%s", (_name, reach) => {
    using run = new EngineRun({ taskPolls: () => 3 });
    run.generate(1, endless(0));
    run.generate(2, endless(1, { maxTokens: 100 }));
    reach(run);
    run.send("cancel", 2);
    expect(run.story(2).end).toEqual({ type: "cancelled" });
    run.checkAlways();
    run.send("cancel", 2);
    run.settle();
    expect(outcome(run.story(1))).toEqual(outcome(runAlone(endless(0))));
    run.checkEmpty();
  });

  test("while it waits for a place", () => {
    using run = running({ parallel: 1 }, endless(0), endless(1));
    expect(run.engine.stats()).toMatchObject({ waiting: 1, running: 1 });
    run.send("cancel", 2);
    expect(run.story(2).end).toEqual({ type: "cancelled" });
    run.settle();
    expect(run.story(1).end?.type).toBe("done");
    run.checkEmpty();
  });

  test("while it embeds", () => {
    using run = new EngineRun({ taskPolls: () => 2 });
    run.embed(1, ["one", "two", "three", "four", "five"]);
    run.embed(2, ["six"]);
    run.step();
    run.send("cancel", 1);
    run.settle();
    expect([...run.embeddings.keys()]).toEqual([2]);
    run.checkEmpty();
  });

  test("what is not known or has ended is harmless", () => {
    using run = running({}, request(0));
    run.settle();
    for (const type of ["cancel", "pause", "resume"] as const) {
      run.send(type, 1);
      run.send(type, 99);
    }
    run.settle();
    run.checkEmpty();
  });
});

describe("pausing", () => {
  test("keeps the sequence as it is, until it goes on as if nothing had been", () => {
    using run = running({}, endless(0), endless(1));
    run.send("pause", 1);
    const before = run.story(1).events.length;
    run.settle();
    expect(run.story(1).events).toHaveLength(before);
    expect(run.story(2).end?.type).toBe("done");
    expect(run.engine.stats()).toMatchObject({ running: 1, paused: 1 });
    expect(run.engine.restMs).toBeGreaterThan(0);
    run.send("resume", 1);
    run.settle();
    expect(outcome(run.story(1))).toEqual(outcome(runAlone(endless(0))));
    run.checkEmpty();
  });

  test("before the prompt is ready holds it back, and a resume takes that back", () => {
    using run = new EngineRun({ taskPolls: () => 3 });
    run.generate(1, endless(0));
    run.generate(2, endless(1));
    run.send("pause", 1);
    run.send("pause", 2);
    run.send("resume", 2);
    run.settle();
    expect(run.story(1).events).toEqual([]);
    expect(run.story(2).end?.type).toBe("done");
    run.send("resume", 1);
    run.settle();
    expect(outcome(run.story(1))).toEqual(outcome(runAlone(endless(0))));
    run.checkEmpty();
  });
});

test("a reader who is behind gives its place to those who wait, and gets it back", () => {
  using run = running({ parallel: 1 }, endless(0));
  run.send("pause", 1);
  run.generate(2, endless(1));
  for (let i = 0; i < 60; i++) run.step();
  expect(run.story(2).end?.type).toBe("done");
  expect(run.story(1).end).toBeNull();
  run.send("resume", 1);
  run.settle();
  expect(outcome(run.story(1))).toEqual(outcome(runAlone(endless(0))));
  run.checkEmpty();
});

describe("a small cache", () => {
  test("a sequence that has to leave goes on where it was", () => {
    const options = { contextLength: 64, parallel: 4 };
    using run = new EngineRun(options);
    const requests = [3, 5, 7, 9].map((seed) => request(seed, { maxTokens: 40, sampling: { temperature: 1, seed } }));
    const plain = requests.map((one) => ({ ...one, sampling: { ...one.sampling, ignoreEos: true } }));
    let evictions = 0;
    for (const [i, one] of plain.entries()) run.generate(i, one);
    let ran = 0;
    while (run.engine.restMs === 0 || ran < 3) {
      const before = run.engine.stats().running;
      run.step();
      const { running: after, waiting } = run.engine.stats();
      if (after < before && waiting > 0 && [...run.stories.values()].every((story) => story.end === null)) evictions++;
      ran++;
    }
    expect(evictions).toBeGreaterThan(0);
    const expected = plain.map((one) => outcome(runAlone(one, { sequenceContextLength: 64 })));
    expect([0, 1, 2, 3].map((id) => outcome(run.story(id)))).toEqual(expected);
    run.checkEmpty();
  });

  test("a paused sequence leaves first", () => {
    using run = running({ contextLength: 64, parallel: 2 }, endless(0, { maxTokens: 50 }), endless(2));
    run.send("pause", 1);
    for (let i = 0; i < 60; i++) run.step();
    expect(run.story(2).end?.type).toBe("done");
    run.send("resume", 1);
    run.settle();
    const alone = runAlone(endless(0, { maxTokens: 50 }), { sequenceContextLength: 64 });
    expect(outcome(run.story(1))).toEqual(outcome(alone));
    run.checkEmpty();
  });

  test("a backend that is full earlier than our count is obeyed", () => {
    using run = running({}, endless(0), endless(1));
    let full = 1;
    run.backend.faults.decode = () => (full-- > 0 ? "full" : null);
    run.settle();
    for (const id of [1, 2]) expect(outcome(run.story(id))).toEqual(outcome(runAlone(endless(id - 1))));
    run.checkEmpty();
  });

  test("the last one ends with out_of_memory when the backend stays full", () => {
    using run = running({}, endless(0), endless(1));
    run.backend.faults.decode = () => "full";
    run.settle();
    for (const id of [1, 2]) expect(run.story(id).end).toMatchObject({ error: { code: "out_of_memory" } });
    run.checkEmpty();
  });
});

describe("failures", () => {
  test("a decode that throws ends the sequences of its batch alone", () => {
    using run = running({ parallel: 2 }, endless(0), endless(1), endless(2));
    let broken = true;
    run.backend.faults.decode = () => {
      const message = broken ? "the device is lost" : null;
      broken = false;
      return message;
    };
    run.settle();
    for (const id of [1, 2]) {
      expect(run.story(id).end).toMatchObject({ error: { code: "internal", message: "the device is lost" } });
    }
    expect(outcome(run.story(3))).toEqual(outcome(runAlone(endless(2))));
    run.checkEmpty();
  });

  test("an aborted decode runs again", () => {
    using run = running({}, endless(0));
    let aborts = 2;
    run.backend.faults.decode = () => (aborts-- > 0 ? "aborted" : null);
    run.settle();
    expect(outcome(run.story(1))).toEqual(outcome(runAlone(endless(0))));
  });

  test("sampling that throws ends those who were sampled, not a prompt that is still read", () => {
    using run = running({ batchSize: 8 }, endless(0));
    run.generate(2, endless(1, { prompt: { kind: "text", text: "x".repeat(60) } }));
    run.step();
    let broken = true;
    run.backend.faults.sample = () => {
      const message = broken ? "the grammar is stuck" : null;
      broken = false;
      return message;
    };
    run.settle();
    expect(run.story(1).end).toMatchObject({ error: { code: "internal", message: "the grammar is stuck" } });
    expect(run.story(2).end?.type).toBe("done");
    run.checkEmpty();
  });

  test("a sampler that gets stuck ends its own request alone", () => {
    using run = running({}, endless(0), endless(1, { sampling: { temperature: 0, ignoreEos: true, grammar: "x" } }));
    run.backend.faults.pick = ({ grammar }) => (grammar === undefined ? null : "the grammar is stuck");
    run.settle();
    expect(run.story(2).end).toMatchObject({ error: { code: "internal", message: "the grammar is stuck" } });
    expect(outcome(run.story(1))).toEqual(outcome(runAlone(endless(0))));
    run.checkEmpty();
  });

  test("a parser that throws ends its own request", () => {
    using run = new EngineRun();
    run.backend.faults.parse = () => "the answer does not parse";
    run.generate(1, endless(0, { prompt: { kind: "chat", messages: [{ role: "user", content: "hi" }] } }));
    run.generate(2, endless(1));
    run.settle();
    expect(run.story(1).end).toMatchObject({ error: { code: "internal", message: "the answer does not parse" } });
    expect(outcome(run.story(2))).toEqual(outcome(runAlone(endless(1))));
    run.checkEmpty();
  });

  test("a disposed engine leaves nothing, whatever went on", () => {
    const run = running({ parallel: 1, taskPolls: () => 1 }, endless(0), endless(1));
    run.generate(3, endless(2));
    run.embed(4, ["a"]);
    run.step();
    run.engine[Symbol.dispose]();
    expect(Object.values(run.backend.liveHandles())).toEqual([0, 0, 0, 0, 0]);
  });
});

describe("embeddings", () => {
  test("are answered in order, in several batches, beside a stream", () => {
    using run = running({}, endless(0));
    const inputs = Array.from({ length: 9 }, (_, i) => "word ".repeat(i + 1));
    run.embed(7, inputs);
    run.embed(8, [[3, 4, 5]]);
    run.settle();
    const promptTokens = inputs.reduce((sum, input) => sum + input.length, 0);
    expect([...run.embeddings.entries()]).toEqual([
      [7, { type: "embeddings", id: 7, count: 9, dimensions: 8, promptTokens }],
      [8, { type: "embeddings", id: 8, count: 1, dimensions: 8, promptTokens: 3 }],
    ]);
    expect(outcome(run.story(1))).toEqual(outcome(runAlone(endless(0))));
    run.checkEmpty();
  });

  test.each([
    [["fine", "x".repeat(65)], "context_length_exceeded", "input[1] has 65 tokens", "input[1]"],
    [["fine", ""], "invalid_request", "input[1] is empty.", "input[1]"],
    [[[4, 99]], "invalid_request", "token 99 is not in the vocabulary", "input[0]"],
  ] as const)("an input that can't be embedded is refused before any runs: %j", (inputs, code, message, param) => {
    using run = new EngineRun();
    let batches = 0;
    run.backend.faults.embed = () => {
      batches++;
      return null;
    };
    run.embed(1, inputs as unknown as string[]);
    run.settle();
    const answer = run.embeddings.get(1);
    expect(answer).toMatchObject({ type: "refused", error: { code, param } });
    expect(JSON.stringify(answer)).toContain(message);
    expect(batches).toBe(0);
    run.checkEmpty();
  });

  test("a failing batch refuses its request and not the next", () => {
    using run = new EngineRun();
    let failures = 1;
    run.backend.faults.embed = () => (failures-- > 0 ? "the device is lost" : null);
    run.embed(1, ["a"]);
    run.embed(2, ["b"]);
    run.settle();
    expect(run.embeddings.get(1)).toMatchObject({ type: "refused", error: { code: "internal" } });
    expect(run.embeddings.get(2)).toMatchObject({ type: "embeddings", count: 1 });
    run.checkEmpty();
  });
});

describe("messages", () => {
  test("stats are answered at once", () => {
    using run = running({ parallel: 1 }, endless(0), endless(1));
    run.messages = [];
    run.engine.receive({ type: "stats", id: 5 });
    expect(run.messages).toMatchObject([
      { type: "stats", id: 5, stats: { waiting: 1, running: 1, paused: 0, steps: 3, decodedTokens: 3 } },
    ]);
  });

  test("those of the process around the engine are a bug here", () => {
    using run = new EngineRun();
    expect(() => run.engine.receive({ type: "shutdown" })).toThrow("belongs to the process");
  });
});
