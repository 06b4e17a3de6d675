// Notices: every package that is shipped is named, with its license text.

import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { collectNotices, findRuntimePackages, printLicenses } from "../../src/commands/licenses.ts";

const ROOT = join(import.meta.dir, "..", "..");

function project(files: Record<string, unknown>): string {
  const root = mkdtempSync(join(tmpdir(), "mlo-licenses-"));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return root;
}

const files = {
  "package.json": { name: "app", dependencies: { a: "1" }, devDependencies: { tool: "1" } },
  LICENSE: "our license",
  "vendor/llama.cpp/LICENSE": "llama's license",
  "vendor/llama.cpp/licenses/LICENSE-json": "json's license",
  "node_modules/a/package.json": { name: "a", version: "1.0.0", license: "MIT", dependencies: { b: "1", none: "1" } },
  "node_modules/a/LICENSE.md": "a's license",
  "node_modules/a/bundle.js.LICENSE.txt": "a's bundle",
  "node_modules/a/node_modules/b/package.json": {
    name: "b",
    version: "2.0.0",
    license: "ISC",
    dependencies: { a: "1" },
  },
  "node_modules/b/package.json": { name: "b", version: "1.0.0" },
  "node_modules/node-addon-api/package.json": { name: "node-addon-api", version: "8.0.0", license: "MIT" },
  "node_modules/node-addon-api/LICENSE.md": "the headers' license",
  "node_modules/tool/package.json": { name: "tool", version: "1.0.0" },
};

describe("notices", () => {
  test("hold our own, llama.cpp's and every shipped package's", () => {
    const text = collectNotices(project(files));
    const wanted = [
      "our license",
      "llama's license",
      "json's license",
      "a's license",
      "a's bundle",
      "a 1.0.0 (MIT)",
      "Bun",
      "node-addon-api 8.0.0 (MIT)",
      "the headers' license",
    ];
    for (const part of wanted) expect(text).toContain(part);
    expect(text).toContain("b 2.0.0 (ISC)");
    expect(text).not.toContain("b 1.0.0");
    expect(text).not.toContain("tool 1.0.0");
  });

  test("refuse to leave llama.cpp out", () => {
    const { "vendor/llama.cpp/LICENSE": _left, ...others } = files;
    expect(() => collectNotices(project(others))).toThrow("vendor/llama.cpp");
  });

  test("of this project reach its dependencies", () => {
    const names = findRuntimePackages(ROOT).map((folder) => folder.slice(folder.lastIndexOf("node_modules/") + 13));
    for (const name of ["elysia", "zod", "swagger-ui-dist", "memoirist"]) expect(names).toContain(name);
    expect(names).not.toContain("openai");
  });

  test("are printed with a line end", () => {
    let printed = "";
    printLicenses("text", { write: (chunk) => (printed += chunk) });
    expect(printed).toBe("text\n");
  });
});
