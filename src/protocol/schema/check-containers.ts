// Checks objects and arrays against the keywords that speak of what is in them. Pure.

import type { Check, Fault, Seen } from "./check.ts";
import { joinPath } from "./references.ts";
import { isSchemaObject, type SchemaObject } from "./relaxation.ts";
import { isCount } from "./strings.ts";
import { toKey } from "./values.ts";

export function checkObject(
  check: Check,
  schema: SchemaObject,
  value: SchemaObject,
  path: string,
  seen: Seen | null,
): Fault | null {
  const names = Object.keys(value);
  check.charge(names.length);
  return (
    checkNames(check, schema, value, names, path) ??
    checkProperties(check, schema, value, names, path, seen) ??
    checkDependencies(check, schema, value, path, seen)
  );
}

function checkNames(
  check: Check,
  { required, minProperties, maxProperties, propertyNames }: SchemaObject,
  value: SchemaObject,
  names: readonly string[],
  path: string,
): Fault | null {
  if (Array.isArray(required)) {
    check.charge(required.length);
    const missing = required.find((name) => typeof name === "string" && !Object.hasOwn(value, name));
    if (missing !== undefined) return { path, message: `lacks the property ${JSON.stringify(missing)}` };
  }
  if (isCount(minProperties) && names.length < minProperties) {
    return { path, message: `has fewer than ${minProperties} properties` };
  }
  if (isCount(maxProperties) && names.length > maxProperties) {
    return { path, message: `has more than ${maxProperties} properties` };
  }
  if (propertyNames === undefined) return null;
  const wrong = names.find((name) => check.check(propertyNames, name, path, null) !== null);
  return wrong === undefined
    ? null
    : { path, message: `has a property of a wrong name: ${JSON.stringify(wrong.slice(0, 100))}` };
}

function checkProperties(
  check: Check,
  { properties, patternProperties, additionalProperties }: SchemaObject,
  value: SchemaObject,
  names: readonly string[],
  path: string,
  seen: Seen | null,
): Fault | null {
  const patterns = isSchemaObject(patternProperties) ? Object.entries(patternProperties) : [];
  for (const name of names) {
    const own = isSchemaObject(properties) && Object.hasOwn(properties, name) ? [properties[name]] : [];
    const meant = patterns.filter(([pattern]) => check.matches(pattern, name) === true).map(([, child]) => child);
    const schemas = [...own, ...meant];
    if (schemas.length === 0 && additionalProperties !== undefined) schemas.push(additionalProperties);
    for (const schema of schemas) {
      const fault = check.check(schema, value[name], joinPath(path, name), null);
      if (fault !== null) return fault;
    }
    if (schemas.length > 0) seen?.names.add(name);
  }
  return null;
}

function checkDependencies(
  check: Check,
  schema: SchemaObject,
  value: SchemaObject,
  path: string,
  seen: Seen | null,
): Fault | null {
  for (const keyword of ["dependentRequired", "dependentSchemas", "dependencies"]) {
    const dependencies = schema[keyword];
    if (!isSchemaObject(dependencies)) continue;
    for (const [name, needed] of Object.entries(dependencies)) {
      if (!Object.hasOwn(value, name)) continue;
      const needs = Array.isArray(needed) ? { required: needed } : needed;
      const fault = check.check(needs, value, path, seen);
      if (fault !== null) return { path: fault.path, message: `${fault.message}, as ${JSON.stringify(name)} asks for` };
    }
  }
  return null;
}

export function checkArray(
  check: Check,
  schema: SchemaObject,
  value: readonly unknown[],
  path: string,
  seen: Seen | null,
): Fault | null {
  const { minItems, maxItems, uniqueItems } = schema;
  check.charge(value.length);
  if (isCount(minItems) && value.length < minItems) return { path, message: `has fewer than ${minItems} items` };
  if (isCount(maxItems) && value.length > maxItems) return { path, message: `has more than ${maxItems} items` };
  if (uniqueItems === true) {
    const keys = value.map(toKey);
    check.charge(keys.reduce((sum, key) => sum + key.length, 0) / 16);
    if (new Set(keys).size < keys.length) return { path, message: "has equal items" };
  }
  return checkItems(check, schema, value, path, seen) ?? checkContains(check, schema, value, path, seen);
}

function checkItems(
  check: Check,
  { prefixItems, items, additionalItems }: SchemaObject,
  value: readonly unknown[],
  path: string,
  seen: Seen | null,
): Fault | null {
  const isOldTuple = !Array.isArray(prefixItems) && Array.isArray(items);
  const prefix: readonly unknown[] = Array.isArray(prefixItems) ? prefixItems : isOldTuple ? items : [];
  const rest = isOldTuple || Array.isArray(items) ? additionalItems : items;
  for (const [index, item] of value.entries()) {
    const schema = index < prefix.length ? prefix[index] : rest;
    if (schema === undefined) break;
    const fault = check.check(schema, item, joinPath(path, index), null);
    if (fault !== null) return fault;
    seen?.items.add(index);
  }
  return null;
}

function checkContains(
  check: Check,
  { contains, minContains, maxContains }: SchemaObject,
  value: readonly unknown[],
  path: string,
  seen: Seen | null,
): Fault | null {
  if (contains === undefined) return null;
  let count = 0;
  for (const [index, item] of value.entries()) {
    if (check.check(contains, item, joinPath(path, index), null) !== null) continue;
    count++;
    seen?.items.add(index);
  }
  const least = isCount(minContains) ? minContains : 1;
  if (count < least) return { path, message: `has fewer than ${least} items that \`contains\` asks for` };
  return isCount(maxContains) && count > maxContains
    ? { path, message: `has more than ${maxContains} items that \`contains\` asks for` }
    : null;
}
