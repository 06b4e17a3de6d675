// Checks texts and numbers against the keywords that speak of them. Pure.

import type { Check, Fault } from "./check.ts";
import { isOfFormat } from "./formats.ts";
import { isPositive } from "./numbers.ts";
import type { SchemaObject } from "./relaxation.ts";
import { isCount, isTextFormat } from "./strings.ts";

/** What rounding leaves of a quotient that is whole: 0.3 / 0.1 is not 3. */
const QUOTIENT_ERROR = 4 * Number.EPSILON;

export function checkNumber(schema: SchemaObject, value: number, path: string): Fault | null {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
  const isBelow = (bound: unknown) => typeof bound === "number" && value < bound;
  const isAbove = (bound: unknown) => typeof bound === "number" && value > bound;
  if (isBelow(minimum) || (exclusiveMinimum === true && value === minimum)) {
    return { path, message: `is below the minimum ${minimum}` };
  }
  if (isAbove(maximum) || (exclusiveMaximum === true && value === maximum)) {
    return { path, message: `is above the maximum ${maximum}` };
  }
  if (isBelow(exclusiveMinimum) || value === exclusiveMinimum) {
    return { path, message: `must be more than ${exclusiveMinimum}` };
  }
  if (isAbove(exclusiveMaximum) || value === exclusiveMaximum) {
    return { path, message: `must be less than ${exclusiveMaximum}` };
  }
  if (!isPositive(multipleOf)) return null;
  const quotient = value / multipleOf;
  const rounding = Number.isInteger(multipleOf) ? 0 : QUOTIENT_ERROR * Math.max(1, Math.abs(quotient));
  const isWhole = Math.abs(quotient - Math.round(quotient)) <= rounding;
  return isWhole ? null : { path, message: `is no multiple of ${multipleOf}` };
}

export function checkString(check: Check, schema: SchemaObject, value: string, path: string): Fault | null {
  const { minLength, maxLength, pattern, format } = schema;
  check.charge(value.length / 64);
  if (isCount(minLength) || isCount(maxLength)) {
    const length = [...value].length;
    if (isCount(minLength) && length < minLength) return { path, message: `has fewer than ${minLength} characters` };
    if (isCount(maxLength) && length > maxLength) return { path, message: `has more than ${maxLength} characters` };
  }
  if (typeof pattern === "string") {
    const isMatch = check.matches(pattern, value);
    if (isMatch === false) return { path, message: `does not match the pattern ${pattern.slice(0, 100)}` };
  }
  if (typeof format === "string") {
    const isRight = isOfFormat(format, value);
    if (isRight === false) return { path, message: `is no ${format}` };
    if (isRight === null && isTextFormat(format)) check.doubt(`the format ${format} is not checked`);
  }
  return null;
}
