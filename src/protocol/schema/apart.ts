// Whether a value can match two alternatives of a `oneOf`. It looks at the schemas as they came: lowered ones allow less,
// and what is apart there may meet in a value all the same. Pure.

import type { Part, RawPart } from "./conjunction.ts";
import { joinPath } from "./references.ts";
import { isSchemaObject } from "./relaxation.ts";
import { declaredTypes, type JsonType } from "./types.ts";
import { toKey, typeOf } from "./values.ts";

/** All schemas that hold at a place; null: nothing matches. */
export type Gather = (start: readonly RawPart[]) => readonly Part[] | null;

/** Properties of properties: what tells alternatives apart is near the top. */
const DEPTH_MAX = 3;
/** Pairs of places that are compared, and the values that they list. */
const WORK_MAX = 50_000;

/** True only when it is certain that no value matches two of them. */
export function areApart(alternatives: readonly RawPart[], gather: Gather): boolean {
  const places = alternatives.map((alternative) => gather([alternative]));
  const search = { gather, left: WORK_MAX };
  return places.every((a, i) => places.slice(i + 1).every((b) => arePairApart(a, b, search, 0)));
}

interface Search {
  gather: Gather;
  /** What may still be done. */
  left: number;
}

function arePairApart(a: readonly Part[] | null, b: readonly Part[] | null, search: Search, depth: number): boolean {
  if (a === null || b === null) return true;
  search.left -= a.length + b.length;
  if (depth > DEPTH_MAX || search.left < 0) return false;
  const { gather } = search;
  const [values, others] = [valuesOf(a), valuesOf(b)];
  search.left -= (values?.size ?? 0) + (others?.size ?? 0);
  if (values !== null && others !== null && values.isDisjointFrom(others)) return true;
  const [types, otherTypes] = [typesOf(a), typesOf(b)];
  if (types === null || otherTypes === null) return false;
  const common = types.intersection(otherTypes);
  if (common.size === 0) return true;
  if (common.size > 1 || !common.has("object")) return false;
  const [required, otherRequired] = [requiredOf(a), requiredOf(b)];
  return [...required.union(otherRequired)].some((name) => {
    const isInBoth = required.has(name) && otherRequired.has(name);
    const [one, other] = [gather(propertyOf(a, name)), gather(propertyOf(b, name))];
    return one === null || other === null || (isInBoth && arePairApart(one, other, search, depth + 1));
  });
}

/** Types that a value must have one of, an integer under the name of a number; null: any. */
function typesOf(parts: readonly Part[]): Set<JsonType> | null {
  let types: Set<JsonType> | null = null;
  for (const part of parts) {
    const declared = declaredTypes(part, () => {}) ?? typesOfValues(part);
    if (declared === null) continue;
    const own = new Set([...declared].map((type) => (type === "integer" ? "number" : type)));
    types = types === null ? own : types.intersection(own);
  }
  return types;
}

function typesOfValues(part: Part): Set<JsonType> | null {
  const listed = listValues(part);
  return listed === null ? null : new Set(listed.map(typeOf));
}

function listValues({ schema }: Part): readonly unknown[] | null {
  if (Object.hasOwn(schema, "const")) return [schema.const];
  return Array.isArray(schema.enum) ? schema.enum : null;
}

function valuesOf(parts: readonly Part[]): Set<string> | null {
  for (const part of parts) {
    const listed = listValues(part);
    if (listed !== null) return new Set(listed.map(toKey));
  }
  return null;
}

function requiredOf(parts: readonly Part[]): Set<string> {
  return new Set(parts.flatMap(({ schema }) => (Array.isArray(schema.required) ? (schema.required as string[]) : [])));
}

/** What must hold for a property that is there; names in patterns are not looked at. */
function propertyOf(parts: readonly Part[], name: string): RawPart[] {
  return parts.flatMap(({ schema, path }): RawPart[] => {
    const { properties, additionalProperties, patternProperties } = schema;
    if (isSchemaObject(properties) && Object.hasOwn(properties, name)) {
      return [{ schema: properties[name], path: joinPath(path, "properties", name) }];
    }
    return additionalProperties === false && patternProperties === undefined ? [{ schema: false, path }] : [];
  });
}
