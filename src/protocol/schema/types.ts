// Which JSON types a place allows, by what its schemas say and, where they say nothing, by the keywords they use. Pure.

import type { Part, Relax } from "./conjunction.ts";
import { isTextFormat } from "./strings.ts";

const JSON_TYPES = ["object", "array", "string", "integer", "number", "boolean", "null"] as const;
export type JsonType = (typeof JSON_TYPES)[number];

/** What agents write in place of the seven names. */
const OTHER_NAMES: Readonly<Record<string, JsonType>> = {
  int: "integer",
  long: "integer",
  float: "number",
  double: "number",
  bool: "boolean",
  str: "string",
  text: "string",
  dict: "object",
  map: "object",
  list: "array",
  tuple: "array",
  none: "null",
};

const KEYWORDS: readonly { type: JsonType; keywords: readonly string[] }[] = [
  {
    type: "object",
    keywords: [
      ...["properties", "required", "additionalProperties", "patternProperties", "propertyNames"],
      ...["minProperties", "maxProperties", "unevaluatedProperties"],
    ],
  },
  {
    type: "array",
    keywords: ["items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains"],
  },
  { type: "string", keywords: ["pattern", "minLength", "maxLength"] },
  { type: "number", keywords: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"] },
];

/** Types that all parts allow; null: nobody says anything, so any value will do. */
export function allowedTypes(parts: readonly Part[], relax: Relax): Set<JsonType> | null {
  let allowed: Set<JsonType> | null = null;
  for (const part of parts) {
    const own = declaredTypes(part, relax);
    if (own !== null) allowed = allowed === null ? own : intersect(allowed, own);
  }
  return allowed ?? impliedTypes(parts);
}

export function declaredTypes({ schema, path }: Part, relax: Relax): Set<JsonType> | null {
  const { type } = schema;
  if (type === undefined || type === null) return null;
  const types = new Set<JsonType>();
  for (const name of Array.isArray(type) ? type : [type]) {
    const known = toJsonType(name);
    if (known === null) {
      relax({ path, keyword: "type", reason: `${JSON.stringify(name)} is not a type, so any value will do` });
      return null;
    }
    types.add(known);
  }
  // As OpenAPI 3.0 says it.
  if (schema.nullable === true) types.add("null");
  return types;
}

function toJsonType(name: unknown): JsonType | null {
  if (typeof name !== "string") return null;
  const lower = name.toLowerCase();
  return (
    JSON_TYPES.find((type) => type === lower) ?? (Object.hasOwn(OTHER_NAMES, lower) ? OTHER_NAMES[lower] : null) ?? null
  );
}

/** A number may be an integer; the narrower one is what both allow. */
function intersect(a: Set<JsonType>, b: Set<JsonType>): Set<JsonType> {
  const both = a.intersection(b);
  for (const [one, other] of [[a, b] as const, [b, a] as const]) {
    if (one.has("integer") && other.has("number")) both.add("integer");
  }
  return both;
}

/** By the standard a schema with `properties` alone allows a text as well; nobody means that. */
function impliedTypes(parts: readonly Part[]): Set<JsonType> | null {
  const uses = (keyword: string) => parts.some(({ schema }) => schema[keyword] !== undefined);
  const found = KEYWORDS.find(({ keywords }) => keywords.some(uses));
  if (found !== undefined) return new Set([found.type]);
  return parts.some(({ schema }) => isTextFormat(schema.format)) ? new Set(["string"]) : null;
}
