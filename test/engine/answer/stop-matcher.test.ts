// Stop strings in streamed text: found wherever the text is cut, and nothing is given out that could begin one.

import { describe, expect, test } from "bun:test";
import { StopMatcher } from "../../../src/engine/answer/stop-matcher.ts";

interface Result {
  text: string;
  stop: string | null;
}

/** Pushes the pieces until a stop string is met, and flushes when none is. */
function match(stops: readonly string[], pieces: readonly string[]): Result {
  const matcher = new StopMatcher(stops);
  let text = "";
  for (const piece of pieces) {
    const found = matcher.push(piece);
    text += found.text;
    if (found.stop !== null) return { text, stop: found.stop };
  }
  return { text: text + matcher.flush(), stop: null };
}

describe("StopMatcher", () => {
  test("without stop strings everything goes through at once", () => {
    expect(new StopMatcher([]).push("abc")).toEqual({ text: "abc", stop: null });
    expect(new StopMatcher([""]).push("abc")).toEqual({ text: "abc", stop: null });
  });

  test("cuts before the stop string and drops what follows", () => {
    expect(match(["STOP"], ["one STOP two"])).toEqual({ text: "one ", stop: "STOP" });
    expect(match(["STOP"], ["STOP"])).toEqual({ text: "", stop: "STOP" });
    expect(match(["STOP"], ["one STO", "P"])).toEqual({ text: "one ", stop: "STOP" });
  });

  test("holds back what may become one, and gives it out when it does not", () => {
    const matcher = new StopMatcher(["\n\n", "END"]);
    expect(matcher.push("a\n")).toEqual({ text: "a", stop: null });
    expect(matcher.push("bE")).toEqual({ text: "\nb", stop: null });
    expect(matcher.push("N")).toEqual({ text: "", stop: null });
    expect(matcher.flush()).toBe("EN");
    expect(matcher.flush()).toBe("");
  });

  test("a stop string that begins anew inside of a false start", () => {
    expect(match(["aab"], ["aaab"])).toEqual({ text: "a", stop: "aab" });
    expect(match(["aab"], [..."aaaab"])).toEqual({ text: "aa", stop: "aab" });
    expect(match(["abab!"], [..."ababab!"])).toEqual({ text: "ab", stop: "abab!" });
  });

  test("the one that is complete first wins, and of two that end together the longer", () => {
    expect(match(["abcd", "bc"], ["abcd"])).toEqual({ text: "a", stop: "bc" });
    expect(match(["bc", "abc"], ["xabc"])).toEqual({ text: "x", stop: "abc" });
    expect(match(["b", "a"], ["ab"])).toEqual({ text: "", stop: "a" });
  });

  test("at the very end, and only part of one at the end", () => {
    expect(match(["!"], ["hi!"])).toEqual({ text: "hi", stop: "!" });
    expect(match(["!!"], ["hi!"])).toEqual({ text: "hi!", stop: null });
  });

  test("no character is cut in two", () => {
    expect(match(["🙂"], ["a🙃", "🙂"])).toEqual({ text: "a🙃", stop: "🙂" });
    expect(new StopMatcher(["🙂!"]).push("a🙂")).toEqual({ text: "a", stop: null });
  });

  test("however a text is cut, the result is that of one push", () => {
    let state = 1;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % below;
    };
    const word = (length: number): string => Array.from({ length }, () => "abc"[random(3)]).join("");
    for (let round = 0; round < 3000; round++) {
      const text = word(random(24));
      const stops = Array.from({ length: random(4) }, () => word(1 + random(4)));
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const end = at + 1 + random(5);
        pieces.push(text.slice(at, end));
        at = end;
      }
      const whole = match(stops, [text]);
      expect({ stops, pieces, result: match(stops, pieces) }).toEqual({ stops, pieces, result: whole });
      expect({ stops, result: match(stops, [...text]) }).toEqual({ stops, result: whole });
      for (const stop of stops) expect(whole.text.includes(stop)).toBe(false);
      if (whole.stop === null) expect(whole.text).toBe(text);
      else expect(text.startsWith(whole.text + whole.stop)).toBe(true);
    }
  });
});
