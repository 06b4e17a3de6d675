// A TypeBox validation error → the path of the field and one sentence that says what it must be. Pure.

import type { TSchema } from "@sinclair/typebox";
import { type ValueError, ValueErrorType } from "@sinclair/typebox/errors";

/** Longest excerpt of the wrong value that a message shows. */
const EXCERPT_CHARS_MAX = 60;

export interface Mismatch {
  param: string;
  message: string;
}

/** `root` is the checked value: it tells an array's index from an object's numeric key. */
export function describeMismatch(error: ValueError, root: unknown): Mismatch {
  const deepest = findDeepest(error);
  const param = formatPath(deepest.path, root);
  if (deepest.type === ValueErrorType.ObjectRequiredProperty || deepest.value === undefined) {
    return { param, message: `\`${param}\` is required: ${describeSchema(deepest.schema)}` };
  }
  return { param, message: `\`${param}\` must be ${describeSchema(deepest.schema)}, got ${excerpt(deepest.value)}` };
}

/** `/messages/0/content` → `messages[0].content`. */
function formatPath(pointer: string, root: unknown): string {
  let path = "";
  let parent = root;
  for (const raw of pointer.split("/").slice(1)) {
    const key = raw.replaceAll("~1", "/").replaceAll("~0", "~");
    if (Array.isArray(parent)) path += `[${key}]`;
    else path += path === "" ? key : `.${key}`;
    parent = typeof parent === "object" && parent !== null ? (parent as Record<string, unknown>)[key] : undefined;
  }
  return path === "" ? "body" : path;
}

/** In a union, the variant that got furthest into the value says most about what is wrong. */
function findDeepest(error: ValueError): ValueError {
  let deepest = error;
  for (const variant of error.errors) {
    for (const inner of variant) {
      const found = findDeepest(inner);
      if (countSteps(found.path) > countSteps(deepest.path)) deepest = found;
      // One is enough: a broken array of 100000 numbers has 100000 errors.
      break;
    }
  }
  return deepest;
}

function countSteps(path: string): number {
  return path.split("/").length;
}

function describeSchema(schema: TSchema): string {
  if (Array.isArray(schema.anyOf)) return joinWithOr(schema.anyOf.map(describeSchema));
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  switch (schema.type) {
    case "integer":
      return `an integer${describeRange(schema)}`;
    case "number":
      return `a number${describeRange(schema)}`;
    case "string":
      return describeString(schema);
    case "array":
      return `an array${describeCount(schema)} (each ${describeSchema(schema.items ?? {})})`;
    case "boolean":
      return "true or false";
    case "object":
      return schema.maxProperties === undefined ? "an object" : `an object of at most ${schema.maxProperties} entries`;
    default:
      return "another value";
  }
}

function describeRange(schema: TSchema): string {
  const { minimum, maximum, exclusiveMinimum } = schema;
  if (exclusiveMinimum !== undefined) return ` above ${exclusiveMinimum}, at most ${maximum}`;
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  if (minimum !== undefined) return ` of at least ${minimum}`;
  return "";
}

function describeString(schema: TSchema): string {
  const { minLength, maxLength } = schema;
  if (minLength !== undefined && maxLength !== undefined) return `a string of ${minLength} to ${maxLength} characters`;
  if (minLength !== undefined) return "a non-empty string";
  return maxLength === undefined ? "a string" : `a string of at most ${maxLength} characters`;
}

function describeCount(schema: TSchema): string {
  const { minItems, maxItems } = schema;
  if (minItems !== undefined && maxItems !== undefined) return ` of ${minItems} to ${maxItems} items`;
  if (minItems !== undefined) return ` of at least ${minItems} item${minItems === 1 ? "" : "s"}`;
  return maxItems === undefined ? "" : ` of at most ${maxItems} items`;
}

function joinWithOr(words: string[]): string {
  const different = [...new Set(words)];
  if (different.length < 2) return different.join("");
  return `${different.slice(0, -1).join(", ")} or ${different.at(-1)}`;
}

function excerpt(value: unknown): string {
  if (Array.isArray(value)) return `an array of ${value.length} items`;
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value);
  return text.length <= EXCERPT_CHARS_MAX ? text : `${text.slice(0, EXCERPT_CHARS_MAX)}… (${text.length} characters)`;
}
