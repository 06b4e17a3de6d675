// A folder of SafeTensors that is named as a model is no silence: its error names the command that converts it.

import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelRegistry } from "../../src/models/registry.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-convertible-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function makeFolder(name: string, files: readonly string[]): string {
  const folder = join(root, name);
  mkdirSync(folder);
  for (const file of files) writeFileSync(join(folder, file), "{}");
  return folder;
}

const listed = (folder: string) => new ModelRegistry({ models: [folder], modelsDirs: [], demoPath: null }).list();

test.each([["model.safetensors"], ["model-00001-of-00002.safetensors"]])("%s", (weights) => {
  const folder = makeFolder(`It's ${weights.length} B`, ["config.json", weights]);
  const [entry, ...rest] = listed(folder);
  expect(rest).toEqual([]);
  expect(entry).toMatchObject({ id: `It's ${weights.length} B`, error: { code: "format_unsupported" } });
  const quoted = `ml-offload convert '${folder.replace("'", "'\\''")}'`;
  expect(entry?.error?.message).toEndWith(quoted);
});

test("a folder with a GGUF file, and one with neither, are what they were", () => {
  const both = makeFolder("both", ["config.json", "model.safetensors", "a.gguf"]);
  expect(listed(both).map(({ id }) => id)).toEqual(["a"]);
  expect(listed(makeFolder("weights-only", ["model.safetensors"]))).toEqual([]);
  expect(listed(makeFolder("empty", []))).toEqual([]);
});
