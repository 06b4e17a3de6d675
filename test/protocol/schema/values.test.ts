// A listed object or array beside keywords that it may break: that it is not compared with them is reported, so that
// `strict` refuses it, and never kept in silence.

import { expect, test } from "bun:test";
import { lowerSchema } from "../../../src/protocol/schema/lower.ts";

test.each([
  ["unevaluatedProperties", { const: { a: 1 }, unevaluatedProperties: false }],
  ["propertyNames", { const: { a: 1 }, propertyNames: { maxLength: 0 } }],
  ["dependentRequired", { enum: [{ a: 1 }], dependentRequired: { a: ["b"] } }],
  ["contains", { const: [1], contains: { type: "string" } }],
  ["uniqueItems", { enum: [[1, 1]], uniqueItems: true }],
  ["unevaluatedItems", { const: [1], unevaluatedItems: false }],
])("a value beside %s", (_, schema) => {
  expect(lowerSchema(schema, { onlyObjects: false }).relaxed.map(({ keyword }) => keyword)).toContain("enum");
});

test("a value alone is kept", () => {
  expect(lowerSchema({ const: { a: 1 } }, { onlyObjects: false })).toEqual({
    schema: { const: { a: 1 } },
    relaxed: [],
  });
});
