// From tokens to events: what a token makes certain, what a stop string ends, and what the parser adds.

import { describe, expect, test } from "bun:test";
import { Answer } from "../../../src/engine/answer/answer.ts";
import { Detokenizer, TokenTexts } from "../../../src/engine/answer/detokenizer.ts";
import { StopMatcher } from "../../../src/engine/answer/stop-matcher.ts";
import type { AnswerParser, ParsedPiece } from "../../../src/engine/backend.ts";
import { EMOJI_START, fakeTokenBytes, fakeTokens, PRESERVED } from "../../support/fake-vocabulary.ts";

interface Options {
  stops?: string[];
  parser?: AnswerParser | null;
  preserved?: number[];
  whole?: boolean;
}

function makeAnswer({ stops = [], parser = null, preserved = [], whole = false }: Options = {}): Answer {
  const texts = new TokenTexts({ tokenBytes: fakeTokenBytes });
  return new Answer({
    detokenizer: new Detokenizer(texts, new Set(preserved)),
    stops: new StopMatcher(stops),
    parser,
    whole,
  });
}

/** A parser that answers what the test says, and records what it saw. */
class ScriptedParser implements AnswerParser {
  readonly seen: [string, boolean][] = [];
  disposals = 0;
  constructor(readonly answer: (text: string, final: boolean) => ParsedPiece[]) {}

  push(text: string, final: boolean): ParsedPiece[] {
    this.seen.push([text, final]);
    return this.answer(text, final);
  }

  [Symbol.dispose](): void {
    this.disposals++;
  }
}

const pushAll = (answer: Answer, text: string) => Array.from(fakeTokens(text), (token) => answer.push(token));

describe("without a parser", () => {
  test("a delta for each token with text, none for the others", () => {
    const answer = makeAnswer();
    const [first] = fakeTokens("a");
    expect(answer.push(first ?? 0)).toEqual({ events: [{ type: "delta", text: "a" }], stopped: false });
    expect(answer.push(EMOJI_START)).toEqual({ events: [], stopped: false });
    expect(answer.finish()).toEqual([{ type: "delta", text: "\ufffd" }]);
    expect(answer.finishReason("length")).toBe("length");
  });

  test("a stop string ends it; what was before goes out, nothing of it does", () => {
    const answer = makeAnswer({ stops: ["cd"] });
    const steps = pushAll(answer, "abcd");
    expect(steps.flatMap((step) => step.events.map((event) => event.text))).toEqual(["a", "b"]);
    expect(steps.map((step) => step.stopped)).toEqual([false, false, false, true]);
    expect(answer.stopString).toBe("cd");
    expect(answer.finish()).toEqual([]);
  });

  test("what was held back for a stop string goes out in the end", () => {
    const answer = makeAnswer({ stops: ["cde"] });
    pushAll(answer, "bcd");
    expect(answer.finish()).toEqual([{ type: "delta", text: "cd" }]);
    expect(answer.stopString).toBeNull();
  });

  test("a stop string may be complete with the last, broken bytes only", () => {
    const answer = makeAnswer({ stops: ["\ufffd"] });
    pushAll(answer, "a");
    answer.push(EMOJI_START);
    expect(answer.finish()).toEqual([]);
    expect(answer.stopString).toBe("\ufffd");
  });
});

describe("with a parser", () => {
  test("it sees the text up to a stop string, and then the end", () => {
    const parser = new ScriptedParser((text) => (text === "" ? [] : [{ text }]));
    const answer = makeAnswer({ stops: ["c"], parser });
    pushAll(answer, "abc");
    answer.finish();
    expect(parser.seen).toEqual([
      ["a", false],
      ["b", false],
      ["", true],
    ]);
  });

  test("it sees preserved control tokens", () => {
    const parser = new ScriptedParser(() => []);
    const answer = makeAnswer({ parser, preserved: [PRESERVED] });
    answer.push(PRESERVED);
    expect(parser.seen).toEqual([["<tool>", false]]);
  });

  test("reasoning and tool calls become deltas, and a call changes the reason of a natural end", () => {
    const call = { index: 0, id: "call_1", name: "add", arguments: "{}" };
    const parser = new ScriptedParser((_text, final) => (final ? [{ toolCall: call }] : [{ reasoning: "hm" }]));
    const answer = makeAnswer({ parser });
    const [step] = pushAll(answer, "a");
    expect(step?.events).toEqual([{ type: "delta", reasoning: "hm" }]);
    expect(answer.finishReason("stop")).toBe("stop");
    expect(answer.finish()).toEqual([{ type: "delta", toolCalls: [call] }]);
    expect(answer.finishReason("stop")).toBe("tool_calls");
    expect(answer.finishReason("length")).toBe("length");
  });

  test("it is freed with the answer", () => {
    const parser = new ScriptedParser(() => []);
    makeAnswer({ parser })[Symbol.dispose]();
    expect(parser.disposals).toBe(1);
  });
});

describe("when nobody reads along", () => {
  test("everything comes at the end, and the parser sees it once", () => {
    const answer = makeAnswer({ whole: true });
    expect(pushAll(answer, "abc").flatMap(({ events }) => events)).toEqual([]);
    expect(answer.finish()).toEqual([{ type: "delta", text: "abc" }]);
    const parser = new ScriptedParser((text) => [{ text }]);
    const parsed = makeAnswer({ whole: true, parser });
    pushAll(parsed, "abc");
    expect(parsed.finish()).toEqual([{ type: "delta", text: "abc" }]);
    expect(parser.seen).toEqual([["abc", true]]);
  });

  test("what a parser makes of it is one event, however many calls there are", () => {
    const call = (index: number) => ({ index, id: `call_${index}`, name: "f", arguments: "{}" });
    const calls = Array.from({ length: 5000 }, (_, index) => call(index));
    const pieces = [{ reasoning: "hm" }, { text: "a" }, { text: "b" }, ...calls.map((toolCall) => ({ toolCall }))];
    const answer = makeAnswer({ whole: true, parser: new ScriptedParser(() => pieces) });
    pushAll(answer, "x");
    expect(answer.finish()).toEqual([{ type: "delta", reasoning: "hm", text: "ab", toolCalls: calls }]);
    expect(answer.finishReason("stop")).toBe("tool_calls");
  });

  test("a very long answer comes in pieces, each of which fits into a message", () => {
    const answer = makeAnswer({ whole: true, preserved: [PRESERVED] });
    const events = Array.from({ length: 500_000 }, () => answer.push(PRESERVED)).flatMap((step) => step.events);
    const texts = [...events, ...answer.finish()].map(({ text }) => text ?? "");
    expect(texts.length).toBeGreaterThan(1);
    expect(Math.max(...texts.map((text) => text.length))).toBeLessThan(1.1 * 1024 * 1024);
    expect(texts.join("")).toBe("<tool>".repeat(500_000));
  });

  test("a stop string still ends it at once, and an answer of nothing is none", () => {
    const answer = makeAnswer({ whole: true, stops: ["cd"] });
    expect(pushAll(answer, "abcd").map(({ stopped }) => stopped)).toEqual([false, false, false, true]);
    expect(answer.finish()).toEqual([{ type: "delta", text: "ab" }]);
    expect(makeAnswer({ whole: true }).finish()).toEqual([]);
  });
});
