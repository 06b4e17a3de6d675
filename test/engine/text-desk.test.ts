// Questions about texts beside the engine's steps: each is answered once, a long one in shares, and what is too much is
// refused with its number.

import { describe, expect, test } from "bun:test";
import { TextDesk } from "../../src/engine/text-desk.ts";
import type { FromEngine } from "../../src/protocol/messages.ts";
import { type TextQuestion, TOKENS_MAX, unpackTextAnswer } from "../../src/protocol/text-question.ts";
import { FakeBackend } from "../support/fake-backend.ts";
import type { FakeOptions } from "../support/fake-options.ts";
import { END, FAKE_VOCABULARY, fakeTokens, PRESERVED } from "../support/fake-vocabulary.ts";

interface Told {
  message: FromEngine;
  payload: Uint8Array;
}

class Desk {
  readonly told: Told[] = [];
  readonly backend: FakeBackend;
  readonly desk: TextDesk;

  constructor(options: FakeOptions = {}) {
    this.backend = new FakeBackend(options);
    this.desk = new TextDesk(this.backend, (message, payload = new Uint8Array(0)) =>
      this.told.push({ message, payload }),
    );
  }

  /** Steps until nothing is left to do; how many that took. */
  run(): number {
    for (let steps = 0; ; steps++) {
      if (!this.desk.isReady) return steps;
      this.desk.step();
    }
  }

  answer(id: number) {
    const found = this.told.filter(({ message }) => "id" in message && message.id === id);
    expect(found).toHaveLength(1);
    const { message, payload } = found[0] as Told;
    if (message.type === "refused") return message.error;
    if (message.type !== "told") throw new Error(`a ${message.type} is no answer`);
    return unpackTextAnswer(message, payload);
  }
}

const tokens = (...content: (string | number)[]): Extract<TextQuestion, { ask: "tokens" }> => ({
  ask: "tokens",
  content,
  addSpecial: false,
  parseSpecial: true,
  withPieces: false,
});

describe("a question is answered", () => {
  test("with tokens, and what is added around the first text", () => {
    const desk = new Desk();
    desk.desk.add(1, { ...tokens("ab", PRESERVED, "c"), addSpecial: true });
    desk.run();
    const wanted = [END, ...fakeTokens("ab"), PRESERVED, ...fakeTokens("c")];
    expect(desk.answer(1)).toEqual({ kind: "tokens", tokens: Int32Array.from(wanted), pieces: null });
  });

  test("with the bytes of each token, control tokens written out", () => {
    const desk = new Desk();
    desk.desk.add(1, { ...tokens("é", PRESERVED), withPieces: true });
    desk.run();
    const answer = desk.answer(1);
    if (!("pieces" in answer)) throw new Error("no tokens came");
    expect(answer.pieces?.map((piece) => Buffer.from(piece).toString())).toEqual(["é", "<tool>"]);
    expect(answer.tokens).toHaveLength(2);
  });

  test("with a text", () => {
    const desk = new Desk();
    desk.desk.add(1, { ask: "text", tokens: [...fakeTokens("aé a"), PRESERVED] });
    desk.desk.add(2, { ask: "prompt", prompt: { kind: "chat", messages: [{ role: "user", content: "Hi" }] } });
    desk.run();
    const texts = [1, 2].map((id) => {
      const answer = desk.answer(id);
      return "text" in answer ? Buffer.from(answer.text).toString() : answer;
    });
    expect(texts).toEqual([expect.stringMatching(/^.é .<tool>$/), "Hi"]);
  });

  test("with nothing of nothing", () => {
    const desk = new Desk();
    desk.desk.add(1, { ...tokens(), withPieces: true });
    desk.desk.add(2, { ask: "text", tokens: [] });
    desk.run();
    expect(desk.answer(1)).toEqual({ kind: "tokens", tokens: new Int32Array(0), pieces: [] });
    expect(desk.answer(2)).toMatchObject({ kind: "text" });
  });
});

describe("nobody waits for long", () => {
  test("many tokens' bytes are read over several steps, and short questions pass them", () => {
    const desk = new Desk();
    desk.desk.add(1, { ask: "text", tokens: Array.from({ length: 10_000 }, () => 1) });
    desk.desk.add(2, { ask: "text", tokens: [1] });
    expect(desk.run()).toBe(5);
    const ids = desk.told.map(({ message }) => ("id" in message ? message.id : 0));
    expect(ids).toEqual([2, 1]);
    const answer = desk.answer(1);
    expect("text" in answer && answer.text.byteLength).toBe(10_000);
  });

  test("a long tokenization keeps nobody waiting, and four threads are the most", () => {
    const polls = [50, 0];
    const desk = new Desk({ taskPolls: () => polls.shift() ?? 1 });
    for (let id = 1; id <= 8; id++) desk.desk.add(id, tokens("abc"));
    desk.desk.step();
    expect(desk.backend.liveHandles().job).toBeLessThanOrEqual(4);
    for (let step = 0; step < 100; step++) desk.desk.step();
    const ids = desk.told.map(({ message }) => ("id" in message ? message.id : 0));
    expect(ids.at(-1)).toBe(1);
    expect(ids).toHaveLength(8);
    expect(desk.backend.liveHandles()).toMatchObject({ job: 0, prompt: 0 });
  });

  test("who leaves is told nothing, and leaves nothing behind", () => {
    const desk = new Desk({ taskPolls: () => 3 });
    desk.desk.add(1, tokens("abc"));
    desk.desk.step();
    expect(desk.desk.cancel(1)).toBe(true);
    expect(desk.desk.cancel(1)).toBe(false);
    for (let step = 0; step < 10; step++) desk.desk.step();
    expect(desk.told).toEqual([]);
    expect(desk.backend.liveHandles()).toMatchObject({ job: 0, prompt: 0 });
  });
});

describe("a question is refused", () => {
  test("for tokens that the vocabulary has not, by their place", () => {
    const desk = new Desk();
    desk.desk.add(1, { ask: "text", tokens: [1, FAKE_VOCABULARY] });
    desk.desk.add(2, tokens(FAKE_VOCABULARY));
    desk.run();
    expect(desk.answer(1)).toMatchObject({ code: "invalid_request", param: "tokens[1]" });
    expect(desk.answer(2)).toMatchObject({ code: "invalid_request", param: "content" });
  });

  test("by the template, in its words", () => {
    const desk = new Desk();
    desk.backend.faults.text = () => "no template";
    desk.desk.add(1, { ask: "prompt", prompt: { kind: "chat", messages: [] } });
    desk.run();
    expect(desk.answer(1)).toMatchObject({ code: "invalid_request", message: "no template", param: "messages" });
  });

  test("for more tokens than one answer lists, with the number", () => {
    const desk = new Desk();
    const text = "a".repeat(70_000);
    desk.desk.add(1, { ...tokens(text), withPieces: true });
    desk.desk.add(2, tokens(text));
    desk.desk.add(3, tokens("a".repeat(TOKENS_MAX + 1)));
    desk.run();
    expect(desk.answer(1)).toMatchObject({ message: expect.stringContaining("70000 tokens"), param: "content" });
    expect(desk.answer(2)).toMatchObject({ kind: "tokens" });
    expect(desk.answer(3)).toMatchObject({ message: expect.stringContaining(String(TOKENS_MAX + 1)) });
  });

  test("for a text that no frame holds", () => {
    const desk = new Desk();
    desk.backend.tokenBytes = () => new Uint8Array(1024);
    desk.desk.add(1, { ask: "text", tokens: Array.from({ length: 20_000 }, () => 1) });
    desk.run();
    expect(desk.answer(1)).toMatchObject({
      code: "invalid_request",
      message: expect.stringContaining("16777216 bytes"),
    });
  });

  test("when it can't be sent, and the one behind it is answered", () => {
    const told: FromEngine[] = [];
    using desk = new TextDesk(new FakeBackend(), (message) => {
      if (message.type === "told" && message.id === 1) throw new Error("the frame is over its limit");
      told.push(message);
    });
    desk.add(1, tokens("a"));
    desk.add(2, tokens("b"));
    for (let step = 0; step < 5; step++) desk.step();
    expect(told).toMatchObject([
      { type: "refused", id: 1 },
      { type: "told", id: 2 },
    ]);
  });
});
