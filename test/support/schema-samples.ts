// Random values of a lowered schema: what a model that follows its grammar may write. Knows the lowered subset alone.

import { type AST, RegExpParser } from "@eslint-community/regexpp";
import type { SchemaObject } from "../../src/protocol/schema/relaxation.ts";

type Random = (below: number) => number;

export class Sampler {
  readonly #random: Random;
  readonly #definitions: Record<string, SchemaObject>;

  constructor(root: SchemaObject, random: Random) {
    this.#random = random;
    this.#definitions = (root.$defs ?? {}) as Record<string, SchemaObject>;
  }

  /** Deep values become short: an endless one can't be sampled. */
  sample(schema: SchemaObject, depth = 0): unknown {
    if (typeof schema.$ref === "string") return this.sample(this.#definition(schema.$ref), depth + 1);
    if (Object.hasOwn(schema, "const")) return schema.const;
    if (Array.isArray(schema.enum)) return this.#pick(schema.enum);
    if (Array.isArray(schema.anyOf))
      return this.sample(this.#pickShallow(schema.anyOf as SchemaObject[], depth), depth + 1);
    switch (schema.type) {
      case "null":
        return null;
      case "boolean":
        return this.#chance(0.5);
      case "integer":
        return this.#integer(schema);
      case "number":
        if (typeof schema["x-number-pattern"] === "string") {
          return sampleNumber(schema["x-number-pattern"], this.#random);
        }
        return this.#pick([0, 1.5, -2, 1e6, 0.001]);
      case "string":
        return this.#string(schema);
      case "array":
        return this.#array(schema, depth);
      case "object":
        return this.#object(schema, depth);
      default:
        return this.#pick([null, true, 3, "any", [], {}, { a: [1] }]);
    }
  }

  #definition(ref: string): SchemaObject {
    const found = this.#definitions[ref.slice("#/$defs/".length)];
    if (found === undefined) throw new Error(`the lowered schema refers to ${ref}, which it does not hold`);
    return found;
  }

  /** Far down, what is no reference and no container comes first: most recursions have such a way out. */
  #pickShallow(schemas: SchemaObject[], depth: number): SchemaObject {
    const flat = schemas.filter(
      ({ $ref, type, anyOf }) => $ref === undefined && anyOf === undefined && type !== "object",
    );
    return depth > 4 && flat.length > 0 ? this.#pick(flat) : this.#pick(schemas);
  }

  #integer({ minimum, maximum }: SchemaObject): number {
    const low = typeof minimum === "number" ? minimum : Math.min(-50, (maximum as number | undefined) ?? 0) - 5;
    const high = typeof maximum === "number" ? maximum : Math.max(low, 0) + 50;
    return this.#pick([low, high, Math.min(high, low + this.#random(3))]);
  }

  #string({ pattern, minLength, maxLength }: SchemaObject): string {
    if (typeof pattern === "string") return samplePattern(pattern, this.#random);
    const min = (minLength as number | undefined) ?? 0;
    const max = Math.min((maxLength as number | undefined) ?? min + 8, min + 8);
    const length = min + this.#random(max - min + 1);
    return Array.from({ length }, () => this.#pick(["a", "é", "😀", '"', "\\", "\n", " "])).join("");
  }

  #array(schema: SchemaObject, depth: number): unknown[] {
    if (Array.isArray(schema.prefixItems)) return schema.prefixItems.map((item) => this.sample(item, depth + 1));
    const min = (schema.minItems as number | undefined) ?? 0;
    const most = depth > 4 ? min : min + 3;
    const max = Math.min((schema.maxItems as number | undefined) ?? most, most);
    const length = min + this.#random(Math.max(0, max - min) + 1);
    return Array.from({ length }, () => this.sample(schema.items as SchemaObject, depth + 1));
  }

  #object(schema: SchemaObject, depth: number): Record<string, unknown> {
    const properties = (schema.properties ?? {}) as Record<string, SchemaObject>;
    const required = new Set((schema.required ?? []) as string[]);
    const value: Record<string, unknown> = {};
    // The grammar has those that must be there first.
    const ordered = Object.entries(properties).sort(([a], [b]) => Number(required.has(b)) - Number(required.has(a)));
    for (const [name, child] of ordered) {
      if (required.has(name) || (depth <= 4 && this.#chance(0.5))) value[name] = this.sample(child, depth + 1);
    }
    const { additionalProperties } = schema;
    if (typeof additionalProperties === "object" && depth <= 4 && this.#chance(0.5)) {
      value[this.#pick(["extra", "x-1", "Ω"])] = this.sample(additionalProperties as SchemaObject, depth + 1);
    }
    return value;
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#random(items.length)] as T;
  }

  #chance(probability: number): boolean {
    return this.#random(1000) < probability * 1000;
  }
}

/** A text that a lowered pattern allows: the pattern is about the text as JSON holds it. */
export function samplePattern(pattern: string, random: Random): string {
  return JSON.parse(`"${sampleText(pattern, random)}"`) as string;
}

export function sampleNumber(pattern: string, random: Random): number {
  return JSON.parse(sampleText(pattern, random)) as number;
}

function sampleText(pattern: string, random: Random): string {
  const source = pattern.slice(1, -1).replace(/\\U([0-9A-F]{8})/g, (_, hex: string) => `\\u{${hex}}`);
  const { alternatives } = new RegExpParser({ ecmaVersion: 2024 }).parsePattern(source, 0, source.length, {
    unicode: true,
  });
  return sampleAlternatives(alternatives, random);
}

function sampleAlternatives(alternatives: readonly AST.Alternative[], random: Random): string {
  const chosen = alternatives[random(alternatives.length)];
  return (chosen?.elements ?? []).map((element) => sampleElement(element, random)).join("");
}

function sampleElement(element: AST.Element, random: Random): string {
  switch (element.type) {
    case "Character":
      return String.fromCodePoint(element.value);
    case "CharacterClass": {
      const member = element.elements[random(element.elements.length)];
      if (member?.type === "Character") return String.fromCodePoint(member.value);
      if (member?.type !== "CharacterClassRange") throw new Error(`${element.raw} is no lowered class`);
      const [low, high] = [member.min.value, member.max.value];
      const code = random(3) === 0 ? high : low + random(high - low + 1);
      return String.fromCodePoint(code);
    }
    case "CapturingGroup":
    case "Group":
      return sampleAlternatives(element.alternatives, random);
    case "Quantifier": {
      const times = element.min + random(Math.min(element.max - element.min, 3) + 1);
      return Array.from({ length: times }, () => sampleElement(element.element, random)).join("");
    }
    default:
      throw new Error(`${element.raw} is not in the lowered pattern language`);
  }
}
