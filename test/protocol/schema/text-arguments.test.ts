// What a grammar keeps of a tool's arguments where they are not one JSON value.

import { expect, test } from "bun:test";
import { lowerSchema } from "../../../src/protocol/schema/lower.ts";
import { writeText } from "../../../src/protocol/schema/pattern.ts";
import { relaxArguments } from "../../../src/protocol/schema/text-arguments.ts";

function relaxed(format: Parameters<typeof relaxArguments>[0], property: unknown): string[] {
  const source = { type: "object", properties: { p: property }, required: ["p"] };
  const { schema } = lowerSchema(source, { onlyObjects: true });
  return relaxArguments(format, source, schema).map(({ path, keyword }) => `${path} ${keyword}`);
}

const LISTED = { type: "string", enum: ["a", "b c"] };
const HELD: [what: string, schema: unknown][] = [
  ["any text", { type: "string" }],
  ["any value", {}],
  ["listed texts", LISTED],
  ["one text", { const: "x" }],
  ["a pattern of plain characters", { type: "string", pattern: "^[a-z]{2,4}(-[0-9]+)?$" }],
  ["a date", { type: "string", format: "date" }],
  ["bounds of a number", { type: "integer", minimum: 3, maximum: 9 }],
  ["any text or null", { type: ["string", "null"] }],
  ["listed texts or null", { anyOf: [LISTED, { type: "null" }] }],
  ["listed texts, null among them", { enum: ["a", null] }],
  ["a date or null", { type: ["string", "null"], format: "date" }],
  ["items", { type: "array", items: { type: "integer" } }],
];
const LOST: [what: string, keyword: string, schema: unknown][] = [
  ["a length", "minLength", { type: "string", minLength: 1 }],
  ["a pattern that may stand anywhere", "pattern", { type: "string", pattern: "b" }],
  ["a pattern of any characters", "pattern", { type: "string", pattern: "^.{1,3}$" }],
  ["a text with a tag's sign", "enum", { enum: ["a<b", "c"] }],
  ["a text that reads as another type", "enum", { enum: ["1", 2] }],
  ["any text or a number that is bounded", "anyOf", { anyOf: [{ type: "string" }, { type: "integer", minimum: 3 }] }],
  ["a pattern or a number", "pattern", { type: ["string", "integer"], pattern: "^[0-9]{2}$" }],
];

test.each(HELD)("%s is held where arguments are texts", (_, schema) => {
  expect(relaxed("text", schema)).toEqual([]);
});

test.each(LOST)("%s is not, and `%s` is named", (_, keyword, schema) => {
  expect(relaxed("text", schema)).toEqual([`#/properties/p ${keyword}`]);
  expect(relaxed("json", schema)).toEqual([]);
});

test("what is within arguments is JSON in some formats, and text in others", () => {
  const inner = { type: "object", properties: { q: { type: "string", minLength: 1 } } };
  const counted = { type: "array", items: { type: "integer" }, minItems: 2 };
  expect(relaxed("text", inner)).toEqual([]);
  expect(relaxed("text", counted)).toEqual([]);
  expect(relaxed("nested", inner)).toEqual(["#/properties/p properties"]);
  expect(relaxed("nested", counted)).toEqual(["#/properties/p minItems"]);
  expect(relaxed("nested", { type: "object", properties: { q: LISTED } })).toEqual([]);
});

test("a schema of the whole is lost where arguments come one by one", () => {
  const source = { anyOf: [{ properties: { a: LISTED } }, { properties: { b: LISTED } }] };
  const { schema } = lowerSchema(source, { onlyObjects: true });
  expect(relaxArguments("text", source, schema)).toMatchObject([{ path: "#", keyword: "anyOf" }]);
});

test("a format that follows no schema holds nothing but any object", () => {
  for (const format of ["loose", "none"] as const) {
    expect(relaxed(format, { type: "string" })).toEqual(["# parameters"]);
    expect(relaxArguments(format, {}, { type: "object" })).toEqual([]);
  }
});

test("a path that leads through a reference is the schema's root", () => {
  const source = {
    $ref: "#/$defs/A",
    $defs: { A: { type: "object", properties: { p: { type: "string", minLength: 1 } } } },
  };
  const { schema } = lowerSchema(source, { onlyObjects: true });
  expect(relaxArguments("text", source, schema)).toMatchObject([{ path: "#", keyword: "properties" }]);
});

test("patterns as texts: each character by its own sign, and none that begins a tag", () => {
  expect(writeText("^a-[0-9]{2}$")).toBe('"a""\\x2D"([0-9]){2}');
  expect(writeText("^(x|y)z?$")).toBe('("x"|"y")("z")?');
  expect(writeText('^"\\\\$')).toBe('"\\x22""\\x5C"');
  for (const lost of ["a", "^a", "^<$", "^[^a]$", "^.$", "^(?=a)$", "^$", "^a{1,4000}$"])
    expect(writeText(lost)).toBeNull();
});
