// Objects whose names are the client's own, with one schema for what they hold. TypeBox's own record passes over names with
// line ends and does not look at their values at all. Pure.

import { type ObjectOptions, type TSchema, Type } from "@sinclair/typebox";

/** TypeBox's pattern for a record whose names are texts: its dot stops at line ends. */
const TYPEBOX_NAME = "^(.*)$";
const ANY_NAME = "^[^]*$";

export function AnyNames<V extends TSchema>(value: V, options: ObjectOptions = {}) {
  return Type.Record(Type.String({ pattern: ANY_NAME }), value, options);
}

/** Of `patternProperties`: what every name holds, or undefined. */
export function findAnyName(patterns: Record<string, unknown>): unknown {
  return patterns[ANY_NAME] ?? patterns[TYPEBOX_NAME];
}
