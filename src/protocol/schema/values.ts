// Lowers `const` and `enum`: the values that all of them list, of the types that are allowed. Pure.

import type { Means, Part, Relax } from "./conjunction.ts";
import { isPositive } from "./numbers.ts";
import { joinPath } from "./references.ts";
import { isSchemaObject, type Lowered } from "./relaxation.ts";
import { isTextFormat } from "./strings.ts";
import type { JsonType } from "./types.ts";

/** Each step of a grammar compares every value that is still possible. */
const VALUES_MAX = 1000;
/** Of all values of a place together: each character is an element of the grammar. */
const VALUES_CHARS_MAX = 100_000;

/** Undefined: nobody lists values. */
export function lowerValues(parts: readonly Part[], types: Set<JsonType> | null, means: Means): Lowered | undefined {
  const { relax } = means;
  let values: Map<string, unknown> | undefined;
  for (const part of parts) {
    const own = listValues(part, relax);
    if (own === null) continue;
    const keyed = new Map(own.map((value) => [toKey(value), value]));
    values = values === undefined ? keyed : new Map([...values].filter(([key]) => keyed.has(key)));
  }
  if (values === undefined) return undefined;
  const typed = [...values.values()].filter((value) => types === null || isOfTypes(value, types));
  const left = typed.filter((value) => parts.every((part) => mayBe(value, part, means)));
  if (left.length === 0) return null;
  const chars = left.reduce<number>(
    (sum, value) => sum + (typeof value === "string" ? value.length : toKey(value).length),
    0,
  );
  if (left.length <= VALUES_MAX && chars <= VALUES_CHARS_MAX) {
    return left.length === 1 ? { const: left[0] } : { enum: left };
  }
  const [first] = parts;
  const reason = `more than ${VALUES_MAX} values, or ${VALUES_CHARS_MAX} characters; any of their types will do`;
  relax({ path: first === undefined ? "#" : joinPath(first.path), keyword: "enum", reason });
  const kinds = [...new Set(left.map(typeOf))];
  return kinds.length === 1 ? { type: kinds[0] } : { anyOf: kinds.map((type) => ({ type })) };
}

function listValues({ schema, path }: Part, relax: Relax): unknown[] | null {
  const constant = Object.hasOwn(schema, "const") ? [schema.const] : null;
  if (schema.enum === undefined) return constant;
  if (!Array.isArray(schema.enum)) {
    relax({ path, keyword: "enum", reason: "it is not a list of values" });
    return constant;
  }
  const listed = new Set(schema.enum.map(toKey));
  return constant?.filter((value) => listed.has(toKey(value))) ?? schema.enum;
}

/** Equal for values that JSON calls equal, whatever the order of their keys. */
export function toKey(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => (isSchemaObject(inner) ? sortKeys(inner) : inner)) ?? "";
}

function sortKeys(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Whether the schema's other keywords allow the value. */
function mayBe(value: unknown, part: Part, means: Means): boolean {
  const { schema, path } = part;
  const { relax } = means;
  const atLeast = (keyword: string, size: number) => typeof schema[keyword] !== "number" || size >= schema[keyword];
  const atMost = (keyword: string, size: number) => typeof schema[keyword] !== "number" || size <= schema[keyword];
  if (typeof value === "string") {
    if (isTextFormat(schema.format)) {
      relax({ path, keyword: "format", reason: "listed values are not compared with a format" });
    }
    const length = [...value].length;
    return atLeast("minLength", length) && atMost("maxLength", length) && mayMatch(value, part, means);
  }
  if (typeof value === "number") {
    if (schema.exclusiveMinimum === value || schema.exclusiveMaximum === value) return false;
    if (isPositive(schema.multipleOf) && !Number.isInteger(value / schema.multipleOf)) return false;
    const inside = atLeast("exclusiveMinimum", value) && atMost("exclusiveMaximum", value);
    return inside && atLeast("minimum", value) && atMost("maximum", value);
  }
  if (typeof value === "object" && value !== null && STRUCTURE.some((keyword) => schema[keyword] !== undefined)) {
    relax({ path, keyword: "enum", reason: "listed objects and arrays are not compared with the other keywords" });
  }
  return true;
}

const STRUCTURE = [
  ...["properties", "required", "additionalProperties", "patternProperties", "items", "prefixItems"],
  ...["minItems", "maxItems", "minProperties", "maxProperties", "unevaluatedProperties", "unevaluatedItems"],
  ...["propertyNames", "contains", "uniqueItems", "dependentRequired", "dependentSchemas", "dependencies"],
];

/** A pattern that can't be looked for in bounded time, or is none, forbids nothing, and that is reported. */
function mayMatch(text: string, { schema, path }: Part, { matches, relax }: Means): boolean {
  const { pattern } = schema;
  if (pattern === undefined) return true;
  const isMatch = typeof pattern === "string" ? matches(pattern, text) : null;
  if (isMatch === null) relax({ path, keyword: "pattern", reason: "listed values are not compared with this one" });
  return isMatch !== false;
}

function isOfTypes(value: unknown, types: Set<JsonType>): boolean {
  const type = typeOf(value);
  return types.has(type) || (type === "integer" && types.has("number"));
}

export function typeOf(value: unknown): JsonType {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  if (typeof value === "string" || typeof value === "boolean") return typeof value as "string" | "boolean";
  return "object";
}
