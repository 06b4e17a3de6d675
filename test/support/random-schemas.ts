// Random JSON schemas, of the shapes that agents send and of shapes that nobody should.

import type { SchemaObject } from "../../src/protocol/schema/relaxation.ts";

type Random = (below: number) => number;

const NAMES = ["a", "b", "c", "name", "x-y"];
const TYPES = ["object", "array", "string", "integer", "number", "boolean", "null"];
const PATTERNS = [
  "^a+$",
  "b",
  "^[a-z]{2,4}$",
  "^(x|y)z?$|^q",
  "[^0-9]",
  "\\d{3}-\\w+",
  '^"quoted"\\\\$',
  "^.{0,3}$",
  "^\\s*$",
  "",
];
const FORMATS = ["date", "time", "date-time", "uuid", "email", "uri", "ipv4", "hostname", "unknown"];

/** `depth` levels at most; references lead to the root's definitions. */
export function makeSchema(random: Random, depth = 3): SchemaObject {
  const schema = makeNode(random, depth);
  const definitions = Object.fromEntries(["p", "q"].map((name) => [name, makeNode(random, depth - 1)]));
  return { ...schema, $defs: definitions };
}

function makeNode(random: Random, depth: number): SchemaObject {
  const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
  const child = (): SchemaObject | boolean => (random(12) === 0 ? random(2) === 0 : makeNode(random, depth - 1));
  const children = () => Array.from({ length: 1 + random(3) }, child);
  if (depth > 0) {
    const kind = random(14);
    if (kind === 0) return { anyOf: children() };
    if (kind === 1) return { oneOf: children(), ...(random(2) === 0 ? makeTyped(random, depth, pick, child) : {}) };
    if (kind === 2) return { allOf: children() };
    if (kind === 3) return { $ref: `#/$defs/${pick(["p", "q"])}`, ...(random(3) === 0 ? { type: pick(TYPES) } : {}) };
    if (kind === 4) return { $ref: "#" };
    if (kind === 5) return { not: child(), type: pick(TYPES) };
  }
  return makeTyped(random, depth, pick, child);
}

type Pick = <T>(items: readonly T[]) => T;

function makeTyped(random: Random, depth: number, pick: Pick, child: () => SchemaObject | boolean): SchemaObject {
  const maybe = (chance: number, make: () => SchemaObject): SchemaObject => (random(chance) === 0 ? make() : {});
  const type = pick(depth > 0 ? TYPES : TYPES.slice(2));
  const common = {
    ...(random(8) === 0 ? {} : { type: random(6) === 0 ? [...new Set([type, pick(TYPES)])] : type }),
    ...maybe(12, () => ({ enum: ["a", "abc", 3, 3.5, null, true, ["x"], { a: 1 }].slice(random(4), 4 + random(5)) })),
    ...maybe(20, () => ({ const: pick<unknown>(["a", 5, null, { a: 1 }]) })),
    ...maybe(20, () => ({ nullable: true })),
    ...maybe(20, () => ({ description: "what it is", default: 1, title: "T" })),
  };
  if (type === "object") return { ...common, ...makeObject(random, pick, child, maybe) };
  if (type === "array") return { ...common, ...makeArray(random, child, maybe) };
  if (type === "string") {
    return {
      ...common,
      ...maybe(3, () => ({ pattern: pick(PATTERNS) })),
      ...maybe(4, () => ({ format: pick(FORMATS) })),
      ...maybe(4, () => ({ minLength: random(4) })),
      ...maybe(4, () => ({ maxLength: random(6) })),
    };
  }
  return {
    ...common,
    ...maybe(3, () => ({ minimum: random(40) - 20 })),
    ...maybe(4, () => ({ maximum: random(60) - 10 + (random(2) === 0 ? 0.5 : 0) })),
    ...maybe(6, () => ({ exclusiveMinimum: random(10) - 5 })),
    ...maybe(6, () => ({ exclusiveMaximum: 5 + random(10) })),
    ...maybe(8, () => ({ multipleOf: pick([1, 2, 0.5]) })),
  };
}

type Maybe = (chance: number, make: () => SchemaObject) => SchemaObject;

function makeObject(random: Random, pick: Pick, child: () => unknown, maybe: Maybe): SchemaObject {
  const properties = Object.fromEntries(NAMES.slice(0, random(5)).map((name) => [name, child()]));
  return {
    ...maybe(1 + random(2), () => ({ properties })),
    ...maybe(2, () => ({ required: NAMES.filter(() => random(3) === 0) })),
    ...maybe(3, () => ({ additionalProperties: random(2) === 0 ? false : child() })),
    ...maybe(10, () => ({ patternProperties: { "^x-": child() } })),
    ...maybe(14, () => ({ propertyNames: random(2) === 0 ? { enum: NAMES } : { pattern: "^[a-z]" } })),
    ...maybe(10, () => ({ minProperties: random(3) })),
    ...maybe(10, () => ({ maxProperties: random(5) })),
    ...maybe(16, () => ({ dependentRequired: { a: ["b"] } })),
    ...maybe(16, () => Object.fromEntries(["if", "then"].map((name) => [name, { required: [pick(NAMES)] }]))),
    ...maybe(16, () => ({ unevaluatedProperties: false })),
  };
}

function makeArray(random: Random, child: () => unknown, maybe: Maybe): SchemaObject {
  const min = random(3);
  return {
    ...maybe(1 + random(2), () => ({ items: child() })),
    ...maybe(5, () => ({ prefixItems: Array.from({ length: 1 + random(3) }, child) })),
    ...maybe(4, () => ({ minItems: min })),
    ...maybe(4, () => ({ maxItems: min + random(3) })),
    ...maybe(10, () => ({ uniqueItems: true })),
    ...maybe(16, () => ({ contains: child() })),
  };
}
