// `--draft-model FILE`: what is read of it before anything is loaded, and what ends the start.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkDraftModel } from "../../src/models/draft.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { SMALL_LORA, writeLora } from "../support/lora-builder.ts";
import { BERT_MEAN_SPEC, TINY_SPEC } from "../support/model-specs.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-draft-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a model that generates is taken", () => {
  checkDraftModel(cacheModel(TINY_SPEC));
});

test.each([
  ["nothing.gguf", () => null, "does not exist"],
  ["text.gguf", () => "just text", "is not a GGUF file"],
  ["cut.gguf", () => readFileSync(cacheModel(TINY_SPEC)).subarray(0, 100), "is damaged"],
] satisfies [string, () => string | Uint8Array | null, string][])("%s ends the start", (name, make, why) => {
  const path = join(folder, name);
  const content = make();
  if (content !== null) writeFileSync(path, content);
  expectRefusal(path, why);
});

test("neither an adapter, nor an encoder, nor a folder guesses", () => {
  const lora = join(folder, "lora.gguf");
  writeLora(lora, TINY_SPEC, SMALL_LORA);
  expectRefusal(lora, 'of type "adapter"');
  expectRefusal(cacheModel(BERT_MEAN_SPEC), "does not generate");
  expectRefusal(folder, "is no file");
});

function expectRefusal(path: string, why: string): void {
  const refused = expect(() => checkDraftModel(path));
  refused.toThrow("--draft-model");
  refused.toThrow(path);
  refused.toThrow(why);
}
