// Models with layer norms compute what their definition says: tiny random ones are converted, loaded by llama.cpp, and
// their logits are compared with forward passes in plain TypeScript (support/tiny-gpt2.ts and others).

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertFolder } from "../support/convert-folder.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { LAYER_NORM_MODELS, LAYER_NORM_MODELS_BEYOND } from "../support/layer-norm-models.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { askLlama, DIFFERENCE_MAX, PROMPT, relativeDifference } from "../support/llama-logits.ts";
import { type TinyFamily, writeFamilyFolder } from "../support/tiny-families.ts";
import { VOCABULARY } from "../support/tiny-layer-norms.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-layer-norms-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MODELS = Object.entries({ ...LAYER_NORM_MODELS, ...LAYER_NORM_MODELS_BEYOND });

describe.skipIf(!HAS_NATIVE)("logits of a converted model", () => {
  beforeAll(async () => {
    await openLlama();
  });

  test.each(MODELS)("%s: as the definition says", async (name, family) => {
    const source = join(folder, name);
    writeFamilyFolder(source, family, tinyTokenizer());
    const { path } = await convertFolder(source, "f32");
    const difference = relativeDifference(await askLlama(path, VOCABULARY), family.compute(PROMPT));
    expect(difference).toBeLessThan(DIFFERENCE_MAX);
  });

  test("the comparison notices another base, another scaling and another output head", async () => {
    const plain = LAYER_NORM_MODELS.gptneox as TinyFamily;
    const source = join(folder, "noticed");
    writeFamilyFolder(source, plain, tinyTokenizer());
    const found = await askLlama((await convertFolder(source, "f32")).path, VOCABULARY);
    expect(relativeDifference(found, plain.compute(PROMPT))).toBeLessThan(DIFFERENCE_MAX);
    for (const name of ["gptneox-theta", "gptneox-linear", "gptneox-tied"]) {
      const other = LAYER_NORM_MODELS_BEYOND[name] as TinyFamily;
      expect(relativeDifference(found, other.compute(PROMPT))).toBeGreaterThan(10 * DIFFERENCE_MAX);
    }
  });
});
