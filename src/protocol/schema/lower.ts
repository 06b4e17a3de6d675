// Lowers a JSON schema to what llama.cpp's converter turns into a grammar faithfully: it throws for the whole request on
// some schemas, and makes others "any text" without a word. Every constraint that gets lost is named with its place.
// A lowered schema may also be narrower than the one that came: fewer answers, all of them right. Pure.

import { areApart } from "./apart.ts";
import { lowerArray } from "./arrays.ts";
import { gather, type Part, type RawPart, type Relax } from "./conjunction.ts";
import { createMatches, type Matches } from "./matchers.ts";
import { lowerNumber } from "./numbers.ts";
import { lowerObject } from "./objects.ts";
import { findEndless } from "./productive.ts";
import { joinPath, References } from "./references.ts";
import { isSchemaObject, type Lowered, type LoweredSchema, type Relaxation, type SchemaObject } from "./relaxation.ts";
import { lowerString } from "./strings.ts";
import { allowedTypes, type JsonType } from "./types.ts";
import { unite } from "./unions.ts";
import { lowerValues } from "./values.ts";

/** Places of a lowered schema: real ones stay below a thousand, and alternatives of alternatives multiply. */
const PLACES_MAX = 5000;
/** Of all schemas of a request together: some tenths of a second. A tool of an agent takes a few hundred. */
export const WORK_MAX = 300_000;
/** What a place costs beside what it lists. */
const PLACE_WORK = 5;
/** llama.cpp's names of rules are made of the whole path. */
const PATH_CHARS_PER_WORK = 8;
/** Places within each other. The converter recurses, and so do we. */
const DEPTH_MAX = 64;
/** Alternatives of one place. */
const ALTERNATIVES_MAX = 100;

export interface LowerOptions {
  /** Begins the names of definitions. llama.cpp takes equal names in two schemas of a request for the same definition. */
  name?: string;
  /** What may still be done for the request; it is used up. */
  work?: { left: number };
  /** The value is the arguments of a call: an object, whatever the schema says. Texts of it may come without JSON around them. */
  onlyObjects?: boolean;
}

/** Never throws for what a schema says: what is no schema at all becomes "any value", and that is reported. */
export function lowerSchema(source: unknown, options: LowerOptions = {}): LoweredSchema {
  return new Lowering(isSchemaObject(source) ? source : {}, options).run(source, options.onlyObjects === true);
}

class Lowering {
  readonly #references: References;
  readonly #relaxed = new Map<string, Relaxation>();
  /** Places that were reached by reference, by the schemas that hold there. */
  readonly #definitions = new Map<string, { name: string; lowered: Lowered; isUsed: boolean }>();
  readonly #ids = new Map<SchemaObject, number>();
  readonly #sizes = new Map<SchemaObject, number>();
  readonly #name: string;
  readonly #work: { left: number };
  readonly #matches: Matches;
  readonly #writesTexts: boolean;
  #places = 0;
  #depth = 0;

  constructor(root: SchemaObject, { name = "", work = { left: WORK_MAX }, onlyObjects = false }: LowerOptions) {
    this.#references = new References(root);
    this.#name = name;
    this.#work = work;
    this.#matches = createMatches(work);
    this.#writesTexts = onlyObjects;
  }

  run(source: unknown, onlyObjects: boolean): LoweredSchema {
    const path = "#";
    const start = { schema: source, path };
    let schema = this.#lower([], onlyObjects ? [start, { schema: { type: "object" }, path }] : [start]);
    if (schema === null) this.#relax({ path, keyword: "schema", reason: "no value can match it" });
    schema ??= {};
    const used = [...this.#definitions.values()].filter(({ isUsed }) => isUsed);
    const definitions = new Map(used.map(({ name, lowered }) => [name, lowered ?? {}]));
    for (const name of findEndless(definitions)) {
      this.#relax({ path, keyword: "$ref", reason: "it refers to itself without an end" });
      definitions.set(name, {});
    }
    // Some templates write arguments one by one: llama.cpp looks for them in the root itself.
    if (typeof schema.$ref === "string") schema = definitions.get(schema.$ref.slice("#/$defs/".length)) ?? {};
    if (definitions.size > 0) schema = { ...schema, $defs: Object.fromEntries(definitions) };
    return { schema, relaxed: [...this.#relaxed.values()] };
  }

  /** What has to hold at one place: schemas that were gathered already, and others. */
  #lower(gathered: readonly Part[], start: readonly RawPart[]): Lowered {
    const { parts, byReference } = gather(gathered, start, this.#references, this.#relax);
    if (parts === null) return null;
    for (const part of parts) this.#work.left -= this.#costOf(part);
    if (++this.#places > PLACES_MAX || this.#work.left < 0 || this.#depth === DEPTH_MAX) return this.#giveUp(start);
    this.#depth++;
    try {
      return byReference ? this.#define(parts) : this.#lowerParts(parts);
    } finally {
      this.#depth--;
    }
  }

  #giveUp(start: readonly RawPart[]): SchemaObject {
    const reason = this.#depth === DEPTH_MAX ? "it is nested too deeply" : "the schema is too large";
    this.#relax({ path: start[0]?.path ?? "#", keyword: "schema", reason });
    return {};
  }

  /** Each set of schemas once; a set that leads back to itself is referred to. */
  #define(parts: readonly Part[]): Lowered {
    const key = parts.map((part) => this.#keyOf(part)).join(" ");
    const known = this.#definitions.get(key);
    if (known !== undefined) {
      known.isUsed = true;
      return { $ref: `#/$defs/${known.name}` };
    }
    const definition = { name: `${this.#name}d${this.#definitions.size}`, lowered: {} as Lowered, isUsed: false };
    this.#definitions.set(key, definition);
    definition.lowered = this.#lowerParts(parts);
    if (!definition.isUsed) {
      this.#definitions.delete(key);
      return definition.lowered;
    }
    return { $ref: `#/$defs/${definition.name}` };
  }

  #lowerParts(parts: readonly Part[]): Lowered {
    for (const keyword of ["anyOf", "oneOf"] as const) {
      const at = parts.findIndex(({ schema, decided }) => schema[keyword] !== undefined && !decided.includes(keyword));
      const part = parts[at];
      if (part === undefined) continue;
      const rest = parts.with(at, { ...part, decided: [...part.decided, keyword] });
      return this.#lowerAlternatives(part, rest, keyword);
    }
    for (const part of parts) this.#relaxLogic(part);
    const types = allowedTypes(parts, this.#relax);
    const values = lowerValues(parts, types, { relax: this.#relax, matches: this.#matches });
    if (values !== undefined) return values;
    if (types === null) return {};
    return unite([...types].map((type) => this.#lowerType(type, parts)));
  }

  #lowerAlternatives(part: Part, rest: readonly Part[], keyword: "anyOf" | "oneOf"): Lowered {
    const alternatives = part.schema[keyword];
    if (!Array.isArray(alternatives) || alternatives.length === 0) {
      this.#relax({ path: part.path, keyword, reason: "it is not a list of schemas" });
      return this.#lowerParts(rest);
    }
    if (alternatives.length > ALTERNATIVES_MAX) {
      const reason = `more than ${ALTERNATIVES_MAX} alternatives; any value will do`;
      this.#relax({ path: part.path, keyword, reason });
      return this.#lowerParts(rest);
    }
    const raw = alternatives.map((schema: unknown, i): RawPart => ({ schema, path: joinPath(part.path, keyword, i) }));
    const lowered = raw.map((alternative) => this.#lower(rest, [alternative]));
    if (keyword === "oneOf" && !areApart(raw, this.#gather)) {
      this.#relax({ path: part.path, keyword, reason: "an answer may match several of its schemas" });
    }
    return unite(lowered);
  }

  #lowerType(type: JsonType, parts: readonly Part[]): Lowered {
    const lowerChild = (children: readonly RawPart[]) => this.#lower([], children);
    switch (type) {
      case "object":
        return lowerObject(parts, lowerChild, { relax: this.#relax, matches: this.#matches });
      case "array":
        return lowerArray(parts, lowerChild, this.#relax);
      case "string":
        return lowerString(parts, this.#relax, this.#writesTexts);
      case "integer":
      case "number":
        return lowerNumber(parts, type === "integer", this.#relax);
      case "boolean":
      case "null":
        return { type };
    }
  }

  #relaxLogic({ schema, path }: Part): void {
    if (schema.not !== undefined && schema.not !== false) {
      this.#relax({ path, keyword: "not", reason: "a grammar says what may come, not what may not" });
    }
    const hasBranch = schema.then !== undefined || schema.else !== undefined;
    if (schema.if !== undefined && hasBranch) {
      this.#relax({ path, keyword: "if", reason: "a grammar does not remember what was written" });
    }
  }

  readonly #gather = (start: readonly RawPart[]) => gather([], start, this.#references, this.#relax).parts;

  readonly #relax: Relax = (relaxation) => {
    const { path, keyword, reason } = relaxation;
    // A place that several alternatives share is looked at once for each.
    this.#relaxed.set(`${path} ${keyword} ${reason}`, relaxation);
  };

  /** By how much it lists: each time that it holds somewhere all of that is looked at. */
  #costOf({ schema, path }: Part): number {
    let size = this.#sizes.get(schema);
    if (size === undefined) {
      size = PLACE_WORK;
      for (const value of Object.values(schema)) {
        if (typeof value === "object" && value !== null)
          size += Array.isArray(value) ? value.length : Object.keys(value).length;
      }
      this.#sizes.set(schema, size);
    }
    return size + path.length / PATH_CHARS_PER_WORK;
  }

  #keyOf({ schema, decided }: Part): string {
    let id = this.#ids.get(schema);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(schema, id);
    }
    return `${id}${decided.join("")}`;
  }
}
