// A schema as our checks use it → as the OpenAPI document shows it. Says what the check's surroundings do (a null is an
// absent field, see body.ts), and writes records in the words that generators of clients know. Pure.

import { isSchemaObject } from "../protocol/schema/relaxation.ts";
import { findAnyName } from "./any-name.ts";

type Schema = Record<string, unknown>;

/** `takesNulls`: of requests, whose optional fields may be null. */
export function documentSchema(schema: object, takesNulls: boolean): Schema {
  const shown: Schema = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === "properties") shown[key] = documentProperties(value, readRequired(schema), takesNulls);
    else if (Array.isArray(value)) shown[key] = value.map((item) => documentPart(item, takesNulls));
    else if (key === "items" || key === "additionalProperties") shown[key] = documentPart(value, takesNulls);
    else if (key === "patternProperties" && isSchemaObject(value) && isSchemaObject(findAnyName(value))) {
      shown.additionalProperties = documentPart(findAnyName(value), takesNulls);
    } else shown[key] = value;
  }
  return shown;
}

function documentPart(part: unknown, takesNulls: boolean): unknown {
  return isSchemaObject(part) ? documentSchema(part, takesNulls) : part;
}

function documentProperties(properties: unknown, required: readonly unknown[], takesNulls: boolean): Schema {
  const shown: Schema = {};
  for (const [name, property] of Object.entries(isSchemaObject(properties) ? properties : {})) {
    const field = documentPart(property, takesNulls);
    shown[name] = takesNulls && !required.includes(name) && isSchemaObject(field) ? allowNull(field) : field;
  }
  return shown;
}

function allowNull(schema: Schema): Schema {
  if (Array.isArray(schema.anyOf)) return { ...schema, anyOf: [...schema.anyOf, { type: "null" }] };
  if (schema.const !== undefined) {
    const { description, ...constant } = schema;
    return { ...(description === undefined ? {} : { description }), anyOf: [constant, { type: "null" }] };
  }
  // Without a type anything goes, null as well.
  return typeof schema.type === "string" ? { ...schema, type: [schema.type, "null"] } : schema;
}

function readRequired(schema: object): readonly unknown[] {
  return "required" in schema && Array.isArray(schema.required) ? schema.required : [];
}
