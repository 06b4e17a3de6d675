// Tells whether a text matches a regular expression of a schema, in time that grows with the text and never explodes: all
// ways through the expression are followed at once (Thompson's construction), none is tried again. What needs a memory
// of the way, look-around and back-references, is not supported. Pure.

import { type AST, RegExpParser } from "@eslint-community/regexpp";

/** Longer ones are no patterns that somebody wrote. */
const LENGTH_MAX = 2000;
/** Steps of a compiled expression: repetitions are written out. */
const STEPS_MAX = 5000;
/** Nodes that are looked at for it: `(){1000000}` is long without a single step. */
const VISITS_MAX = 50_000;
/** Steps that matching one text may take: some ten milliseconds. */
const WORK_MAX = 2_000_000;

type Step =
  | { kind: "character"; matches: (character: string) => boolean }
  /** Goes on at each of these; else a step is followed by the next one. */
  | { kind: "split"; targets: number[] }
  | { kind: "assertion"; holds: (before: string | undefined, after: string | undefined) => boolean }
  | { kind: "match" };

/** Thrown inside of this file alone. */
class Unsupported extends Error {}

export interface Expression {
  pattern: AST.Pattern;
  /** Flags that it was read with. */
  flags: "u" | "";
}

/** The standard asks for Unicode mode; patterns that are none there are read as browsers do. Null: no expression. */
export function parseExpression(source: string): Expression | null {
  if (source.length > LENGTH_MAX) return null;
  for (const unicode of [true, false]) {
    try {
      const parser = new RegExpParser({ ecmaVersion: 2024 });
      return { pattern: parser.parsePattern(source, 0, source.length, { unicode }), flags: unicode ? "u" : "" };
    } catch (thrown) {
      // Thousands of open parentheses overflow the parser's stack.
      if (!(thrown instanceof SyntaxError || thrown instanceof RangeError)) throw thrown;
    }
  }
  return null;
}

export class Matcher {
  readonly #steps: readonly Step[];

  private constructor(steps: readonly Step[]) {
    this.#steps = steps;
  }

  /** Null: it is no expression, too large, or needs more than this does. */
  static compile(source: string): Matcher | null {
    const expression = parseExpression(source);
    if (expression === null) return null;
    try {
      return new Matcher(new Compiler(expression.flags).compile(expression.pattern));
    } catch (thrown) {
      if (thrown instanceof Unsupported) return null;
      throw thrown;
    }
  }

  get size(): number {
    return this.#steps.length;
  }

  /** Whether it matches anywhere in the text; null: the text is too long to tell. `work` is used up by what is done. */
  test(text: string, work = { left: WORK_MAX }): boolean | null {
    const characters = [...text];
    let open = new Set<number>();
    for (let at = 0; at <= characters.length; at++) {
      // A match may begin at every place.
      this.#reach(0, characters, at, open);
      if (open.has(this.#steps.length - 1)) return true;
      work.left -= open.size;
      if (work.left < 0) return null;
      const character = characters[at];
      if (character === undefined) return false;
      const next = new Set<number>();
      for (const index of open) {
        const step = this.#steps[index];
        if (step?.kind === "character" && step.matches(character)) this.#reach(index + 1, characters, at + 1, next);
      }
      open = next;
    }
    return false;
  }

  /** Adds all steps that can be reached from one without reading a character. */
  #reach(from: number, characters: readonly string[], at: number, open: Set<number>): void {
    const stack = [from];
    for (let index = stack.pop(); index !== undefined; index = stack.pop()) {
      if (open.has(index)) continue;
      open.add(index);
      const step = this.#steps[index];
      if (step?.kind === "split") stack.push(...step.targets);
      else if (step?.kind === "assertion" && step.holds(characters[at - 1], characters[at])) stack.push(index + 1);
    }
  }
}

class Compiler {
  readonly #steps: Step[] = [];
  readonly #flags: string;
  #visits = 0;

  constructor(flags: string) {
    this.#flags = flags;
  }

  compile({ alternatives }: AST.Pattern): Step[] {
    this.#addAlternatives(alternatives);
    this.#add({ kind: "match" });
    return this.#steps;
  }

  #add(step: Step): void {
    if (this.#steps.length === STEPS_MAX) throw new Unsupported("it is too large");
    this.#steps.push(step);
  }

  #addSplit(): number[] {
    const targets: number[] = [];
    this.#add({ kind: "split", targets });
    return targets;
  }

  #addAlternatives(alternatives: readonly AST.Alternative[]): void {
    if (alternatives.length === 1) {
      for (const element of alternatives[0]?.elements ?? []) this.#addElement(element);
      return;
    }
    const starts = this.#addSplit();
    const ends = alternatives.map(({ elements }) => {
      starts.push(this.#steps.length);
      for (const element of elements) this.#addElement(element);
      return this.#addSplit();
    });
    for (const end of ends) end.push(this.#steps.length);
  }

  #addElement(element: AST.Element | AST.QuantifiableElement): void {
    if (++this.#visits > VISITS_MAX) throw new Unsupported("it is too large");
    if (element.type === "Group" || element.type === "CapturingGroup") this.#addAlternatives(element.alternatives);
    else if (element.type === "Quantifier") this.#addQuantifier(element);
    else this.#add(this.#toStep(element));
  }

  #toStep(element: AST.Element | AST.QuantifiableElement): Step {
    switch (element.type) {
      case "Character": {
        const own = String.fromCodePoint(element.value);
        return { kind: "character", matches: (character) => character === own };
      }
      case "CharacterSet":
      case "CharacterClass": {
        // Of one character: nothing in it can be tried twice.
        const expression = new RegExp(`^${element.raw}$`, this.#flags);
        return { kind: "character", matches: (character) => expression.test(character) };
      }
      case "Assertion":
        return { kind: "assertion", holds: readAssertion(element) };
      default:
        throw new Unsupported(`${element.raw} is not supported`);
    }
  }

  #addQuantifier({ element, min, max }: AST.Quantifier): void {
    for (let i = 0; i < min; i++) this.#addElement(element);
    if (max === Number.POSITIVE_INFINITY) {
      const start = this.#steps.length;
      const loop = this.#addSplit();
      loop.push(this.#steps.length);
      this.#addElement(element);
      this.#addSplit().push(start);
      loop.push(this.#steps.length);
      return;
    }
    const exits: number[][] = [];
    for (let i = min; i < max; i++) {
      const option = this.#addSplit();
      option.push(this.#steps.length);
      exits.push(option);
      this.#addElement(element);
    }
    for (const exit of exits) exit.push(this.#steps.length);
  }
}

function readAssertion(assertion: AST.Assertion): (before: string | undefined, after: string | undefined) => boolean {
  switch (assertion.kind) {
    case "start":
      return (before) => before === undefined;
    case "end":
      return (_, after) => after === undefined;
    case "word":
      return (before, after) => (isWord(before) !== isWord(after)) !== assertion.negate;
    default:
      throw new Unsupported(`${assertion.raw} looks around`);
  }
}

function isWord(character: string | undefined): boolean {
  return character !== undefined && /^\w$/.test(character);
}
