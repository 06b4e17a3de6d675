// The matcher says what JavaScript's own expressions say, and what explodes there does not here.

import { describe, expect, test } from "bun:test";
import { Matcher } from "../../../src/protocol/schema/matcher.ts";
import { makeRandom } from "../../support/random.ts";

const PIECES = [
  "a",
  "b",
  "[ab]",
  "[^a]",
  "\\d",
  "\\w",
  "\\s",
  ".",
  "^",
  "$",
  "\\b",
  "\\B",
  "(?:ab)",
  "\\p{Lu}",
  "é",
  "😀",
];
const COUNTS = ["", "", "", "*", "+", "?", "{2}", "{1,3}", "{0,}", "*?"];

function makePattern(random: (below: number) => number, depth = 2): string {
  const length = random(4);
  let text = "";
  for (let i = 0; i < length; i++) {
    const group = depth > 0 && random(3) === 0;
    const piece = group
      ? `(${makePattern(random, depth - 1)}|${makePattern(random, depth - 1)})`
      : (PIECES[random(PIECES.length)] ?? "");
    const count = /^(\^|\$|\\[bB])$/.test(piece) ? "" : (COUNTS[random(COUNTS.length)] ?? "");
    text += piece + count;
  }
  return text;
}

function makeText(random: (below: number) => number): string {
  return Array.from({ length: random(7) }, () => ["a", "b", "A", "1", " ", "\n", "é", "😀", "_"][random(9)]).join("");
}

test("2000 random expressions, five texts each", () => {
  for (let seed = 0; seed < 2000; seed++) {
    const random = makeRandom(seed);
    const source = makePattern(random);
    const matcher = Matcher.compile(source);
    const expression = new RegExp(source, "u");
    for (let i = 0; i < 5; i++) {
      const text = makeText(random);
      const said = matcher?.test(text);
      if (said !== expression.test(text)) expect(`${said} for ${JSON.stringify(text)} by /${source}/`).toBe("right");
    }
  }
});

describe("hostile", () => {
  test.each(["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "^(.*)*x$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$"])(
    "%s ends soon",
    (source) => {
      const start = performance.now();
      const said = Matcher.compile(source)?.test(`${"a".repeat(20_000)}!`);
      expect(said).not.toBe(true);
      expect(performance.now() - start).toBeLessThan(2000);
    },
  );

  test.each([
    "(){1000000000}",
    "((a{100}){100}){100}",
    "(".repeat(1900),
    "a{5000}b",
    "(a)\\1",
    "(?=a)",
    "[",
    "x".repeat(3000),
  ])("%.40s is not supported", (source) => {
    expect(Matcher.compile(source)).toBeNull();
  });

  test("a text that is too long for its expression is not judged", () => {
    expect(Matcher.compile("(a*b?){900}c")?.test("a".repeat(100_000))).toBeNull();
  });
});
