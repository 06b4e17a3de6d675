// Models in the layout of Llama's makers, and in MLX's NumPy archives, become the file that they become from transformers' form.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { detectFormat } from "../../../src/formats/detect.ts";
import { AppError } from "../../../src/protocol/errors.ts";
import { convertFolder, readWritten } from "../../support/convert-folder.ts";
import { tinyPieces, toSentencePieceModel } from "../../support/hf-tokenizers.ts";
import { writeMetaFolder, writeMistralFolder, writeNpzFolder } from "../../support/own-layout-folders.ts";
import { makeTensors, TINY, type TinyDecoder, writeTensors, writeTinyFolder } from "../../support/tiny-decoders.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-own-layout-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const at = (name: string) => join(root, name);

const HALVES: TinyDecoder = { ...TINY, dtype: "F16", layers: 3 };

async function expectSame(folder: string, model: TinyDecoder, meant = new Map<string, Float32Array>()): Promise<void> {
  const plain = `${folder}-transformers`;
  writeTinyFolder(plain, model, { "tokenizer.model": toSentencePieceModel(tinyPieces()) });
  const tensors = makeTensors(model);
  for (const [name, values] of meant) tensors.get(name)?.values.set(values);
  writeTensors(plain, tensors, meant.size > 0 ? "F32" : model.dtype, 1);
  const expected = readWritten((await convertFolder(plain, "f32")).path);
  const found = readWritten((await convertFolder(folder, "f32")).path);
  expect(found.tensorNames.toSorted()).toEqual(expected.tensorNames.toSorted());
  for (const name of expected.tensorNames) {
    const { offset: _there, ...wanted } = expected.tensor(name);
    const { offset: _here, ...own } = found.tensor(name);
    expect({ name, ...own }).toEqual({ name, ...wanted });
  }
  for (const key of ["feed_forward_length", "vocab_size", "attention.head_count_kv", "rope.dimension_count"]) {
    expect({ key, value: found.value(`llama.${key}`) }).toEqual({ key, value: expected.value(`llama.${key}`) });
  }
}

const refusalOf = async (folder: string): Promise<AppError> => {
  try {
    await convertFolder(folder);
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown;
    throw thrown;
  }
  throw new Error("it was converted");
};

describe("Meta's own checkpoints", () => {
  test("one file, and the context of its generation", async () => {
    writeMetaFolder(at("one"), TINY);
    expect(detectFormat(at("one"))).toMatchObject({
      format: "pytorch",
      architecture: "LlamaForCausalLM",
      verdict: "convertible-with-loss",
      contextLength: 4096,
    });
    await expectSame(at("one"), TINY);
  });

  test.each([false, true])("two and four files; embeddings by rows: %p", async (embeddingsByRows) => {
    for (const parts of [2, 4]) {
      const folder = at(`parts-${parts}-${embeddingsByRows}`);
      const model = { ...HALVES, keyValueHeads: 4 };
      writeMetaFolder(folder, model, { parts, embeddingsByRows });
      const detected = detectFormat(folder);
      expect(detected).toMatchObject({ verdict: "convertible", variant: "sharded", missing: [] });
      expect(detected.files).toHaveLength(parts);
      await expectSame(folder, model);
    }
  });

  test("generations are told by their numbers", async () => {
    for (const [params, context] of [
      [{ norm_eps: 1e-6 }, 2_048],
      [{ rope_theta: 500_000 }, 8_192],
      [{ rope_theta: 1_000_000 }, 16_384],
      [{ max_seq_len: 512 }, 512],
    ] as const) {
      const folder = at(`context-${context}`);
      writeMetaFolder(folder, TINY, { params });
      const { path, report } = await convertFolder(folder);
      expect(readWritten(path).value("llama.context_length")).toBe(context);
      expect(report.notes.join().includes("how long its texts may be")).toBe(!("max_seq_len" in params));
    }
  });

  test("a file that is missing, and what the layout does not say, are refused", async () => {
    writeMetaFolder(at("gone"), TINY, { parts: 2, embeddingsByRows: true });
    rmSync(join(at("gone"), "consolidated.01.pth"));
    expect(await refusalOf(at("gone"))).toMatchObject({ code: "model_damaged" });
    for (const odd of ["use_scaled_rope", "moe", "vision_encoder"]) {
      writeMetaFolder(at(odd), TINY, { params: { [odd]: true } });
      const refusal = await refusalOf(at(odd));
      expect(refusal).toMatchObject({ code: "format_unsupported" });
      expect(refusal.message).toContain(odd);
      expect(detectFormat(at(odd)).verdict).toBe("unsupported");
    }
  });

  test("parts of different shapes are refused", async () => {
    writeMetaFolder(at("odd"), TINY, { parts: 2 });
    writeMetaFolder(at("odd-donor"), { ...TINY, inner: 64 }, { parts: 2 });
    const donor = await Bun.file(join(at("odd-donor"), "consolidated.01.pth")).bytes();
    writeFileSync(join(at("odd"), "consolidated.01.pth"), donor);
    expect((await refusalOf(at("odd"))).message).toContain("different shapes");
  });
});

test("Mistral's own SafeTensors", async () => {
  writeMistralFolder(at("mistral"), HALVES);
  expect(detectFormat(at("mistral"))).toMatchObject({ format: "safetensors", verdict: "convertible" });
  await expectSame(at("mistral"), HALVES);
});

describe("MLX's archives", () => {
  test.each([
    ["in one file", {}, HALVES],
    ["in three", { files: 3 }, HALVES],
    ["in BF16", {}, { ...HALVES, dtype: "BF16" }],
  ] as const)("%s", async (name, options, model) => {
    const folder = at(`npz-${name.replaceAll(" ", "-")}`);
    writeNpzFolder(folder, model, options);
    expect(detectFormat(folder)).toMatchObject({ format: "npz", variant: "mlx", verdict: "convertible" });
    await expectSame(folder, model);
  });

  test.each([4, 8])("with feed-forward parts of %d bits", async (bits) => {
    const folder = at(`npz-${bits}`);
    const meant = writeNpzFolder(folder, HALVES, { bits });
    expect(meant.size).toBe(9);
    expect(detectFormat(folder)).toMatchObject({ format: "npz", verdict: "convertible-with-loss" });
    await expectSame(folder, HALVES, meant);
  });

  test("compressed ones, and ones by columns, are refused", async () => {
    for (const options of [{ deflate: true }, { isFortran: true }]) {
      const folder = at(`npz-${Object.keys(options)[0]}`);
      writeNpzFolder(folder, HALVES, options);
      expect(await refusalOf(folder)).toMatchObject({ code: "format_unsupported" });
      expect(detectFormat(folder)).toMatchObject({ format: "npz", verdict: "unsupported" });
    }
  });

  test("an archive that is cut is damaged", async () => {
    writeNpzFolder(at("npz-cut"), HALVES);
    const path = join(at("npz-cut"), "weights.npz");
    writeFileSync(path, (await Bun.file(path).bytes()).subarray(0, 40_000));
    expect(await refusalOf(at("npz-cut"))).toMatchObject({ code: "model_damaged" });
  });
});
