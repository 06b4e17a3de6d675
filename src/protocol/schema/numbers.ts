// Lowers numbers: bounds become numbers of the grammar for integers, patterns for others; multiples it can't express. Pure.

import type { Part, Relax } from "./conjunction.ts";
import { type DecimalBounds, writeDecimals } from "./decimals.ts";
import type { Lowered } from "./relaxation.ts";

/** Integers that every reader of JSON keeps exactly. */
const INTEGER_MAX = Number.MAX_SAFE_INTEGER;

export function lowerNumber(parts: readonly Part[], isInteger: boolean, relax: Relax): Lowered {
  const multiples = parts.filter(({ schema }) => isPositive(schema.multipleOf));
  const whole = isInteger || multiples.some(({ schema }) => Number.isInteger(schema.multipleOf));
  for (const { schema, path } of multiples) {
    if (schema.multipleOf === 1 && whole) continue;
    relax({ path, keyword: "multipleOf", reason: "a grammar does not divide" });
  }
  const bounds = readBounds(parts);
  return whole ? lowerInteger(bounds) : lowerReal(bounds, parts, relax);
}

function lowerInteger({ min, max, minExcluded, maxExcluded }: DecimalBounds): Lowered {
  const lowest = minExcluded ? Math.floor(min) + 1 : Math.ceil(min);
  const highest = maxExcluded ? Math.ceil(max) - 1 : Math.floor(max);
  if (lowest > highest || lowest > INTEGER_MAX || highest < -INTEGER_MAX) return null;
  if (lowest === Number.NEGATIVE_INFINITY && highest === Number.POSITIVE_INFINITY) return { type: "integer" };
  // Both bounds: with one of them llama.cpp's grammar has leading zeros, or repeats a digit fewer times than it says.
  return { type: "integer", minimum: Math.max(lowest, -INTEGER_MAX), maximum: Math.min(highest, INTEGER_MAX) };
}

function lowerReal(
  { min, max, minExcluded, maxExcluded }: DecimalBounds,
  parts: readonly Part[],
  relax: Relax,
): Lowered {
  if (min > max || (min === max && (minExcluded || maxExcluded))) return null;
  if (min === Number.NEGATIVE_INFINITY && max === Number.POSITIVE_INFINITY) return { type: "number" };
  const pattern = writeDecimals({ min, max, minExcluded, maxExcluded });
  if (pattern !== null) return { type: "number", "x-number-pattern": pattern };
  for (const { schema, path } of parts) {
    for (const keyword of ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]) {
      if (typeof schema[keyword] === "number")
        relax({ path, keyword, reason: "the bounds have too many digits for the grammar" });
    }
  }
  return { type: "number" };
}

function readBounds(parts: readonly Part[]): DecimalBounds {
  const bounds: DecimalBounds = {
    min: Number.NEGATIVE_INFINITY,
    max: Number.POSITIVE_INFINITY,
    minExcluded: false,
    maxExcluded: false,
  };
  const raise = (value: unknown, excluded: boolean) => {
    if (typeof value !== "number" || value < bounds.min) return;
    bounds.minExcluded = excluded || (value === bounds.min && bounds.minExcluded);
    bounds.min = value;
  };
  const lower = (value: unknown, excluded: boolean) => {
    if (typeof value !== "number" || value > bounds.max) return;
    bounds.maxExcluded = excluded || (value === bounds.max && bounds.maxExcluded);
    bounds.max = value;
  };
  for (const { schema } of parts) {
    // Draft 4 wrote `exclusiveMinimum: true` beside the bound.
    raise(schema.minimum, schema.exclusiveMinimum === true);
    raise(schema.exclusiveMinimum, true);
    lower(schema.maximum, schema.exclusiveMaximum === true);
    lower(schema.exclusiveMaximum, true);
    if (schema.format === "int32") {
      raise(-(2 ** 31), false);
      lower(2 ** 31 - 1, false);
    }
  }
  return bounds;
}

export function isPositive(value: unknown): value is number {
  return typeof value === "number" && value > 0;
}
