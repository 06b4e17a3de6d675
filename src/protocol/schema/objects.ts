// Lowers objects: their properties, which of them must be there, and whether there may be others. Pure.

import type { LowerChild } from "./arrays.ts";
import type { Means, Part, RawPart, Relax } from "./conjunction.ts";
import { joinPath } from "./references.ts";
import { isSchemaObject, type Lowered, type SchemaObject } from "./relaxation.ts";
import { isCount } from "./strings.ts";

/** Names are parts of names of rules, and of the regular expressions that llama.cpp makes those with. */
const NAME_CHARS_MAX = 500;
/** Keywords that make one property depend on another. */
const DEPENDENCIES = ["dependentRequired", "dependentSchemas", "dependencies"];

export function lowerObject(parts: readonly Part[], lowerChild: LowerChild, means: Means): Lowered {
  const { relax } = means;
  const required = listRequired(parts);
  const properties: [string, SchemaObject][] = [];
  const names = listNames(parts, required);
  const long = [...names].find((name) => name.length > NAME_CHARS_MAX);
  if (long !== undefined) return giveUpNames(parts, relax);
  for (const name of names) {
    const said = parts.flatMap((part) => propertyOf(part, name, means));
    const lowered = lowerChild(said.length > 0 ? said : parts.flatMap(unevaluated));
    if (lowered !== null) properties.push([name, lowered]);
    else if (required.has(name)) return null;
  }
  const lowered: SchemaObject = { type: "object", properties: Object.fromEntries(properties) };
  if (required.size > 0) lowered.required = [...required];
  const others = lowerAdditional(parts, lowerChild, relax);
  const additional = properties.some(([name]) => isTangled(name)) ? null : others;
  // Absent means none where properties are named, and any where none are.
  lowered.additionalProperties = additional ?? false;
  relaxCounts(parts, properties.length, required.size, additional === null, relax);
  for (const { schema, path } of parts) {
    if (!keepsNames(schema.propertyNames))
      relax({ path, keyword: "propertyNames", reason: "the grammar does not look at names" });
    for (const keyword of DEPENDENCIES) {
      if (schema[keyword] !== undefined)
        relax({ path, keyword, reason: "a grammar does not remember what was written" });
    }
  }
  return properties.length === 0 && additional !== null && Object.keys(additional).length === 0
    ? { type: "object" }
    : lowered;
}

/** The grammar of other names can't tell these from what it means: its own sign, nothing, and what JSON escapes. */
function isTangled(name: string): boolean {
  return name === "*" || name === "" || JSON.stringify(name) !== `"${name}"`;
}

function giveUpNames(parts: readonly Part[], relax: Relax): SchemaObject {
  const [part] = parts;
  const reason = `a name has more than ${NAME_CHARS_MAX} characters; any object will do`;
  relax({ path: part?.path ?? "#", keyword: "properties", reason });
  return { type: "object" };
}

function listRequired(parts: readonly Part[]): Set<string> {
  const names = parts.flatMap(({ schema }) => (Array.isArray(schema.required) ? schema.required : []));
  return new Set(names.filter((name) => typeof name === "string"));
}

/** In the order of the schema: models write them so. */
function listNames(parts: readonly Part[], required: Set<string>): Set<string> {
  const names = new Set<string>();
  for (const { schema } of parts) {
    if (isSchemaObject(schema.properties)) for (const name of Object.keys(schema.properties)) names.add(name);
    const { propertyNames } = schema;
    const listed = isSchemaObject(propertyNames) && Array.isArray(propertyNames.enum) ? propertyNames.enum : [];
    for (const name of listed) if (typeof name === "string") names.add(name);
  }
  return names.union(required);
}

/** What a schema says of a property: under its name, by a pattern of names, or as one of the others. */
function propertyOf({ schema, path }: Part, name: string, { matches, relax }: Means): RawPart[] {
  const found: RawPart[] = [];
  const { properties, patternProperties, additionalProperties, propertyNames } = schema;
  if (isSchemaObject(properties) && Object.hasOwn(properties, name)) {
    found.push({ schema: properties[name], path: joinPath(path, "properties", name) });
  }
  for (const [pattern, child] of isSchemaObject(patternProperties) ? Object.entries(patternProperties) : []) {
    const isMeant = matches(pattern, name);
    const at = joinPath(path, "patternProperties", pattern);
    if (isMeant === null)
      relax({ path: at, keyword: "patternProperties", reason: "names are not compared with this one" });
    if (isMeant !== false) found.push({ schema: child, path: at });
  }
  if (found.length === 0 && additionalProperties !== undefined) {
    found.push({ schema: additionalProperties, path: joinPath(path, "additionalProperties") });
  }
  if (isSchemaObject(propertyNames) && Array.isArray(propertyNames.enum) && !propertyNames.enum.includes(name)) {
    found.push({ schema: false, path: joinPath(path, "propertyNames") });
  }
  return found;
}

/** What holds for a property of which no schema says anything. */
function unevaluated({ schema, path }: Part): RawPart[] {
  const { unevaluatedProperties } = schema;
  if (unevaluatedProperties === undefined) return [];
  return [{ schema: unevaluatedProperties, path: joinPath(path, "unevaluatedProperties") }];
}

/** Properties that have no name in the schema; null: there are none. */
function lowerAdditional(parts: readonly Part[], lowerChild: LowerChild, relax: Relax): Lowered {
  const isNamed = parts.some(({ schema }) => isSchemaObject(schema.properties));
  const children: RawPart[] = [];
  let isOpen = !isNamed;
  for (const { schema, path } of parts) {
    const { additionalProperties, unevaluatedProperties, patternProperties, propertyNames } = schema;
    if (unevaluatedProperties === false) return null;
    if (unevaluatedProperties !== undefined && additionalProperties === undefined)
      children.push(...unevaluated({ schema, path, decided: [] }));
    if (isSchemaObject(propertyNames) && Array.isArray(propertyNames.enum)) return null;
    const patterns = isSchemaObject(patternProperties) ? Object.entries(patternProperties) : [];
    if (additionalProperties !== undefined) isOpen = true;
    if (additionalProperties !== undefined && (additionalProperties !== false || patterns.length === 0)) {
      children.push({ schema: additionalProperties, path: joinPath(path, "additionalProperties") });
    }
    if (isNamed && additionalProperties === false) return null;
    for (const [pattern, child] of patterns) {
      const at = joinPath(path, "patternProperties", pattern);
      relax({ path: at, keyword: "patternProperties", reason: "the grammar does not look at names" });
      children.push({ schema: child, path: at });
    }
  }
  return isOpen ? lowerChild(children) : null;
}

/** Whether nothing is asked of names but what the grammar keeps: a list, or, as zod writes records, that they are texts. */
function keepsNames(propertyNames: unknown): boolean {
  if (!isSchemaObject(propertyNames)) return propertyNames === undefined || propertyNames === true;
  if (Array.isArray(propertyNames.enum)) return true;
  const { type, ...rest } = propertyNames;
  return (type === undefined || type === "string") && Object.keys(rest).length === 0;
}

function relaxCounts(parts: readonly Part[], named: number, required: number, isClosed: boolean, relax: Relax): void {
  for (const { schema, path } of parts) {
    const { minProperties, maxProperties } = schema;
    const reason = "a grammar does not count properties";
    if (isCount(minProperties) && minProperties > required) relax({ path, keyword: "minProperties", reason });
    if (isCount(maxProperties) && !(isClosed && named <= maxProperties))
      relax({ path, keyword: "maxProperties", reason });
  }
}
