// Alternatives of lowered schemas, put together. Pure.

import type { Lowered, SchemaObject } from "./relaxation.ts";

/** Those that can match, as one schema. */
export function unite(alternatives: readonly Lowered[]): Lowered {
  const flat = alternatives.flatMap((schema): SchemaObject[] => {
    if (schema === null) return [];
    return isUnion(schema) ? (schema.anyOf as SchemaObject[]) : [schema];
  });
  const different = [...new Map(flat.map((schema) => [JSON.stringify(schema), schema])).values()];
  const [first] = different;
  if (first === undefined) return null;
  return different.length === 1 ? first : { anyOf: different };
}

function isUnion(schema: SchemaObject): boolean {
  return Array.isArray(schema.anyOf) && Object.keys(schema).length === 1;
}
