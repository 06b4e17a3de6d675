// The tokenizers of Gemma, Phi and DeepSeek: llama.cpp's own vocabularies are put back into a Hugging Face folder,
// converted, and asked for the ids that llama.cpp's tests expect of them, and that its own vocabularies give for 500 lines.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertFolder } from "../support/convert-folder.ts";
import {
  readDeepseekSteps,
  readExpectations,
  readVocabulary,
  toByteLevelJson,
  toGemmaJson,
  toSentencePieceModel,
} from "../support/hf-tokenizers.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { TINIEST, writeTinyFolder } from "../support/tiny-decoders.ts";
import { type TinyFamily, writeFamilyFolder } from "../support/tiny-families.ts";
import { TINY_FAMILIES } from "../support/tiny-family-models.ts";
import type { TokenizerName } from "../support/tokenizers.ts";
import { idsOf, LINES, loadVendored } from "../support/vendored-ids.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-family-tokens-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function compareIds(path: string, name: TokenizerName): Promise<void> {
  using backend = await loadModelFile(path);
  const expectations = readExpectations(name);
  expect(expectations.length).toBeGreaterThan(40);
  for (const { text, ids } of expectations) expect({ text, ids: idsOf(backend, text) }).toEqual({ text, ids });
  using vendored = await loadVendored(name);
  for (const text of LINES) expect({ text, ids: idsOf(backend, text) }).toEqual({ text, ids: idsOf(vendored, text) });
}

/** Gemma's tokenizer hangs on its architecture. */
function withVocabulary(family: TinyFamily, size: number): TinyFamily {
  const tensors = new Map(family.tensors);
  const name = "model.embed_tokens.weight";
  const width = family.config.hidden_size as number;
  tensors.set(name, { shape: [size, width], values: new Float32Array(size * width) });
  return { ...family, config: { ...family.config, vocab_size: size }, tensors };
}

describe.skipIf(!HAS_NATIVE)("ids of a multilingual text", () => {
  test("DeepSeek V2's tokenizer.json", async () => {
    const name = "deepseek-llm";
    const read = readVocabulary(name);
    const json = toByteLevelJson(read, "", false) as Record<string, unknown>;
    const source = join(folder, name);
    const model = { ...TINIEST, isTied: true, vocabulary: read.tokens.length, dtype: "BF16" } as const;
    writeTinyFolder(source, model, { "tokenizer.json": { ...json, pre_tokenizer: readDeepseekSteps() } });
    await compareIds((await convertFolder(source, "bf16")).path, name);
  });

  test("Phi 3's tokenizer.model", async () => {
    const read = readVocabulary("phi-3");
    const source = join(folder, "phi");
    const model = { ...TINIEST, isTied: true, vocabulary: read.tokens.length, dtype: "BF16" } as const;
    writeTinyFolder(source, model, { "tokenizer.model": toSentencePieceModel(read) });
    await compareIds((await convertFolder(source, "bf16")).path, "phi-3");
  });

  // That of Gemma 4 has the form of Gemma 2 and 3's; only its steps are run in another way by llama.cpp.
  test("Gemma's tokenizer.json", async () => {
    const read = readVocabulary("gemma-4");
    const source = join(folder, "gemma");
    const family = withVocabulary(TINY_FAMILIES["gemma2-bf16-parts"] as TinyFamily, read.tokens.length);
    writeFamilyFolder(source, family, { "tokenizer.json": toGemmaJson(read) });
    await compareIds((await convertFolder(source, "bf16")).path, "gemma-4");
  });
});
