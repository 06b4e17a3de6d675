// Whether a value is what a JSON schema says, after it was generated: for what the grammar could not keep. The schema is a
// client's and may be hostile or wrong, so the work is counted, patterns are matched in linear time, nothing is compiled,
// and what is no schema forbids nothing. Pure.

import { checkArray, checkObject } from "./check-containers.ts";
import { checkNumber, checkString } from "./check-scalars.ts";
import { createMatches, type Matches } from "./matchers.ts";
import { joinPath, References } from "./references.ts";
import { isSchemaObject, type SchemaObject } from "./relaxation.ts";
import { declaredTypes } from "./types.ts";
import { toKey, typeOf } from "./values.ts";

/** Where a value breaks its schema, and how. */
export interface Fault {
  /** JSON pointer into the value, `#` the whole of it. */
  path: string;
  message: string;
}

export type Verdict = { kind: "valid" } | { kind: "invalid"; fault: Fault } | { kind: "unknown"; reason: string };

/** Of all values of a request together: some tenths of a second. */
export const CHECK_WORK_MAX = 500_000;
/** Schemas within each other at one time: values nest by what a model writes, schemas by reference. */
const DEPTH_MAX = 500;

/** Thrown when the work or the depth is used up. */
class Exhausted extends Error {}

/** What of a value some schema has spoken of: for `unevaluatedProperties` and `unevaluatedItems`. */
export interface Seen {
  names: Set<string>;
  items: Set<number>;
}

/** What the checks of single types need of the whole. */
export interface Check {
  /** The fault of a value, or null; `seen` notes what was spoken of, null when nobody asks. */
  check(schema: unknown, value: unknown, path: string, seen: Seen | null): Fault | null;
  charge(work: number): void;
  /** Something can't be told. */
  doubt(reason: string): void;
  /** Null: it can't be told, which is a doubt. */
  matches(pattern: string, text: string): boolean | null;
}

/** `work` is used up by what is done. */
export function checkValue(schema: unknown, value: unknown, work = { left: CHECK_WORK_MAX }): Verdict {
  const checker = new Checker(isSchemaObject(schema) ? schema : {}, work);
  try {
    const fault = checker.check(schema, value, "#", null);
    if (fault !== null) return { kind: "invalid", fault };
    return checker.doubts === null ? { kind: "valid" } : { kind: "unknown", reason: checker.doubts };
  } catch (thrown) {
    if (thrown instanceof Exhausted) return { kind: "unknown", reason: thrown.message };
    // The stack, by values that are nested more deeply than schemas are.
    if (thrown instanceof RangeError) return { kind: "unknown", reason: "it is nested too deeply to be checked" };
    throw thrown;
  }
}

class Checker implements Check {
  readonly #references: References;
  readonly #work: { left: number };
  readonly #matches: Matches;
  /** Targets of references that are being checked, and at which values. */
  readonly #open = new Map<SchemaObject | boolean, string[]>();
  #depth = 0;
  doubts: string | null = null;

  constructor(root: SchemaObject, work: { left: number }) {
    this.#references = new References(root);
    this.#work = work;
    this.#matches = createMatches(work);
  }

  charge(work: number): void {
    this.#work.left -= work;
    if (this.#work.left < 0) throw new Exhausted("it takes too long to check");
  }

  doubt(reason: string): void {
    this.doubts ??= reason;
  }

  matches(pattern: string, text: string): boolean | null {
    const isMatch = this.#matches(pattern, text);
    if (isMatch === null) this.doubt(`the pattern ${pattern.slice(0, 100)} can't be checked in bounded time`);
    return isMatch;
  }

  check(schema: unknown, value: unknown, path: string, seen: Seen | null): Fault | null {
    this.charge(1);
    if (schema === false) return { path, message: "must not be there" };
    if (!isSchemaObject(schema)) return null;
    if (this.#depth === DEPTH_MAX) throw new Exhausted("its schema refers to itself too often to be checked");
    this.#depth++;
    try {
      return this.#checkObject(schema, value, path, seen);
    } finally {
      this.#depth--;
    }
  }

  #checkObject(schema: SchemaObject, value: unknown, path: string, outer: Seen | null): Fault | null {
    const { unevaluatedProperties, unevaluatedItems } = schema;
    const collects = unevaluatedProperties !== undefined || unevaluatedItems !== undefined;
    const seen = collects ? { names: new Set<string>(), items: new Set<number>() } : outer;
    const fault =
      this.#checkValues(schema, value, path) ??
      this.#checkOwn(schema, value, path, seen) ??
      this.#checkReference(schema, value, path, seen) ??
      this.#checkAlternatives(schema, value, path, seen) ??
      this.#checkConditions(schema, value, path, seen);
    if (fault !== null || !collects || seen === null) return fault;
    return this.#checkRest(schema, value, path, seen, outer);
  }

  #checkValues(schema: SchemaObject, value: unknown, path: string): Fault | null {
    const types = declaredTypes({ schema, path, decided: [] }, () => {});
    const type = typeOf(value);
    if (types !== null && !types.has(type) && !(type === "integer" && types.has("number"))) {
      return { path, message: `must be of type ${[...types].join(" or ")}` };
    }
    if (Object.hasOwn(schema, "const") && !this.#isEqual(schema.const, value)) {
      return { path, message: `must be ${shorten(schema.const)}` };
    }
    if (!Array.isArray(schema.enum)) return null;
    this.charge(schema.enum.length);
    return schema.enum.some((listed) => this.#isEqual(listed, value))
      ? null
      : { path, message: "is no value of its `enum`" };
  }

  #isEqual(a: unknown, b: unknown): boolean {
    if (a === b) return true;
    if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
    const [first, second] = [toKey(a), toKey(b)];
    this.charge((first.length + second.length) / 16);
    return first === second;
  }

  #checkOwn(schema: SchemaObject, value: unknown, path: string, seen: Seen | null): Fault | null {
    if (typeof value === "number") return checkNumber(schema, value, path);
    if (typeof value === "string") return checkString(this, schema, value, path);
    if (Array.isArray(value)) return checkArray(this, schema, value, path, seen);
    return isSchemaObject(value) ? checkObject(this, schema, value, path, seen) : null;
  }

  #checkReference(schema: SchemaObject, value: unknown, path: string, seen: Seen | null): Fault | null {
    const ref = schema.$ref ?? schema.$dynamicRef ?? schema.$recursiveRef;
    const target = typeof ref === "string" ? this.#references.find(ref) : null;
    if (target === null) return null;
    // Back where it was, at the same value: it says nothing new.
    const open = this.#open.get(target.schema) ?? [];
    if (open.at(-1) === path) return null;
    this.#open.set(target.schema, open);
    open.push(path);
    try {
      return this.check(target.schema, value, path, seen);
    } finally {
      open.pop();
    }
  }

  #checkAlternatives(schema: SchemaObject, value: unknown, path: string, seen: Seen | null): Fault | null {
    const { allOf, anyOf, oneOf } = schema;
    for (const child of Array.isArray(allOf) ? allOf : []) {
      const fault = this.check(child, value, path, seen);
      if (fault !== null) return fault;
    }
    for (const list of [anyOf, oneOf]) {
      if (!Array.isArray(list) || list.length === 0) continue;
      const faults = list.map((child) => this.#tryOne(child, value, path, seen));
      const matching = faults.filter((fault) => fault === null).length;
      const [only] = faults;
      if (matching === 0)
        return faults.length === 1 && only ? only : { path, message: "matches none of its alternatives" };
      if (list === oneOf && matching > 1) return { path, message: `matches ${matching} schemas of \`oneOf\`` };
    }
    return null;
  }

  /** What a schema that does not match has spoken of does not count. */
  #tryOne(schema: unknown, value: unknown, path: string, seen: Seen | null): Fault | null {
    const own = seen === null ? null : { names: new Set<string>(), items: new Set<number>() };
    const fault = this.check(schema, value, path, own);
    if (fault === null && seen !== null && own !== null) merge(seen, own);
    return fault;
  }

  #checkConditions(schema: SchemaObject, value: unknown, path: string, seen: Seen | null): Fault | null {
    const { not } = schema;
    if (not !== undefined && this.check(not, value, path, null) === null) {
      return { path, message: "matches what `not` forbids" };
    }
    if (schema.if === undefined) return null;
    const branch = this.#tryOne(schema.if, value, path, seen) === null ? schema.then : schema.else;
    return branch === undefined ? null : this.check(branch, value, path, seen);
  }

  #checkRest(schema: SchemaObject, value: unknown, path: string, seen: Seen, outer: Seen | null): Fault | null {
    const { unevaluatedProperties, unevaluatedItems } = schema;
    if (unevaluatedItems !== undefined && Array.isArray(value)) {
      for (const [index, item] of value.entries()) {
        const fault = seen.items.has(index) ? null : this.check(unevaluatedItems, item, joinPath(path, index), null);
        if (fault !== null) return fault;
        seen.items.add(index);
      }
    }
    if (unevaluatedProperties !== undefined && isSchemaObject(value)) {
      for (const [name, child] of Object.entries(value)) {
        const fault = seen.names.has(name)
          ? null
          : this.check(unevaluatedProperties, child, joinPath(path, name), null);
        if (fault !== null) return fault;
        seen.names.add(name);
      }
    }
    if (outer !== null) merge(outer, seen);
    return null;
  }
}

function merge(into: Seen, from: Seen): void {
  for (const name of from.names) into.names.add(name);
  for (const index of from.items) into.items.add(index);
}

function shorten(value: unknown): string {
  const text = JSON.stringify(value) ?? "undefined";
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}
