// What is refused of families with definitions of their own, since llama.cpp would compute something else; and what is
// written, left out or noted where a model differs from the published ones.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertFolder, readWritten } from "../support/convert-folder.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { type TinyFamily, writeFamilyFolder } from "../support/tiny-families.ts";
import { TINY_FAMILIES } from "../support/tiny-family-models.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-family-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const familyOf = (name: string): TinyFamily => TINY_FAMILIES[name] as TinyFamily;

/** A folder of a tiny model with other fields in its config.json; `undefined` takes one away. */
function write(name: string, changes: Record<string, unknown>, dropped = ""): string {
  const folder = mkdtempSync(join(root, "model-"));
  const family = familyOf(name);
  const tensors = new Map([...family.tensors].filter(([tensor]) => tensor !== dropped));
  writeFamilyFolder(folder, { ...family, tensors, config: { ...family.config, ...changes } }, tinyTokenizer());
  return folder;
}

async function refusalOf(folder: string): Promise<{ code: string; message: string; hint: string }> {
  const failed = await convertFolder(folder).then(null, (thrown: unknown) => thrown);
  const { code, message, hint } = failed as { code: string; message: string; hint: string };
  return { code, message, hint };
}

describe("what llama.cpp would compute in another way", () => {
  const refusals: [string, string, Record<string, unknown>, string][] = [
    ["another activation", "gemma2", { hidden_activation: "relu" }, '"relu"; this architecture has gelu_pytorch_tanh'],
    ["no cap", "gemma2", { attn_logit_softcapping: null }, "leaves out attn_logit_softcapping"],
    ["a head of its own", "gemma2", { tie_word_embeddings: false }, "an output head of its own"],
    ["other windows", "gemma2", { layer_types: Array(3).fill("full_attention") }, "another order of layers"],
  ];

  test.each(refusals)("%s: %s", async (_, name, changes, message) => {
    const refusal = await refusalOf(write(name, changes));
    expect(refusal).toMatchObject({ code: "format_unsupported" });
    expect(refusal.message).toContain(message);
    expect(refusal.hint.length).toBeGreaterThan(10);
  });
});

describe("what contradicts itself", () => {
  const refusals: [string, string, Record<string, unknown>, string][] = [
    ["a cap of zero", "gemma2", { final_logit_softcapping: 0 }, '"final_logit_softcapping" must be a number over 0'],
    ["missing layers", "gemma2", { num_hidden_layers: 4 }, "11 tensors are missing"],
  ];

  test.each(refusals)("%s: %s", async (_, name, changes, message) => {
    const refusal = await refusalOf(write(name, changes));
    expect(refusal).toMatchObject({ code: "model_damaged" });
    expect(refusal.message).toContain(message);
  });

  test("a tensor that is missing", async () => {
    for (const [name, tensor] of [["gemma2", "model.layers.1.pre_feedforward_layernorm.weight"]] as const) {
      const refusal = await refusalOf(write(name, {}, tensor));
      expect(refusal.code).toBe("model_damaged");
      expect(refusal.message).toContain(`1 tensors are missing: ${tensor}`);
    }
  });
});

describe("what differs from the published models", () => {
  test("Gemma 2: another base of rotation is written, the usual one is llama.cpp's own", async () => {
    const [usual, other] = await Promise.all(
      [write("gemma2", {}), write("gemma2", { rope_theta: 5_000 })].map((f) => convertFolder(f)),
    );
    expect(readWritten(usual?.path ?? "").keys).not.toContain("gemma2.rope.freq_base");
    expect(readWritten(other?.path ?? "").value("gemma2.rope.freq_base")).toBe(5_000);
  });

  test("Gemma: queries that are scaled by another length are noted", async () => {
    for (const name of ["gemma2"]) {
      const { report } = await convertFolder(write(name, { query_pre_attn_scalar: 224 }));
      expect(report.notes.join()).toContain("scales queries by the root of 224; llama.cpp takes 32");
    }
  });
});
