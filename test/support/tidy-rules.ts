// The tidy rules that look at one file at a time. Each is pure: files in, violations out.
// Rules on imports are in tidy-imports.ts, on functions in tidy-functions.ts.

import { basename } from "node:path/posix";
import { blank, lineAt, type SourceFile, type Violation } from "./tidy-source.ts";

/** Words that say nothing about what a file owns. */
const BANNED_WORDS = ["util", "utils", "helper", "helpers", "manager", "misc", "common"];
/** Built from pieces, so that this file does not break its own rule. */
const LEFTOVERS = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX"].join("|")})\\b`, "g");

export function checkFileLengths(files: readonly SourceFile[], linesMax: number): Violation[] {
  return files.flatMap((file) => {
    const lines = file.text.replace(/\n$/, "").split("\n").length;
    const message = `the file has ${lines} lines, at most ${linesMax} are allowed`;
    return lines > linesMax ? [{ rule: "file-length", path: file.path, line: 0, message }] : [];
  });
}

export function checkOpenings(files: readonly SourceFile[]): Violation[] {
  return files.flatMap((file) => {
    const text = file.text.replace(/^#!.*\n/, "");
    const message = "the file does not open with a comment that says what it owns";
    return /^(\/\/|\/\*)/.test(text) ? [] : [{ rule: "opening", path: file.path, line: 1, message }];
  });
}

export function checkNames(files: readonly SourceFile[]): Violation[] {
  return files.flatMap((file) => {
    const name = basename(file.path).replace(/(\.test|\.d)?\.ts$/, "");
    const violations: Violation[] = [];
    const report = (message: string): void => void violations.push({ rule: "name", path: file.path, line: 0, message });
    if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) report("the file's name is not kebab-case");
    const banned = name.split("-").find((word) => BANNED_WORDS.includes(word));
    if (banned !== undefined) report(`"${banned}" in a file's name does not say what it owns`);
    return violations;
  });
}

/** Leftovers count in comments and strings, too. */
export function checkLeftovers(files: readonly SourceFile[]): Violation[] {
  return matches(
    "leftover",
    files,
    (file) => file.text,
    LEFTOVERS,
    (found) => `${found} was left behind`,
  );
}

export function checkExits(files: readonly SourceFile[]): Violation[] {
  const guarded = files.filter((file) => file.path.startsWith("src/") && file.path !== "src/main.ts");
  const pattern = /\bprocess\s*\.\s*exit\s*\(/g;
  return matches(
    "exit",
    guarded,
    (file) => blank(file.text),
    pattern,
    () => "only src/main.ts ends the process",
  );
}

export function checkStarExports(files: readonly SourceFile[]): Violation[] {
  const pattern = /\bexport\s*\*/g;
  return matches(
    "star-export",
    files,
    (file) => blank(file.text),
    pattern,
    () => "no barrels: export by name",
  );
}

/** A catch that does nothing must at least say why; one without a word is empty. */
export function checkEmptyCatches(files: readonly SourceFile[]): Violation[] {
  const pattern = /\bcatch\s*(\([^)]*\)\s*)?\{\s*\}|\.catch\(\s*\([^)]*\)\s*=>\s*\{\s*\}\s*\)/g;
  const code = (file: SourceFile): string => blank(file.text, { comments: false, strings: true });
  return matches("empty-catch", files, code, pattern, () => "a catch must not swallow errors without a word");
}

function matches(
  rule: string,
  files: readonly SourceFile[],
  codeOf: (file: SourceFile) => string,
  pattern: RegExp,
  message: (found: string) => string,
): Violation[] {
  return files.flatMap((file) => {
    const code = codeOf(file);
    return [...code.matchAll(pattern)].map((match) => ({
      rule,
      path: file.path,
      line: lineAt(code, match.index),
      message: message(match[0]),
    }));
  });
}
