// Finds definitions that can never end: each of their values has to hold another one of the same kind, so a model that
// follows them writes for ever. Pure.

import { isSchemaObject, type SchemaObject } from "./relaxation.ts";

/** Names of definitions of which no value is finite. */
export function findEndless(definitions: ReadonlyMap<string, SchemaObject>): string[] {
  const ending = new Set<string>();
  for (;;) {
    const found = [...definitions].filter(([name, schema]) => !ending.has(name) && canEnd(schema, ending));
    if (found.length === 0) break;
    for (const [name] of found) ending.add(name);
  }
  return [...definitions.keys()].filter((name) => !ending.has(name));
}

function canEnd(schema: SchemaObject, ending: ReadonlySet<string>): boolean {
  const { $ref, anyOf, properties, required, items, minItems, prefixItems } = schema;
  if (typeof $ref === "string") return ending.has($ref.slice("#/$defs/".length));
  if (Array.isArray(anyOf)) return anyOf.some((child) => isSchemaObject(child) && canEnd(child, ending));
  if (Array.isArray(prefixItems)) return prefixItems.every((child) => isSchemaObject(child) && canEnd(child, ending));
  if (isSchemaObject(items) && typeof minItems === "number") return canEnd(items, ending);
  if (!isSchemaObject(properties) || !Array.isArray(required)) return true;
  return required.every((name) => {
    const child = properties[name as string];
    return !isSchemaObject(child) || canEnd(child, ending);
  });
}
