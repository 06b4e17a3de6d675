// The input of custom tools, read out of arguments however they are cut.

import { describe, expect, test } from "bun:test";
import { CustomInput, readCustomInput } from "../../src/api/custom-input.ts";

/** What is given, piece by piece, and at the end. */
function feed(pieces: readonly string[]): string[] {
  const reader = new CustomInput();
  const given = [...pieces.map((piece) => reader.add(piece)), reader.finish()];
  expect(given.join("")).toBe(reader.input);
  return given;
}

const TEXTS = [
  "",
  "plain",
  'quotes " and \\ and /',
  "lines\n\ttabs\r\b\f\u0001",
  "é ✓ 😀 \u2028",
  '{"input": "x"}',
  "a\\u0041",
];

describe.each(TEXTS)("%j", (text) => {
  test.each([
    JSON.stringify({ input: text }),
    ` {\n  "input" :  ${JSON.stringify(text)} }\n`,
    // Every character escaped: what comes in halves is given whole.
    `{"input":"${[...Array(text.length).keys()].map((at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`).join("")}"}`,
  ])("is read out of %s, cut anywhere", (whole) => {
    expect(readCustomInput(whole)).toBe(text);
    expect(feed([...Array(whole.length).keys()].map((at) => whole.charAt(at))).join("")).toBe(text);
    for (let at = 0; at <= whole.length; at++) {
      const given = feed([whole.slice(0, at), whole.slice(at)]);
      expect(given.join("")).toBe(text);
      for (const piece of given) expect(piece.isWellFormed()).toBe(true);
    }
  });
});

test("it is given while it comes", () => {
  expect(feed(['{"in', 'put": "ab', "c\\", "nd\\u00", 'e9"', "}"])).toEqual(["", "ab", "c", "\nd", "é", "", ""]);
});

test.each([
  // Cut off by a limit.
  ['{"input": "ab', "ab"],
  ['{"input": "ab\\', "ab"],
  ['{"input": "ab\\u00', "ab"],
  ['{"input": "ab\\ud83d', "ab\ufffd"],
  // Not written as expected.
  ['{"other": 1, "input": "ab"}', "ab"],
  ['{"input": 7}', '{"input": 7}'],
  ["[1]", "[1]"],
  ["null", "null"],
  ["*** Begin Patch", "*** Begin Patch"],
  ['{"input": "a\\x more"}', 'a\\x more"}'],
  [`${" ".repeat(500)}{"input": "ab"}`, "ab"],
])("%j is %j", (whole, input) => {
  expect(readCustomInput(whole)).toBe(input);
});

test("a long input costs no more than its length", () => {
  const piece = "0123456789".repeat(10);
  const reader = new CustomInput();
  reader.add('{"input": "');
  const startedMs = performance.now();
  for (let at = 0; at < 50_000; at++) reader.add(piece);
  reader.finish();
  expect(reader.input).toHaveLength(5_000_000);
  expect(performance.now() - startedMs).toBeLessThan(10_000);
});
