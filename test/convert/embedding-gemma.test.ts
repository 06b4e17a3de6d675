// A converted EmbeddingGemma gives the vectors of its definition, dense layers and all; what differs from it is refused.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NativeContext } from "../../src/ffi/context.ts";
import { NativeModel } from "../../src/ffi/model.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { convertFolder } from "../support/convert-folder.ts";
import { GEMMA_FILES } from "../support/golden-families.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { DIFFERENCE_MAX, PROMPT, relativeDifference } from "../support/llama-logits.ts";
import { embedByGemma, makeEmbeddingGemma, writeEmbeddingGemma } from "../support/tiny-embedding-gemma.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-embedding-gemma-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const MODEL = makeEmbeddingGemma();

function write(name: string, config: Record<string, unknown> = {}): string {
  const folder = join(root, name);
  const family = { ...MODEL.family, config: { ...MODEL.family.config, ...config } };
  writeEmbeddingGemma(folder, { ...MODEL, family }, GEMMA_FILES);
  return folder;
}

async function embed(path: string): Promise<Float64Array> {
  const { library } = await openLlama();
  using job = NativeModel.load(library, path, { gpuLayers: 0 });
  while (job.poll().kind === "running") Bun.sleepSync(1);
  using model = job.take();
  const sizes = { contextLength: 64, batchSize: 64, microBatchSize: 64, outputs: 64, sequences: 1, threads: 1 };
  using context = NativeContext.make(model, { ...sizes, embeddings: true, pooling: -1, flashAttention: false });
  const { length } = PROMPT;
  context.decode({
    length,
    tokens: Int32Array.from(PROMPT),
    positions: Int32Array.from(PROMPT, (_, i) => i),
    sequences: new Int32Array(length),
    outputs: new Int8Array(length).fill(1),
  });
  const vector = Float64Array.from(context.embedding(0, 64));
  const norm = Math.hypot(...vector);
  return vector.map((value) => value / norm);
}

test.skipIf(!HAS_NATIVE)("its vectors are those of the definition", async () => {
  const { path } = await convertFolder(write("whole"), "f32");
  expect(relativeDifference(await embed(path), embedByGemma(MODEL, PROMPT))).toBeLessThan(DIFFERENCE_MAX);
});

describe("what is refused", () => {
  const refusalOf = async (folder: string): Promise<unknown> =>
    convertFolder(folder).catch((thrown: unknown) => thrown);

  test("attention that looks back only, and other layers behind the pooling", async () => {
    expect(await refusalOf(write("back", { use_bidirectional_attention: false }))).toMatchObject({
      code: "format_unsupported",
    });
    const biased = write("biased");
    const settings = { in_features: 64, out_features: 96, bias: true };
    writeFileSync(join(biased, "2_Dense", "config.json"), JSON.stringify(settings));
    expect(await refusalOf(biased)).toMatchObject({ code: "format_unsupported" });
    const odd = write("odd");
    const modules = [{ type: "sentence_transformers.models.Dense", path: "../4_Dense" }];
    writeFileSync(join(odd, "modules.json"), JSON.stringify(modules));
    expect(await refusalOf(odd)).toBeInstanceOf(AppError);
  });

  test("a dense layer of another shape is damaged", async () => {
    const folder = write("shape");
    const settings = { in_features: 64, out_features: 95 };
    writeFileSync(join(folder, "2_Dense", "config.json"), JSON.stringify(settings));
    expect(await refusalOf(folder)).toMatchObject({ code: "model_damaged" });
  });
});
