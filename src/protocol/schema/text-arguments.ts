// What a grammar keeps of a tool's schema where the model's format does not write a call's arguments as one JSON value:
// found from the lowered schema, after the load, since the format is the model's. Pure.

import type { ArgumentFormat } from "../model-info.ts";
import { joinPath } from "./references.ts";
import { isSchemaObject, type Relaxation, type SchemaObject } from "./relaxation.ts";

/** Alternatives within alternatives, and elements within elements. */
const DEPTH_MAX = 16;
const TAG_START = "<";
/** What a person would name of a parameter's schema. */
const TELLING = ["enum", "const", "pattern", "format", "minLength", "maxLength", "anyOf", "oneOf", "allOf", "$ref"];
const NESTED = ["minItems", "maxItems", "items", "properties"];

/** What the format does not hold of a schema that was lowered with `onlyObjects`. */
export function relaxArguments(format: ArgumentFormat, source: unknown, lowered: SchemaObject): Relaxation[] {
  if (format === "json") return [];
  const properties = isSchemaObject(lowered.properties) ? Object.entries(lowered.properties) : [];
  if (format === "loose" || format === "none") {
    if (isAnyObject(lowered)) return [];
    const reason = "the model's format of calls holds arguments to no schema";
    return [{ path: "#", keyword: "parameters", reason }];
  }
  if (lowered.type !== "object") {
    const keyword =
      ["anyOf", "oneOf", "allOf", "enum", "const", "$ref"].find((name) => readOwn(source, name)) ?? "schema";
    return [{ path: "#", keyword, reason: "the model's format writes named arguments one by one" }];
  }
  const holds = new Holding(lowered, format === "nested");
  const reason = "the model's format writes texts as they are, and holds this one to nothing";
  return properties
    .filter(([, schema]) => !holds.holds(schema))
    .map(([name]) => ({ ...nameConstraint(source, name), reason }));
}

function isAnyObject({ type, properties, required, additionalProperties, ...rest }: SchemaObject): boolean {
  const said = [...Object.values(isSchemaObject(properties) ? properties : {}), additionalProperties ?? {}];
  const isAny = said.every(
    (schema) => schema === false || (isSchemaObject(schema) && Object.keys(schema).length === 0),
  );
  const names = Object.keys(rest).filter((name) => name !== "$defs");
  return (type === "object" || type === undefined) && required === undefined && isAny && names.length === 0;
}

function readOwn(source: unknown, name: string): unknown {
  return isSchemaObject(source) && Object.hasOwn(source, name) ? source[name] : undefined;
}

function nameConstraint(source: unknown, name: string): { path: string; keyword: string } {
  const said = readOwn(readOwn(source, "properties"), name);
  if (said === undefined) return { path: "#", keyword: "properties" };
  const keyword = [...TELLING, ...NESTED].find((telling) => readOwn(said, telling) !== undefined) ?? "type";
  return { path: joinPath("#", "properties", name), keyword };
}

class Holding {
  readonly #definitions: SchemaObject;
  readonly #isNested: boolean;

  constructor({ $defs }: SchemaObject, isNested: boolean) {
    this.#definitions = isSchemaObject($defs) ? $defs : {};
    this.#isNested = isNested;
  }

  /** Whether the grammar holds an argument to its schema. */
  holds(schema: unknown, depth = 0): boolean {
    const alternatives = this.#list(schema, 0);
    // Any value will do.
    if (alternatives.some(isAny)) return true;
    const texts = alternatives.filter(mayBeText);
    if (texts.length > 0) return holdsTexts(texts, alternatives);
    if (!this.#isNested) return true;
    return depth < DEPTH_MAX && alternatives.every((alternative) => this.#holdsNested(alternative, depth));
  }

  /** With the alternatives in alternatives, and what is referred to. */
  #list(schema: unknown, depth: number): SchemaObject[] {
    if (!isSchemaObject(schema) || depth === DEPTH_MAX) return [];
    const { $ref, anyOf } = schema;
    if (typeof $ref === "string") return this.#list(this.#definitions[$ref.slice("#/$defs/".length)], depth + 1);
    return Array.isArray(anyOf) ? anyOf.flatMap((child) => this.#list(child, depth + 1)) : [schema];
  }

  /** What is in it is written one by one as well. */
  #holdsNested({ type, properties, items, minItems, maxItems }: SchemaObject, depth: number): boolean {
    if (type === "array" && isSchemaObject(items)) {
      return minItems === undefined && maxItems === undefined && this.holds(items, depth + 1);
    }
    return !isSchemaObject(properties) || Object.values(properties).every((child) => this.holds(child, depth + 1));
  }
}

function isAny(schema: SchemaObject): boolean {
  return Object.keys(schema).length === 0;
}

function listed({ enum: values, const: constant, ...rest }: SchemaObject): readonly unknown[] | null {
  if (Array.isArray(values)) return values;
  return constant !== undefined && Object.keys(rest).length === 0 ? [constant] : null;
}

function mayBeText(schema: SchemaObject): boolean {
  return schema.type === "string" || listed(schema)?.some((value) => typeof value === "string") === true;
}

/** `texts` are those of the alternatives that a text may match. */
function holdsTexts(texts: readonly SchemaObject[], alternatives: readonly SchemaObject[]): boolean {
  const others = alternatives.filter((alternative) => !texts.includes(alternative));
  const isPlain = ({ type, ...rest }: SchemaObject, ...types: string[]) =>
    types.includes(String(type)) && Object.keys(rest).length === 0;
  // Any text will do; some parsers read what looks like JSON as one of the other types, whatever their schemas say.
  if (texts.some((text) => isPlain(text, "string"))) {
    const values = texts.flatMap((text) => listed(text) ?? []);
    return (
      values.every((value) => typeof value === "string") && others.every((o) => isPlain(o, "null", "boolean", "number"))
    );
  }
  const values = texts.flatMap((text) => listed(text) ?? []);
  const isMixed = others.length > 0 || values.some((value) => typeof value !== "string");
  const areSafe = values.every(
    (value) => typeof value !== "string" || !(value.includes(TAG_START) || (isMixed && isJson(value))),
  );
  const patterns = texts.filter((text) => listed(text) === null);
  const areWritten = patterns.every((text) => typeof text["x-text"] === "string");
  const areApart =
    patterns.length === 0 ||
    (values.every((v) => typeof v !== "number") && others.every((o) => isPlain(o, "null", "boolean")));
  return areSafe && areWritten && areApart;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    // Nobody reads it as anything but a text.
    return false;
  }
}
