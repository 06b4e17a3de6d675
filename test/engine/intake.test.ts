// The intake: prompts are prepared beside the engine, a few at a time; each comes out once, ready or refused.

import { describe, expect, test } from "bun:test";
import { TokenTexts } from "../../src/engine/answer/detokenizer.ts";
import { checkLength, Intake } from "../../src/engine/intake.ts";
import { AdapterSets } from "../../src/engine/schedule/adapter-sets.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { GenerationRequest } from "../../src/protocol/generation.ts";
import { FakeBackend } from "../support/fake-backend.ts";
import type { FakeOptions } from "../support/fake-options.ts";

const request = (text: string, changes: Partial<GenerationRequest> = {}): GenerationRequest => ({
  prompt: { kind: "text", text },
  sampling: {},
  stop: [],
  ...changes,
});

function makeIntake(options: FakeOptions = {}): { intake: Intake; backend: FakeBackend } {
  const backend = new FakeBackend(options);
  return { intake: new Intake(backend, new TokenTexts(backend), new AdapterSets([])), backend };
}

const liveCount = (backend: FakeBackend) => Object.values(backend.liveHandles()).reduce((sum, count) => sum + count, 0);

describe("Intake", () => {
  test("gives sequences in order of arrival when they are ready together", () => {
    const { intake } = makeIntake();
    expect(intake.next()).toEqual({ kind: "none" });
    for (const id of [11, 12, 13]) intake.add(id, request("abc"), 5);
    const arrivals = [intake.next(), intake.next(), intake.next()];
    expect(arrivals.map((arrival) => (arrival.kind === "ready" ? arrival.sequence.id : arrival.kind))).toEqual([
      11, 12, 13,
    ]);
    expect(intake.next()).toEqual({ kind: "none" });
    expect(intake.size).toBe(0);
  });

  test("prepares a few at once, and the next when one is through", () => {
    const { intake, backend } = makeIntake({ taskPolls: () => 1 });
    for (let id = 0; id < 10; id++) intake.add(id, request("abc"), 0);
    expect(intake.next()).toEqual({ kind: "none" });
    expect(backend.liveHandles().job).toBe(4);
    expect(intake.next().kind).toBe("ready");
    expect(backend.liveHandles().job).toBe(3);
    intake.next();
    expect(backend.liveHandles().job).toBeLessThanOrEqual(4);
    expect(intake.size).toBe(8);
  });

  test("a long prompt keeps its place in line although a short one is ready before", () => {
    const polls = [2, 0];
    const { intake } = makeIntake({ taskPolls: () => polls.shift() ?? 0 });
    intake.add(1, request("long"), 0);
    intake.add(2, request("short"), 0);
    const arrivals = Array.from({ length: 4 }, () => intake.next()).flatMap((arrival) =>
      arrival.kind === "ready" ? [arrival.sequence] : [],
    );
    expect(arrivals.map(({ id, arrival }) => [id, arrival])).toEqual([
      [2, 1],
      [1, 0],
    ]);
  });

  test("the stop strings of the request and of the template both count", () => {
    const { intake } = makeIntake();
    intake.add(
      1,
      request("", { prompt: { kind: "chat", messages: [{ role: "user", content: "a" }] }, stop: ["b"] }),
      0,
    );
    const arrival = intake.next();
    if (arrival.kind !== "ready") throw new Error(arrival.kind);
    expect(arrival.sequence.answer.push(2)).toMatchObject({ stopped: true });
  });

  test("a refusal is an error of the request, and keeps nothing", () => {
    const { intake, backend } = makeIntake({ sequenceContextLength: 10 });
    backend.faults = {
      prompt: (prompt) => (prompt.kind === "text" && prompt.text === "bad" ? "the template is confused" : null),
      sampler: ({ grammar }) => (grammar === undefined ? null : "the grammar\n does not parse\n"),
    };
    intake.add(1, request("bad"), 0);
    intake.add(2, request("good", { sampling: { grammar: "(" } }), 0);
    intake.add(3, request("longer than ten"), 0);
    intake.add(4, request("good"), 0);
    const refusals = [intake.next(), intake.next(), intake.next()].map((arrival) =>
      arrival.kind === "refused"
        ? [arrival.id, arrival.error.code, arrival.error.message, arrival.error.param]
        : arrival.kind,
    );
    expect(refusals).toEqual([
      [1, "invalid_request", "the template is confused", null],
      [2, "invalid_request", "`grammar` can't be used: the grammar; does not parse", "grammar"],
      [3, "context_length_exceeded", expect.stringContaining("15 tokens and the context holds 10"), null],
    ]);
    const last = intake.next();
    if (last.kind !== "ready") throw new Error(last.kind);
    last.sequence[Symbol.dispose]();
    expect(liveCount(backend)).toBe(0);
  });

  test("a message that the template can't let go on is named", () => {
    const { intake, backend } = makeIntake();
    backend.faults.prompt = () => "the chat template has no place for thoughts";
    const messages = [{ role: "assistant" as const, content: "", reasoning_content: "Hm" }];
    intake.add(1, request("", { prompt: { kind: "chat", messages, continues: "reasoning" } }), 0);
    intake.add(2, request("", { prompt: { kind: "chat", messages } }), 0);
    const params = [intake.next(), intake.next()].map((arrival) =>
      arrival.kind === "refused" ? arrival.error.param : arrival.kind,
    );
    expect(params).toEqual(["messages", null]);
  });

  test("what was made before the parser failed is freed", () => {
    const { intake, backend } = makeIntake();
    backend.faults.parser = () => "no parser";
    intake.add(1, request("", { prompt: { kind: "chat", messages: [{ role: "user", content: "a" }] } }), 0);
    expect(intake.next().kind).toBe("refused");
    expect(backend.liveHandles()).toEqual({ job: 0, prompt: 0, sampler: 0, parser: 0, state: 0 });
  });

  test("a cancelled request is gone at once, its task when it has ended", () => {
    const { intake, backend } = makeIntake({ taskPolls: () => 5 });
    intake.add(1, request("a"), 0);
    intake.add(2, request("b"), 0);
    intake.next();
    expect([intake.cancel(1), intake.cancel(1), intake.cancel(9)]).toEqual([true, false, false]);
    expect([intake.size, liveCount(backend)]).toEqual([1, 2]);
    while (liveCount(backend) === 2) intake.next();
    intake[Symbol.dispose]();
    expect([intake.size, liveCount(backend)]).toEqual([0, 0]);
  });
});

describe("checkLength", () => {
  test("leaves room for one token of the answer", () => {
    expect(() => checkLength(9, 10)).not.toThrow();
    expect(() => checkLength(10, 10)).toThrow(AppError);
    expect(() => checkLength(0, 10)).toThrow("The prompt is empty.");
  });
});

describe("a prompt that is only counted", () => {
  const counted = (text: string): GenerationRequest => request(text, { countOnly: true });

  test("is told by its length, without a sequence, a sampler or room", () => {
    const { intake, backend } = makeIntake();
    backend.faults = { sampler: () => "no sampler is made for it" };
    const long = "x".repeat(2 * backend.info.sequenceContextLength);
    intake.add(1, counted(long), 0);
    const arrival = intake.next();
    if (arrival.kind !== "counted") throw new Error(`it was ${arrival.kind}`);
    const [started, done] = arrival.events;
    expect(started).toMatchObject({ type: "started", promptTokens: long.length });
    expect(done).toMatchObject({ type: "done", usage: { promptTokens: long.length, completionTokens: 0 } });
    expect(arrival.events).toHaveLength(2);
    expect(liveCount(backend)).toBe(0);
    expect(intake.size).toBe(0);
  });

  test("waits for its task like others, and its failure is a refusal", () => {
    const { intake, backend } = makeIntake({ taskPolls: () => 1 });
    intake.add(1, counted("abc"), 0);
    expect(intake.next()).toEqual({ kind: "none" });
    expect(intake.next()).toMatchObject({ kind: "counted", id: 1 });
    backend.faults = { prompt: () => "the template failed" };
    intake.add(2, counted("abc"), 0);
    intake.next();
    expect(intake.next()).toMatchObject({ kind: "refused", id: 2 });
    expect(liveCount(backend)).toBe(0);
  });
});
