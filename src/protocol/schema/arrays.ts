// Lowers arrays: items and how many, or a tuple, which the grammar takes with exactly its items. Pure.

import type { Part, RawPart, Relax } from "./conjunction.ts";
import { joinPath } from "./references.ts";
import type { Lowered, SchemaObject } from "./relaxation.ts";
import { isCount } from "./strings.ts";

/** llama.cpp refuses to repeat anything more often than 2,000 times; an item is more than one symbol. */
const ITEMS_MAX = 500;

export type LowerChild = (children: readonly RawPart[]) => Lowered;

export function lowerArray(parts: readonly Part[], lowerChild: LowerChild, relax: Relax): Lowered {
  relaxWhatIsNotCounted(parts, relax);
  const counts = (keyword: string) => parts.map(({ schema }) => schema[keyword]).filter(isCount);
  const min = Math.max(0, ...counts("minItems"));
  const max = Math.min(Number.POSITIVE_INFINITY, ...counts("maxItems"));
  if (min > max) return null;
  const places = Math.max(0, ...parts.map(({ schema }) => prefixOf(schema).length));
  if (places > 0) return lowerTuple(parts, { places, min, max }, lowerChild);
  const children = parts.flatMap((part) => itemAt(part, 0));
  const item = children.length === 0 ? {} : lowerChild(children);
  if (item === null) return min > 0 ? null : { type: "array", items: {}, maxItems: 0 };
  return withCounts(parts, item, min, max, relax);
}

function withCounts(parts: readonly Part[], item: SchemaObject, min: number, max: number, relax: Relax): SchemaObject {
  const lowered: SchemaObject = { type: "array", items: item };
  if (min > 0 && min <= ITEMS_MAX) lowered.minItems = min;
  if (max <= ITEMS_MAX) lowered.maxItems = max;
  for (const { schema, path } of parts) {
    for (const keyword of ["minItems", "maxItems"]) {
      const count = schema[keyword];
      if (isCount(count) && count > ITEMS_MAX)
        relax({ path, keyword, reason: `the grammar counts up to ${ITEMS_MAX}` });
    }
  }
  return lowered;
}

interface TupleSize {
  places: number;
  min: number;
  max: number;
}

/** All places are filled, and as many more as there have to be: fewer or more would do as well, but one number is enough. */
function lowerTuple(parts: readonly Part[], { places, min, max }: TupleSize, lowerChild: LowerChild): Lowered {
  const length = Math.min(Math.max(places, min), max, ITEMS_MAX);
  const items: SchemaObject[] = [];
  for (let i = 0; i < length; i++) {
    const item = lowerChild(parts.flatMap((part) => itemAt(part, i)));
    if (item === null) break;
    items.push(item);
  }
  if (items.length < min) return null;
  return items.length === 0 ? { type: "array", items: {}, maxItems: 0 } : { type: "array", prefixItems: items };
}

/** `prefixItems`, or a list as `items`, which older drafts had for it. */
function prefixOf({ prefixItems, items }: SchemaObject): unknown[] {
  if (Array.isArray(prefixItems)) return prefixItems;
  return Array.isArray(items) ? items : [];
}

function itemAt({ schema, path }: Part, index: number): RawPart[] {
  const keyword = Array.isArray(schema.prefixItems) ? "prefixItems" : "items";
  const prefix = prefixOf(schema);
  if (index < prefix.length) return [{ schema: prefix[index], path: joinPath(path, keyword, index) }];
  const rest = Array.isArray(schema.items) ? "additionalItems" : "items";
  return schema[rest] === undefined ? [] : [{ schema: schema[rest], path: joinPath(path, rest) }];
}

function relaxWhatIsNotCounted(parts: readonly Part[], relax: Relax): void {
  for (const { schema, path } of parts) {
    if (schema.uniqueItems === true && !(isCount(schema.maxItems) && schema.maxItems <= 1)) {
      relax({ path, keyword: "uniqueItems", reason: "a grammar does not remember what was written" });
    }
    if (schema.contains !== undefined && schema.minContains !== 0) {
      relax({ path, keyword: "contains", reason: "a grammar does not search" });
    }
    if (schema.maxContains !== undefined) relax({ path, keyword: "maxContains", reason: "a grammar does not search" });
  }
}
