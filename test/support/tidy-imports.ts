// The tidy rules on imports: which part may import which, and that nothing lies about unreferenced.
// The table is the one of docs/design.md, section 4.

import { dirname, join } from "node:path/posix";
import { blank, lineAt, type SourceFile, type Violation } from "./tidy-source.ts";

/** Part of src → the parts that it may import, besides itself and lib. */
const ALLOWED_IMPORTS: Readonly<Record<string, readonly string[]>> = {
  api: ["hub", "models", "protocol", "router", "state"],
  router: ["hardware", "models", "protocol"],
  engine: ["ffi", "protocol"],
  models: ["formats", "protocol"],
  convert: ["formats", "protocol"],
  // It fetches files and knows nothing of the registry, which finds them by itself.
  hub: ["formats", "protocol"],
  state: ["protocol"],
  bench: ["protocol"],
  // Wiring only: they put the parts together.
  commands: [
    "api",
    "bench",
    "config",
    "convert",
    "demo",
    "engine",
    "hardware",
    "hub",
    "models",
    "protocol",
    "router",
    "state",
  ],
  main: ["commands", "config", "protocol"],
  config: ["protocol"],
  demo: [],
  ffi: [],
  hardware: ["protocol"],
  formats: [],
  protocol: [],
  lib: [],
};

/** Packages that one part alone may import. */
const OWNED_PACKAGES: readonly { pattern: RegExp; owner: string }[] = [
  { pattern: /^(elysia|@elysiajs\/)/, owner: "api" },
  { pattern: /^bun:ffi$/, owner: "ffi" },
  { pattern: /^bun:sqlite$/, owner: "state" },
];

export interface Import {
  specifier: string;
  index: number;
}

/** Static, dynamic and re-exporting imports, each specifier once, and paths of TypeScript files in strings (workers, children). */
export function findImports(text: string): Import[] {
  const code = blank(text, { comments: true, strings: false });
  const found = new Map<string, Import>();
  const patterns = [
    /\b(?:import|export)\b[^"';]*?\bfrom\s*["']([^"']+)["']/g,
    /\bimport\s*\(?\s*["']([^"']+)["']/g,
    /\brequire\s*\(\s*["']([^"']+)["']/g,
    /["'](\.{1,2}\/[^"'\s]+\.ts)["']/g,
  ];
  for (const pattern of patterns) {
    for (const match of code.matchAll(pattern)) {
      const specifier = match[1] ?? "";
      if (!found.has(specifier)) found.set(specifier, { specifier, index: match.index });
    }
  }
  return [...found.values()];
}

/** `src/api/x.ts` → `api`, `src/main.ts` → `main`; null outside src. */
function partOf(path: string): string | null {
  const match = /^src\/([^/]+?)(?:\.ts|\/.*)$/.exec(path);
  return match?.[1] ?? null;
}

export function checkImports(files: readonly SourceFile[]): Violation[] {
  const violations: Violation[] = [];
  for (const file of files) {
    const part = partOf(file.path);
    if (part === null) continue;
    for (const found of findImports(file.text)) {
      const message = judgeImport(file.path, part, found.specifier);
      if (message === null) continue;
      violations.push({ rule: "imports", path: file.path, line: lineAt(file.text, found.index), message });
    }
  }
  return violations;
}

function judgeImport(path: string, part: string, specifier: string): string | null {
  const allowed = ALLOWED_IMPORTS[part];
  if (allowed === undefined) return `the part "${part}" is not in the table of imports`;
  if (!specifier.startsWith(".")) {
    const owned = OWNED_PACKAGES.find(({ pattern }) => pattern.test(specifier));
    return owned === undefined || owned.owner === part ? null : `only src/${owned.owner} imports ${specifier}`;
  }
  const target = join(dirname(path), specifier);
  const targetPart = partOf(target);
  // Assets may come from anywhere: they hold no code. Code outside src belongs to the build and the tests.
  if (targetPart === null) return target.endsWith(".ts") ? `src must not import ${target}` : null;
  if (targetPart === part || targetPart === "lib" || allowed.includes(targetPart)) return null;
  return `${part} must not import ${targetPart} (${target})`;
}

/** Files of src that nothing reaches, starting from the files that are not in src, and from main. */
export function checkUnreferenced(files: readonly SourceFile[]): Violation[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const queue = files.filter((file) => file.path === "src/main.ts" || !file.path.startsWith("src/"));
  const reached = new Set(queue.map((file) => file.path));
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    for (const { specifier } of findImports(file.text)) {
      // A string's path may be meant from the root as well as from the file.
      for (const target of [join(dirname(file.path), specifier), join(specifier)]) {
        const next = byPath.get(target);
        if (next === undefined || reached.has(target)) continue;
        reached.add(target);
        queue.push(next);
      }
    }
  }
  return (
    files
      // Ambient declarations are found by the compiler, without an import.
      .filter((file) => !reached.has(file.path) && !file.path.endsWith(".d.ts"))
      .map((file) => ({ rule: "unreferenced", path: file.path, line: 0, message: "nothing imports this file" }))
  );
}
