// Numbers between bounds as patterns: each text is a JSON number inside of them, and the plain ones inside are all there.

import { expect, test } from "bun:test";
import { type DecimalBounds, writeDecimals } from "../../../src/protocol/schema/decimals.ts";
import { makeRandom } from "../../support/random.ts";
import { sampleNumber } from "../../support/schema-samples.ts";

const isInside = ({ min, max, minExcluded, maxExcluded }: DecimalBounds, value: number) =>
  (minExcluded ? value > min : value >= min) && (maxExcluded ? value < max : value <= max);

function matcherOf(pattern: string): RegExp {
  return new RegExp(pattern, "u");
}

test("3000 random bounds", () => {
  for (let seed = 0; seed < 3000; seed++) {
    const random = makeRandom(seed);
    const bound = () => (random(2001) - 1000) / ([1, 2, 10, 100, 1000, 8][random(6)] ?? 1);
    const [a, b] = [bound(), bound()];
    const bounds = {
      min: random(6) === 0 ? Number.NEGATIVE_INFINITY : Math.min(a, b),
      max: random(6) === 0 ? Number.POSITIVE_INFINITY : Math.max(a, b),
      minExcluded: random(3) === 0,
      maxExcluded: random(3) === 0,
    };
    const pattern = writeDecimals(bounds);
    if (pattern === null) continue;
    for (let i = 0; i < 20; i++) {
      const value = sampleNumber(pattern, random);
      if (!isInside(bounds, value)) expect(`${value} by ${JSON.stringify(bounds)}, ${pattern}`).toBe("inside");
    }
    const expression = matcherOf(pattern);
    const { min, max, minExcluded, maxExcluded } = bounds;
    const near = [min, max, Math.floor(min) + 1, Math.ceil(max) - 1, 0, 1, -1, 17, 17.5, -170.25, 999];
    for (const value of near.filter((each) => Number.isFinite(each))) {
      const isWritten = expression.test(String(value));
      const isEdge = (value === min && minExcluded) || (value === max && maxExcluded);
      if (isWritten && (isEdge || !isInside(bounds, value))) expect(`${value} in ${pattern}`).toBe("outside");
      if (!isWritten && Number.isInteger(value) && isInside(bounds, value)) {
        expect(`${value} by ${JSON.stringify(bounds)}, ${pattern}`).toBe("there");
      }
    }
  }
});

test.each([
  [0, 1, ["0", "1", "0.5", "0.999", "1.0"], ["1.1", "-0.1", "2", "01", "1.01"]],
  [0.25, 0.75, ["0.25", "0.75", "0.5000", "0.30"], ["0.2", "0.751", "0", "1"]],
  [-90, 90, ["-90", "90", "-89.999", "0", "12.345678"], ["-90.1", "91", "-0.0", "-00"]],
  [0, Number.POSITIVE_INFINITY, ["0", "0.01", "1700000000000", "99999999999999.5"], ["-1", "-0.5"]],
])("%p to %p", (min, max, inside, outside) => {
  const expression = matcherOf(writeDecimals({ min, max, minExcluded: false, maxExcluded: false }) ?? "");
  for (const text of inside) expect([text, expression.test(text)]).toEqual([text, true]);
  for (const text of outside) expect([text, expression.test(text)]).toEqual([text, false]);
});

test("bounds with more digits than can be compared have no pattern, and neither has nothing", () => {
  const at = (min: number, max: number, minExcluded = false) =>
    writeDecimals({ min, max, minExcluded, maxExcluded: false });
  expect(at(1e-9, 1)).toBeNull();
  expect(at(0, 1e20)).toBeNull();
  expect(at(0.1234567890123456, 1)).toBeNull();
  expect(at(2, 2, true)).toBeNull();
});
