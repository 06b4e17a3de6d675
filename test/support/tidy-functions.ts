// Finds functions and their lengths in code whose literals are blanked: declarations, methods and arrow
// functions with a body. Bracket matching, no type checker.

import { blank, lineAt, type SourceFile, type Violation } from "./tidy-source.ts";

export interface FoundFunction {
  name: string;
  line: number;
  lines: number;
}

const KEYWORDS = new Set([
  "if",
  "for",
  "while",
  "switch",
  "catch",
  "return",
  "with",
  "new",
  "super",
  "await",
  "function",
]);
const OPENERS = "([{";
const CLOSERS = ")]}";

export function findFunctions(text: string): FoundFunction[] {
  const code = blank(text);
  const found: FoundFunction[] = [];
  const add = (name: string, start: number, body: number): void => {
    const line = lineAt(code, start);
    found.push({ name, line, lines: lineAt(code, matchBracket(code, body)) - line + 1 });
  };
  for (const match of code.matchAll(/=>\s*\{/g)) {
    const start = match.index;
    add(nameBefore(code, start), start, start + match[0].length - 1);
  }
  // A name and its parameter list; what follows the list tells a definition from a call.
  for (const match of code.matchAll(/(\bfunction\b\s*\*?\s*)?([\w$#]+)?\s*(<[^()\n]*>)?\(/g)) {
    const [whole, keyword, name] = match;
    if (keyword === undefined && (name === undefined || KEYWORDS.has(name) || !isMethodStart(code, match.index)))
      continue;
    const body = findBody(code, matchBracket(code, match.index + whole.length - 1) + 1);
    if (body !== null) add(name ?? "(anonymous)", match.index, body);
  }
  return found.sort((a, b) => a.line - b.line);
}

/** The index of the bracket that closes the one at `open`; the text's end when there is none. */
function matchBracket(code: string, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at++) {
    if (OPENERS.includes(code[at] as string)) depth += 1;
    else if (CLOSERS.includes(code[at] as string)) depth -= 1;
    if (depth === 0) return at;
  }
  return code.length;
}

/** The body's opening brace behind a parameter list and its return type; null for calls and signatures. */
function findBody(code: string, from: number): number | null {
  const next = code.slice(from).search(/\S/);
  if (next === -1) return null;
  let at = from + next;
  if (code[at] === "{") return at;
  if (code[at] !== ":") return null;
  for (at += 1; at < code.length; at++) {
    const char = code[at] as string;
    if (char === ";" || char === "," || char === ")" || char === "}") return null;
    if (char === "{" && !/(:|\||&|=>|<|,|\bis|\bextends)$/.test(code.slice(Math.max(0, at - 40), at).trimEnd()))
      return at;
    // Object types, tuples and parameter lists of function types belong to the return type.
    if (OPENERS.includes(char)) at = matchBracket(code, at);
    if (char === "<") at = skipTypeArguments(code, at);
  }
  return null;
}

function skipTypeArguments(code: string, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at++) {
    if (code[at] === "<") depth += 1;
    if (code[at] === ">" && code[at - 1] !== "=") depth -= 1;
    if (depth === 0) return at;
  }
  return code.length;
}

/** Methods begin their line, save for modifiers. */
function isMethodStart(code: string, at: number): boolean {
  const line = code.slice(code.lastIndexOf("\n", at - 1) + 1, at);
  return /^\s*((async|static|get|set|override|private|public|protected|readonly)\s+|\*\s*)*$/.test(line);
}

function nameBefore(code: string, arrow: number): string {
  const lines = code.slice(Math.max(0, arrow - 400), arrow);
  return /.*\b(?:const|let)\s+([\w$]+)[^;]*$/s.exec(lines)?.[1] ?? "(arrow)";
}

export function checkFunctionLengths(files: readonly SourceFile[], linesMax: number): Violation[] {
  return files.flatMap((file) =>
    findFunctions(file.text)
      .filter((found) => found.lines > linesMax)
      .map((found) => ({
        rule: "function-length",
        path: file.path,
        line: found.line,
        message: `${found.name} has ${found.lines} lines, at most ${linesMax} are allowed`,
      })),
  );
}
