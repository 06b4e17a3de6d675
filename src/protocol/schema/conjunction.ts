// A place in a document where several schemas hold at once: `allOf`, and what stands beside a `$ref`. Lowering works on
// such lists instead of merging schemas, so that every keyword keeps its own place. Pure.

import type { Matches } from "./matchers.ts";
import { joinPath, type References } from "./references.ts";
import { isSchemaObject, type Relaxation, type SchemaObject } from "./relaxation.ts";

/** One of the schemas that hold at a place. */
export interface Part {
  schema: SchemaObject;
  path: string;
  /** Keywords whose alternatives are decided already. */
  decided: readonly ("anyOf" | "oneOf")[];
}

export interface Conjunction {
  /** Null: `false` is among them, so nothing matches. */
  parts: Part[] | null;
  /** Something was reached by reference, so it may lead back to itself. */
  byReference: boolean;
}

export type Relax = (relaxation: Relaxation) => void;

/** What the lowering of single keywords needs of the whole. */
export interface Means {
  relax: Relax;
  matches: Matches;
}

/** Schemas that a single place may hold: real ones stay below ten. */
const PARTS_MAX = 64;

/** All schemas that hold where these do, besides those that are gathered already. */
export function gather(
  gathered: readonly Part[],
  start: readonly RawPart[],
  references: References,
  relax: Relax,
): Conjunction {
  const parts = [...gathered];
  const seen = new Set(parts.map(({ schema }) => schema));
  let byReference = false;
  const open = [...start].reverse();
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { schema, path } = next;
    if (schema === false) return { parts: null, byReference };
    if (!isSchemaObject(schema)) {
      if (schema !== true) relax({ path, keyword: "schema", reason: "it is neither an object nor a boolean" });
      continue;
    }
    // A reference that leads back to itself without anything in between says nothing.
    if (seen.has(schema)) continue;
    seen.add(schema);
    if (parts.length === PARTS_MAX) {
      relax({ path, keyword: "allOf", reason: `more than ${PARTS_MAX} schemas hold at one place` });
      break;
    }
    parts.push({ schema, path, decided: [] });
    open.push(...listConjuncts(schema, path, relax));
    const ref = schema.$ref ?? schema.$dynamicRef ?? schema.$recursiveRef;
    if (ref === undefined) continue;
    byReference = true;
    const target = typeof ref === "string" ? references.find(ref) : null;
    if (target !== null) open.push(target);
    else relax({ path, keyword: "$ref", reason: `${JSON.stringify(ref)} is not in this schema` });
  }
  return { parts, byReference };
}

/** A schema that was not looked at yet. */
export interface RawPart {
  schema: unknown;
  path: string;
}

function listConjuncts(schema: SchemaObject, path: string, relax: Relax): RawPart[] {
  const { allOf } = schema;
  if (allOf === undefined) return [];
  if (!Array.isArray(allOf)) {
    relax({ path, keyword: "allOf", reason: "it is not a list of schemas" });
    return [];
  }
  return allOf.map((child: unknown, i): RawPart => ({ schema: child, path: joinPath(path, "allOf", i) })).reverse();
}
