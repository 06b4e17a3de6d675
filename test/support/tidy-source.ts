// Source files for the tidy rules, and a small lexer that blanks what is no code. The lexer keeps every
// offset and line, so that a rule can report where something is.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface SourceFile {
  /** From the repository's root, with forward slashes. */
  path: string;
  text: string;
}

export interface Violation {
  rule: string;
  path: string;
  /** 1-based; 0 means the whole file. */
  line: number;
  message: string;
}

/** All `.ts` files below the folders, and the files named, from the root. */
export function readSources(root: string, places: readonly string[]): SourceFile[] {
  const files: SourceFile[] = [];
  const add = (path: string): void => void files.push({ path, text: readFileSync(join(root, path), "utf8") });
  for (const place of places) {
    if (place.endsWith(".ts")) {
      add(place);
      continue;
    }
    for (const entry of readdirSync(join(root, place), { recursive: true, encoding: "utf8" })) {
      if (entry.endsWith(".ts")) add(`${place}/${entry.replaceAll("\\", "/")}`);
    }
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

export function lineAt(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < index; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}

export interface BlankOptions {
  comments: boolean;
  strings: boolean;
}

/** The text with the contents of comments, strings and regular expressions replaced by spaces. */
export function blank(text: string, what: BlankOptions = { comments: true, strings: true }): string {
  const out = text.split("");
  const wipe = (from: number, to: number, wanted: boolean): void => {
    for (let i = from; wanted && i < Math.min(to, out.length); i++) if (out[i] !== "\n") out[i] = " ";
  };
  /** Depth of braces at which each open template's `${` ends. */
  const templates: number[] = [];
  let depth = 0;
  let at = 0;
  while (at < text.length) {
    const char = text[at] as string;
    const end = findLiteralEnd(text, at);
    if (end !== null) {
      const isComment = char === "/" && (text[at + 1] === "/" || text[at + 1] === "*");
      wipe(isComment ? at : at + 1, isComment ? end : end - 1, isComment ? what.comments : what.strings);
      at = end;
    } else if (char === "`" || (char === "}" && templates.at(-1) === depth)) {
      if (char === "}") templates.pop();
      const stop = findTemplateStop(text, at + 1);
      wipe(at + 1, stop.end, what.strings);
      if (stop.opensCode) templates.push(depth);
      at = stop.opensCode ? stop.end + 2 : stop.end + 1;
    } else {
      if (char === "{") depth += 1;
      if (char === "}") depth -= 1;
      at += 1;
    }
  }
  return out.join("");
}

/** The end of the comment, string or regular expression that starts here; null where none does. */
function findLiteralEnd(text: string, at: number): number | null {
  const char = text[at];
  if (char === '"' || char === "'") return skipQuoted(text, at, char);
  if (char !== "/") return null;
  if (text[at + 1] === "/") {
    const end = text.indexOf("\n", at);
    return end === -1 ? text.length : end;
  }
  if (text[at + 1] === "*") {
    const end = text.indexOf("*/", at + 2);
    return end === -1 ? text.length : end + 2;
  }
  return startsRegex(text, at) ? skipRegex(text, at) : null;
}

function skipQuoted(text: string, at: number, quote: string): number {
  let end = at + 1;
  while (end < text.length && text[end] !== quote && text[end] !== "\n") end += text[end] === "\\" ? 2 : 1;
  return end + 1;
}

/** A slash after a value divides; after an operator, a bracket or some words a regular expression begins. */
function startsRegex(text: string, at: number): boolean {
  const before = text.slice(Math.max(0, at - 40), at).trimEnd();
  if (before === "") return true;
  if (/(^|[^\w$.])(return|typeof|case|in|of|do|else|yield|await|void|delete)$/.test(before)) return true;
  return /[(,=:[!&|?{};+\-*%<>~^]$/.test(before);
}

function skipRegex(text: string, at: number): number {
  let inClass = false;
  let end = at + 1;
  for (; end < text.length && text[end] !== "\n"; end++) {
    if (text[end] === "\\") end += 1;
    else if (text[end] === "[") inClass = true;
    else if (text[end] === "]") inClass = false;
    else if (text[end] === "/" && !inClass) break;
  }
  return end + 1;
}

function findTemplateStop(text: string, from: number): { end: number; opensCode: boolean } {
  for (let at = from; at < text.length; at++) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === "`") return { end: at, opensCode: false };
    else if (text[at] === "$" && text[at + 1] === "{") return { end: at, opensCode: true };
  }
  return { end: text.length, opensCode: false };
}
