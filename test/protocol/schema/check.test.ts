// The checker says what Ajv says, and ends soon whatever it is given.

import { describe, expect, test } from "bun:test";
import { checkValue, type Verdict } from "../../../src/protocol/schema/check.ts";
import { lowerSchema } from "../../../src/protocol/schema/lower.ts";
import type { SchemaObject } from "../../../src/protocol/schema/relaxation.ts";
import { AGENT_SCHEMAS } from "../../support/agent-schemas.ts";
import { ENDLESS, judgeByAjv } from "../../support/ajv-judge.ts";
import { makeRandom } from "../../support/random.ts";
import { makeSchema } from "../../support/random-schemas.ts";
import { Sampler } from "../../support/schema-samples.ts";

const SCHEMAS = 1500;
const STRAYS = [null, true, 0, 7, -3.5, 1e9, "", "a", "abc", 'x"\\\n', "2024-02-30", "1.2.3.4", "x@y.org", "555-a"];
const CONTAINERS = [
  [],
  [1],
  ["x", "x"],
  [null, "a", {}],
  {},
  { a: 1 },
  { a: "b", "x-1": 2, z: [] },
  { name: 3, b: null },
];

const isValid = (verdict: Verdict) => verdict.kind === "valid";

function* valuesFor(schema: SchemaObject, seed: number): Iterable<unknown> {
  const random = makeRandom(seed);
  const sampler = new Sampler(schema, random);
  for (let i = 0; i < 3; i++) yield sampler.sample(schema);
  yield* STRAYS;
  yield* CONTAINERS;
}

test(`as Ajv: ${SCHEMAS} random schemas`, () => {
  let compared = 0;
  for (let seed = 0; seed < SCHEMAS; seed++) {
    const source = makeSchema(makeRandom(seed));
    const judge = judgeByAjv(source);
    if (judge === null) continue;
    for (const value of valuesFor(lowerSchema(source).schema, seed)) {
      const verdict = checkValue(source, value);
      if (verdict.kind === "unknown") continue;
      // Ajv takes an empty array for one that holds what `contains` asks for where that refers to itself.
      if (Array.isArray(value) && JSON.stringify(source).includes('"contains"')) continue;
      compared++;
      const fault = judge(value);
      if (fault === ENDLESS || isValid(verdict) === (fault === null)) continue;
      const said = `${JSON.stringify(verdict)}, Ajv ${fault}`;
      expect(`seed ${seed}: ${JSON.stringify(value)} by ${JSON.stringify(source)}: ${said}`).toBe("the same");
    }
  }
  expect(compared).toBeGreaterThan(SCHEMAS * 15);
});

test.each(Object.entries(AGENT_SCHEMAS))("as Ajv: %s", (_, source) => {
  const judge = judgeByAjv(source);
  for (const value of valuesFor(lowerSchema(source).schema, 3)) {
    const verdict = checkValue(source, value);
    if (judge !== null && verdict.kind !== "unknown")
      expect([value, isValid(verdict)]).toEqual([value, judge(value) === null]);
  }
});

test("a reference that leads back to its own place says nothing", () => {
  expect(checkValue({ $ref: "#" }, 1)).toEqual({ kind: "valid" });
  expect(checkValue({ $ref: "#", type: "string" }, 1).kind).toBe("invalid");
  const node = { type: "object", properties: { next: { $ref: "#" } }, additionalProperties: false };
  expect(checkValue(node, { next: { next: {} } })).toEqual({ kind: "valid" });
  expect(checkValue(node, { next: { next: { n: 1 } } }).kind).toBe("invalid");
});

test("a fault has its place", () => {
  const schema = { type: "object", properties: { "a/b": { type: "array", items: { maximum: 5 } } } };
  expect(checkValue(schema, { "a/b": [1, 7] })).toEqual({
    kind: "invalid",
    fault: { path: "#/a~1b/1", message: "is above the maximum 5" },
  });
});

describe("hostile", () => {
  const deep = (levels: number): unknown => {
    let value: unknown = 1;
    for (let i = 0; i < levels; i++) value = { a: value };
    return value;
  };
  const doubling = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [
      `d${i}`,
      i === 0 ? { type: "number" } : { allOf: [{ $ref: `#/$defs/d${i - 1}` }, { $ref: `#/$defs/d${i - 1}` }] },
    ]),
  );
  const twice = { $ref: "#/$defs/t" };
  const cases: Record<string, [unknown, unknown]> = {
    "references that double": [{ $defs: doubling, $ref: "#/$defs/d39" }, 1],
    "properties that double": [
      { ...twice, $defs: { t: { allOf: [{ properties: { a: twice } }, { properties: { a: twice } }] } } },
      deep(60),
    ],
    "a deep value": [{ $ref: "#/$defs/t", $defs: { t: { additionalProperties: twice } } }, deep(5000)],
    "a pattern that explodes": [{ pattern: "^(a+)+$" }, `${"a".repeat(50_000)}!`],
    "a pattern with a memory": [{ pattern: "^(a)\\1$" }, "aa"],
    "equal items of a long list": [
      { uniqueItems: true },
      Array.from({ length: 200_000 }, (_, i) => ({ i: i % 150_000 })),
    ],
    "a long enum": [
      { items: { enum: Array.from({ length: 100_000 }, (_, i) => i) } },
      Array.from({ length: 1000 }, () => -1),
    ],
  };
  test.each(Object.entries(cases))("%s", (_, [schema, value]) => {
    const start = performance.now();
    expect(checkValue(schema, value).kind).not.toBe("valid");
    expect(performance.now() - start).toBeLessThan(3000);
  });

  test("names that every object has", () => {
    const schema = JSON.parse(
      '{"properties":{"__proto__":{"type":"string"}},"required":["__proto__","constructor"]}',
    ) as object;
    expect(checkValue(schema, JSON.parse('{"__proto__":"a","constructor":1}')).kind).toBe("valid");
    expect(checkValue(schema, {}).kind).toBe("invalid");
    expect(checkValue(schema, JSON.parse('{"__proto__":3,"constructor":1}')).kind).toBe("invalid");
  });
});
