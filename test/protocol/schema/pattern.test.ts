// Regular expressions in the converter's language: what they mean stays, whatever JSON does to a character.

import { describe, expect, test } from "bun:test";
import { lowerPattern } from "../../../src/protocol/schema/pattern.ts";
import { makeRandom } from "../../support/random.ts";
import { samplePattern } from "../../support/schema-samples.ts";

const EXACT = [
  ...["^abc$", "abc", "^a|b$", "^(?:x|yz)+$", "^[a-z0-9_-]{1,64}$", "^\\d{4}-\\d{2}$", "^\\w+\\s?\\w*$", "^\\S+$"],
  ...['^"[^"]*"$', "^\\\\\\\\server$", "^[\\\\/]+$", "^line\\nend\\t$", "^.$", "^.*$", "", "^$", "^(|a)b$", "^(a?)?$"],
  ...["^[^\\d]$", "^[\\W]$", "^[\\]\\[^-]$", "^[😀-😅]$", "^é+$", "^a{0}b$", "^(a{2}){3}$", "^a+?$", "^(?<name>a)$"],
  ...["^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$", "^\\$\\{[a-z]+\\}$", "^/[^/]+(/[^/]+)*$", "^a\\.b$", "^\\u0041\\x42$"],
];

describe("exact", () => {
  test.each(EXACT)("%s", (source) => {
    const lowered = lowerPattern(source);
    expect(lowered.kind).toBe("exact");
    if (lowered.kind === "none") return;
    const expression = new RegExp(source, "u");
    const random = makeRandom(7);
    for (let i = 0; i < 200; i++) {
      const text = samplePattern(lowered.pattern, random);
      if (!expression.test(text)) expect(`${JSON.stringify(text)} for ${source}`).toBe("a match");
    }
  });
});

const NONE = [
  ...["^(?=a)b$", "^(a)\\1$", "^a\\b$", "^(?!x).*$", "(?<=a)b", "^\\p{L}+$", "a(", "[", "^a{5000,}$", "^\\x07$"],
  ...["^a$b", "^(^a)$", `^${"a".repeat(3000)}$`],
];
test.each(NONE)("not expressible, with a reason: %s", (source) => {
  const lowered = lowerPattern(source);
  expect(lowered.kind).toBe("none");
  expect(lowered.kind === "none" && lowered.reason.length).toBeGreaterThan(10);
});

test("a repetition that is too large for the grammar has no limit there, and that is said", () => {
  expect(lowerPattern("^a{1,4000}$")).toEqual({
    kind: "open",
    pattern: "^(a)+$",
    reason: "no repetition is limited to more than 1000",
  });
});
