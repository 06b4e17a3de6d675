// Rewrites a regular expression of a schema into the pattern language that llama.cpp's converter turns into a grammar:
// anchored at both ends, without look-around, and about the text as JSON holds it; or into GBNF of the text as it is. Pure.

import type { AST } from "@eslint-community/regexpp";
import { complement, type Ranges, writeLiteral, writePlainLiteral, writePlainSet, writeSet } from "./code-points.ts";
import { parseExpression } from "./matcher.ts";

/** `exact`: what it matches, the expression matches. `open`: it may match more, for the reason given. */
export type LoweredPattern =
  | { kind: "exact" | "open"; pattern: string; reason: string }
  | { kind: "none"; reason: string };

/** The grammar repeats nothing more often: llama.cpp refuses larger numbers. */
const REPEAT_MAX = 1000;
/** A grammar of this pattern is built anew for each request. */
const PATTERN_LENGTH_MAX = 2000;

/** Thrown inside of this file alone. */
class Inexpressible extends Error {}

const DIGITS: Ranges = [[0x30, 0x39]];
const WORD: Ranges = [...DIGITS, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const SPACE: Ranges = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_ENDS: Ranges = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
/** Any that JSON holds without a number. */
export const ANY_CHARACTER = writeSet([[0, 0x10ffff]]) ?? "";

/** How characters are written; null: they can't be. */
interface Alphabet {
  writeLiteral(code: number): string | null;
  writeSet(ranges: Ranges): string | null;
  /** Any text. */
  anything: string | null;
}

const OF_JSON: Alphabet = { writeLiteral, writeSet, anything: `${ANY_CHARACTER}*` };
const OF_TEXT: Alphabet = { writeLiteral: writePlainLiteral, writeSet: writePlainSet, anything: null };
/** Parentheses within each other; llama.cpp takes any text in place of a pattern that has more than 100. */
const PARENTHESES_MAX = 90;

export function lowerPattern(source: string): LoweredPattern {
  const lowered = rewrite(source, OF_JSON);
  return lowered.kind === "none" ? lowered : { ...lowered, pattern: `^${lowered.pattern}$` };
}

/** GBNF of the texts that it matches; null: there is none, or one of them might hold a tag. */
export function writeText(source: string): string | null {
  const lowered = rewrite(source, OF_TEXT);
  return lowered.kind === "exact" && lowered.pattern !== "" ? lowered.pattern : null;
}

function rewrite(source: string, alphabet: Alphabet): LoweredPattern {
  if (source.length > PATTERN_LENGTH_MAX) return { kind: "none", reason: `it is longer than ${PATTERN_LENGTH_MAX}` };
  const parsed = parseExpression(source)?.pattern;
  if (parsed === undefined) return { kind: "none", reason: "it is no regular expression" };
  const writer = new Writer(alphabet);
  try {
    const alternatives = parsed.alternatives.map((alternative) => writer.writeAnchored(alternative));
    const [only] = alternatives;
    const pattern = alternatives.length === 1 && only !== undefined ? only : `(${alternatives.join("|")})`;
    if (depthOf(pattern) > PARENTHESES_MAX) return { kind: "none", reason: "it is nested too deeply" };
    return { kind: writer.opened === null ? "exact" : "open", pattern, reason: writer.opened ?? "" };
  } catch (thrown) {
    if (!(thrown instanceof Inexpressible)) throw thrown;
    return { kind: "none", reason: thrown.message };
  }
}

class Writer {
  /** Why more may match than should; null while it does not. */
  opened: string | null = null;
  readonly #alphabet: Alphabet;

  constructor(alphabet: Alphabet) {
    this.#alphabet = alphabet;
  }

  /** An alternative of the whole: what does not begin or end with an anchor may stand anywhere in the text. */
  writeAnchored({ elements }: AST.Alternative): string {
    const inner = [...elements];
    const starts = isAnchor(inner[0], "start");
    if (starts) inner.shift();
    const ends = isAnchor(inner.at(-1), "end");
    if (ends) inner.pop();
    const text = inner.map((element) => this.#write(element)).join("");
    const { anything } = this.#alphabet;
    if (starts && ends) return text;
    if (anything === null) throw new Inexpressible("it is not anchored");
    return `${starts ? "" : anything}${text}${ends ? "" : anything}`;
  }

  #write(element: AST.Element): string {
    switch (element.type) {
      case "Character": {
        const text = this.#alphabet.writeLiteral(element.value);
        if (text === null)
          throw new Inexpressible(`${JSON.stringify(element.raw)} is no character that JSON holds as it is`);
        return text;
      }
      case "CharacterSet":
      case "CharacterClass":
        return this.#writeSet(element);
      case "Group":
      case "CapturingGroup":
        return this.#writeGroup(element.alternatives);
      case "Quantifier":
        return this.#writeQuantifier(element);
      case "Assertion":
        throw new Inexpressible(`${element.raw} looks around`);
      case "Backreference":
        throw new Inexpressible(`${element.raw} refers to what was matched`);
      default:
        throw new Inexpressible(`${element.raw} has no equivalent`);
    }
  }

  #writeSet(element: AST.CharacterSet | AST.CharacterClass | AST.ExpressionCharacterClass): string {
    const text = this.#alphabet.writeSet(rangesOf(element));
    if (text === null) throw new Inexpressible(`${element.raw} matches nothing that JSON holds as it is`);
    return text;
  }

  #writeGroup(alternatives: readonly AST.Alternative[]): string {
    const texts = alternatives.map(({ elements }) => elements.map((element) => this.#write(element)).join(""));
    const filled = texts.filter((text) => text !== "");
    if (filled.length === 0) return "";
    const group = `(${filled.join("|")})`;
    return filled.length < texts.length ? `(${group}?)` : group;
  }

  #writeQuantifier({ element, min, max }: AST.Quantifier): string {
    const inner = this.#write(element);
    if (inner === "" || max === 0) return "";
    if (min > REPEAT_MAX) throw new Inexpressible(`it repeats something ${min} times`);
    const most = max > REPEAT_MAX ? Number.POSITIVE_INFINITY : max;
    if (most === Number.POSITIVE_INFINITY && mayBeEmpty(element)) {
      throw new Inexpressible("it repeats without a limit what may be empty");
    }
    if (most !== max) this.opened = `no repetition is limited to more than ${REPEAT_MAX}`;
    if (most === Number.POSITIVE_INFINITY && min > 1) return `(${inner}){${min}}(${inner})*`;
    return `(${inner})${writeCount(min, most)}`;
  }
}

function writeCount(min: number, max: number): string {
  if (max === Number.POSITIVE_INFINITY) return min === 0 ? "*" : "+";
  return min === 0 && max === 1 ? "?" : min === max ? `{${min}}` : `{${min},${max}}`;
}

function mayBeEmpty(element: AST.Element | AST.QuantifiableElement): boolean {
  if (element.type === "Quantifier") return element.min === 0 || mayBeEmpty(element.element);
  if (element.type !== "Group" && element.type !== "CapturingGroup") return false;
  return element.alternatives.some(({ elements }) => elements.every(mayBeEmpty));
}

/** Of a pattern as it is written here: parentheses are never literal. */
function depthOf(pattern: string): number {
  let [depth, deepest] = [0, 0];
  for (const character of pattern) {
    if (character === "(") deepest = Math.max(deepest, ++depth);
    else if (character === ")") depth--;
  }
  return deepest;
}

function rangesOf(element: AST.Node): Ranges {
  switch (element.type) {
    case "Character":
      return [[element.value, element.value]];
    case "CharacterClassRange":
      return [[element.min.value, element.max.value]];
    case "CharacterClass": {
      const members = element.elements.flatMap((member) => [...rangesOf(member)]);
      return element.negate ? complement(members) : members;
    }
    case "CharacterSet":
      return rangesOfSet(element);
    default:
      throw new Inexpressible(`${"raw" in element ? element.raw : element} has no equivalent`);
  }
}

function rangesOfSet(set: AST.CharacterSet): Ranges {
  switch (set.kind) {
    case "any":
      return complement(LINE_ENDS);
    case "digit":
      return set.negate ? complement(DIGITS) : DIGITS;
    case "word":
      return set.negate ? complement(WORD) : WORD;
    case "space":
      return set.negate ? complement(SPACE) : SPACE;
    default:
      throw new Inexpressible(`${set.raw} stands for too many characters`);
  }
}

function isAnchor(element: AST.Element | undefined, kind: "start" | "end"): boolean {
  return element?.type === "Assertion" && element.kind === kind;
}
