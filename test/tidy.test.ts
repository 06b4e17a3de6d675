// The house rules, checked: on the whole project, and each rule on a bad snippet that it must report.
// A rule that never fires is worth nothing.

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { checkFunctionLengths, findFunctions } from "./support/tidy-functions.ts";
import { checkImports, checkUnreferenced, findImports } from "./support/tidy-imports.ts";
import {
  checkEmptyCatches,
  checkExits,
  checkFileLengths,
  checkLeftovers,
  checkNames,
  checkOpenings,
  checkStarExports,
} from "./support/tidy-rules.ts";
import { blank, readSources, type SourceFile, type Violation } from "./support/tidy-source.ts";

const ROOT = join(import.meta.dir, "..");
const FILE_LINES_MAX = 300;
const FUNCTION_LINES_MAX = 60;
/** Made from native/shim/mlo.h: checked against it elsewhere, not written by hand. */
const GENERATED = ["src/ffi/symbols.ts"];

const everywhere = readSources(ROOT, [
  "src",
  "test",
  "native",
  ...(existsSync(join(ROOT, "build.ts")) ? ["build.ts"] : []),
]);
// The vendored source lies in a folder below: only our own files count.
const vendor = existsSync(join(ROOT, "vendor"))
  ? [...new Bun.Glob("vendor/*.ts").scanSync({ cwd: ROOT })].flatMap((path) => readSources(ROOT, [path]))
  : [];
const all = [...everywhere, ...vendor].filter((file) => !file.path.includes("node_modules/"));
const written = all.filter((file) => !GENERATED.includes(file.path));
/** Test cases may be long lists; the code that they share may not. */
const code = written.filter((file) => !file.path.startsWith("test/") || file.path.startsWith("test/support/"));

const show = (violations: readonly Violation[]): string[] =>
  violations.map(({ rule, path, line, message }) => `${path}:${line} [${rule}] ${message}`);

describe("the project", () => {
  test("has files to check", () => {
    expect(code.length).toBeGreaterThan(20);
  });

  test.each([
    ["files are short", () => checkFileLengths(code, FILE_LINES_MAX)],
    ["functions are short", () => checkFunctionLengths(code, FUNCTION_LINES_MAX)],
    ["imports go one way", () => checkImports(all)],
    ["every file of src is referenced", () => checkUnreferenced(all)],
    ["only main ends the process", () => checkExits(all)],
    ["nothing is left to do", () => checkLeftovers(all)],
    ["files say what they own", () => checkOpenings(code)],
    ["names say what files own", () => checkNames(all)],
    ["there are no barrels", () => checkStarExports(all)],
    ["no error is swallowed", () => checkEmptyCatches(all)],
  ])("%s", (_name, check) => {
    expect(show(check())).toEqual([]);
  });
});

const file = (path: string, text: string): SourceFile => ({ path, text });
const lines = (count: number): string => Array.from({ length: count }, (_, i) => `  f(${i});`).join("\n");

describe("rules report", () => {
  test("a long file, and not one of just the limit", () => {
    expect(checkFileLengths([file("a.ts", "x\n".repeat(301))], 300)).toHaveLength(1);
    expect(checkFileLengths([file("a.ts", "x\n".repeat(300))], 300)).toEqual([]);
  });

  test.each([
    ["a declaration", `export function long(a: number) {\n${lines(60)}\n}\n`],
    ["a generic one", `function long<T extends { a: string }>(a: T): Promise<{ a: T }> {\n${lines(60)}\n}\n`],
    ["an object type as return type", `function long(): { a: string } {\n${lines(60)}\n}\n`],
    ["a destructured parameter", `function long({\n  a,\n}: Options): void {\n${lines(60)}\n}\n`],
    ["a method", `class A {\n  async long(): Promise<void> {\n${lines(60)}\n  }\n}\n`],
    ["a private method", `class A {\n  #long(a: number): A | null {\n${lines(60)}\n  }\n}\n`],
    ["a getter", `class A {\n  get long(): number {\n${lines(60)}\n  }\n}\n`],
    ["an arrow function", `const long = async (a: number): Promise<void> => {\n${lines(60)}\n};\n`],
    ["a generator", `export async function* long(): AsyncGenerator<string> {\n${lines(60)}\n}\n`],
    ["braces in strings", `function long() {\n  g("}", '}', \`}\${a}}\`, /}/); // }\n${lines(60)}\n}\n`],
  ])("a long function: %s", (_name, text) => {
    expect(checkFunctionLengths([file("a.ts", text)], 60)).toHaveLength(1);
    expect(checkFunctionLengths([file("a.ts", text.replace(`${lines(60)}\n`, ""))], 60)).toEqual([]);
  });

  test("no function where there is none", () => {
    const text = `if (a) {\n${lines(70)}\n}\nfor (const b of c) {\n${lines(70)}\n}\ninterface A {\n  f(): void;\n}\ncall(1);\n`;
    expect(findFunctions(text)).toEqual([]);
  });

  test.each([
    ["src/api/a.ts", `import { x } from "../engine/x.ts";`],
    ["src/api/a.ts", `import type { x } from "../ffi/x.ts";`],
    ["src/lib/a.ts", `import { x } from "../protocol/x.ts";`],
    ["src/models/a.ts", `export { x } from "../router/x.ts";`],
    ["src/router/a.ts", `const x = await import("../engine/x.ts");`],
    ["src/router/a.ts", `import { Elysia } from "elysia";`],
    ["src/engine/a.ts", `import { dlopen } from "bun:ffi";`],
    ["src/engine/a.ts", `import {\n  dlopen,\n} from "bun:ffi";`],
    ["src/engine/a.ts", `import { x } from "../../test/x.ts";`],
    ["src/novel/a.ts", `import { x } from "../lib/x.ts";`],
  ])("a forbidden import in %s: %s", (path, text) => {
    expect(checkImports([file(path, text)])).toHaveLength(1);
  });

  test.each([
    ["src/api/a.ts", `import { Elysia } from "elysia";\nimport { x } from "../models/x.ts";`],
    ["src/engine/a.ts", `import { x } from "../ffi/x.ts";\nimport { y } from "../lib/y.ts";\nimport z from "node:fs";`],
    ["src/lib/a.ts", `// import { x } from "../api/x.ts";\nimport { y } from "./y.ts";`],
    ["test/a.ts", `import { x } from "../src/ffi/x.ts";`],
  ])("no allowed import in %s: %s", (path, text) => {
    expect(checkImports([file(path, text)])).toEqual([]);
  });

  test("a file that nothing reaches", () => {
    const files = [
      file("src/main.ts", `import "./a.ts";`),
      file("src/a.ts", `new Worker(new URL("./b.ts", import.meta.url));`),
      file("src/b.ts", ""),
      file("src/c.ts", `import "./d.ts";`),
      file("src/d.ts", ""),
      file("test/d.test.ts", `import "../src/d.ts";`),
    ];
    expect(checkUnreferenced(files).map((violation) => violation.path)).toEqual(["src/c.ts"]);
  });

  test("an exit outside of main", () => {
    expect(checkExits([file("src/a.ts", "if (b) process.exit(1);")])).toHaveLength(1);
    const fine = [
      file("src/main.ts", "process.exit(1);"),
      file("src/a.ts", "// process.exit(1)"),
      file("build.ts", "process.exit(1)"),
    ];
    expect(checkExits(fine)).toEqual([]);
  });

  test("leftovers", () => {
    const words = ["TO", "FIX", "X"].map((start, i) => start + ["DO", "ME", "XX"][i]);
    for (const word of words) expect(checkLeftovers([file("a.ts", `// ${word}: later`)])).toHaveLength(1);
    expect(checkLeftovers([file("a.ts", "// nothing")])).toEqual([]);
  });

  test("a file without an opening comment", () => {
    expect(checkOpenings([file("a.ts", `import a from "a";\n// late`)])).toHaveLength(1);
    expect(checkOpenings([file("a.ts", "#!/usr/bin/env bun\n// Owns a.\n"), file("b.ts", "/* Owns b. */")])).toEqual(
      [],
    );
  });

  test("bad names", () => {
    const bad = ["src/camelCase.ts", "src/utils.ts", "src/path-helper.ts", "src/a_b.ts", "test/common.test.ts"];
    for (const path of bad) expect(checkNames([file(path, "")])).toHaveLength(1);
    expect(
      checkNames([file("src/async-queue.ts", ""), file("test/async-queue.test.ts", ""), file("types.d.ts", "")]),
    ).toEqual([]);
  });

  test("barrels", () => {
    expect(checkStarExports([file("a.ts", `export * from "./b.ts";`)])).toHaveLength(1);
    expect(checkStarExports([file("a.ts", `export * as b from "./b.ts";`)])).toHaveLength(1);
    expect(checkStarExports([file("a.ts", `export { b } from "./b.ts";`)])).toEqual([]);
  });

  test("empty catches", () => {
    for (const text of ["try { a(); } catch {}", "try { a(); } catch (e) {\n}", "p.catch(() => {});"]) {
      expect(checkEmptyCatches([file("a.ts", text)])).toHaveLength(1);
    }
    expect(
      checkEmptyCatches([file("a.ts", "try { a(); } catch (e) {\n  // Already gone: that is what was wanted.\n}")]),
    ).toEqual([]);
  });
});

describe("the lexer", () => {
  test.each([
    [`a = "b{"; c`, `a = "  "; c`],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder is what is looked at.
    ["a = `b{${c + `d}`}e}`; f", "a = `  ${c + `  `}  `; f"],
    ["a / b / c", "a / b / c"],
    ["x = /[/}]\\//g; y", "x = /      /g; y"],
    ["a // b {", "a       "],
    ["a /* { */ b", "a         b"],
    [`"\\"{" + b`, `"   " + b`],
  ])("blanks %s", (text, expected) => {
    expect(blank(text)).toBe(expected);
  });

  test("finds imports of every kind, each once", () => {
    const text = `import a from "./a.ts";\nimport "./b.ts";\nexport { c } from './c.ts';\nimport("./d.ts");\n`;
    expect(new Set(findImports(text).map((found) => found.specifier))).toEqual(
      new Set(["./a.ts", "./b.ts", "./c.ts", "./d.ts"]),
    );
  });
});
