// Converted encoders compute what their definition says: a tiny random model of each kind is converted, loaded by
// llama.cpp, and its embeddings and scores are compared with a forward pass in plain TypeScript
// (support/reference-encoder.ts).

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NativeContext } from "../../src/ffi/context.ts";
import { NativeModel } from "../../src/ffi/model.ts";
import { convertFolder, readWritten } from "../support/convert-folder.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { computeScore, computeStates, poolStates } from "../support/reference-encoder.ts";
import { computeModernScore, computeRotaryStates } from "../support/reference-rotary-encoder.ts";
import { TINY_ENCODERS, type TinyEncoderCase } from "../support/tiny-encoder-models.ts";
import { makeEncoderTensors, writeEncoderFolder } from "../support/tiny-encoders.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-encoders-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** ‖Δ‖₂/‖ref‖₂: what single precision leaves is under 1e-6. */
const DIFFERENCE_MAX = 1e-5;
const POOLINGS = { mean: 1, cls: 2, rank: 4 } as const;

const TOKENS = Array.from({ length: 24 }, (_, i) => (i * 37 + 11) % 61);

async function convert(name: string, { model, files }: TinyEncoderCase): Promise<string> {
  const source = join(folder, name);
  writeEncoderFolder(source, model, files);
  const { path } = await convertFolder(source, "f32");
  return path;
}

/** The vector, or the score as one. */
async function askLlama(path: string, { model: { width }, pooling }: TinyEncoderCase): Promise<Float64Array> {
  const { library } = await openLlama();
  using job = NativeModel.load(library, path, { gpuLayers: 0 });
  while (job.poll().kind === "running") Bun.sleepSync(1);
  using model = job.take();
  using context = NativeContext.make(model, {
    contextLength: 64,
    batchSize: 64,
    microBatchSize: 64,
    outputs: 64,
    sequences: 1,
    threads: 1,
    embeddings: true,
    pooling: POOLINGS[pooling],
    flashAttention: false,
  });
  context.decode({
    length: TOKENS.length,
    tokens: Int32Array.from(TOKENS),
    positions: Int32Array.from(TOKENS, (_, i) => i),
    sequences: new Int32Array(TOKENS.length),
    outputs: new Int8Array(TOKENS.length).fill(1),
  });
  return Float64Array.from(pooling === "rank" ? context.rank(0) : context.embedding(0, width));
}

function compute({ model, pooling }: TinyEncoderCase, tensors = makeEncoderTensors(model)): Float64Array {
  const isModern = model.modelType === "modernbert";
  const isRotary = isModern || model.modelType === "nomic_bert";
  if (pooling === "rank")
    return Float64Array.of((isModern ? computeModernScore : computeScore)(model, tensors, TOKENS));
  return poolStates((isRotary ? computeRotaryStates : computeStates)(model, tensors, TOKENS), pooling);
}

function relativeDifference(found: Float64Array, expected: Float64Array): number {
  const norm = (values: Float64Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(found.map((value, i) => value - (expected[i] ?? Number.NaN))) / norm(expected);
}

describe.skipIf(!HAS_NATIVE)("a converted encoder", () => {
  beforeAll(async () => {
    await openLlama();
  });

  test.each(Object.entries(TINY_ENCODERS))("%s: as the definition says", async (name, tiny) => {
    const path = await convert(name, tiny);
    expect(relativeDifference(await askLlama(path, tiny), compute(tiny))).toBeLessThan(DIFFERENCE_MAX);
  });

  test("the comparison notices other positions, token types, norms and another pooling", async () => {
    const tiny = TINY_ENCODERS["bert-mean"] as TinyEncoderCase;
    const found = await askLlama(await convert("noticed", tiny), tiny);
    const changed = (name: string, change: (values: Float32Array) => void) => {
      const tensors = makeEncoderTensors(tiny.model);
      change(tensors.get(name)?.values ?? new Float32Array());
      return relativeDifference(found, compute(tiny, tensors));
    };
    expect(changed("embeddings.LayerNorm.weight", () => {})).toBeLessThan(DIFFERENCE_MAX);
    const { width } = tiny.model;
    expect(changed("embeddings.position_embeddings.weight", (rows) => rows.copyWithin(0, width))).toBeGreaterThan(
      10 * DIFFERENCE_MAX,
    );
    expect(changed("embeddings.token_type_embeddings.weight", (rows) => rows.copyWithin(0, width))).toBeGreaterThan(
      0.1,
    );
    expect(changed("encoder.layer.1.output.LayerNorm.bias", (values) => values.fill(0))).toBeGreaterThan(
      10 * DIFFERENCE_MAX,
    );
    expect(relativeDifference(found, compute({ ...tiny, pooling: "cls" }))).toBeGreaterThan(10 * DIFFERENCE_MAX);
  });
});

describe("what a converted encoder says of itself", () => {
  test.each(Object.entries(TINY_ENCODERS))("%s", async (name, tiny) => {
    const { value, keys } = readWritten(await convert(`said-${name}`, tiny));
    const architecture = String(value("general.architecture"));
    expect(value(`${architecture}.attention.causal`)).toBe(false);
    const isNamed = tiny.pooling === "rank" || "modules.json" in tiny.files;
    expect(value(`${architecture}.pooling_type`)).toBe(isNamed ? POOLINGS[tiny.pooling] : undefined);
    expect(keys.includes(`${architecture}.classifier.output_labels`)).toBe(tiny.model.labels > 0);
  });
});

describe("what is refused", () => {
  const base = TINY_ENCODERS["bert-mean"] as TinyEncoderCase;
  const reranker = TINY_ENCODERS["bert-reranker"] as TinyEncoderCase;
  const refusals: [string, TinyEncoderCase, Record<string, unknown>, string][] = [
    ["another activation", base, { hidden_act: "relu" }, 'the activation "relu"'],
    ["relative positions", base, { position_embedding_type: "relative_key" }, '"relative_key", not "absolute"'],
    ["a decoder", base, { is_decoder: true }, "is a decoder"],
    ["heads that do not divide", base, { num_attention_heads: 3 }, "3 heads do not divide 64 elements"],
    ["too many layers", base, { num_hidden_layers: 100_000 }, '"num_hidden_layers" must be at most 1024'],
    ["a layer too few", base, { num_hidden_layers: 3 }, "16 tensors are missing: bert.encoder.layer.2."],
    ["a layer too many", base, { num_hidden_layers: 1 }, "16 tensors are no part of the architecture bert"],
    ["other positions", base, { max_position_embeddings: 32 }, "has the shape [64, 64]; config.json says [32, 64]"],
    [
      "a head in a class without one",
      reranker,
      { architectures: ["BertModel"] },
      "no part of the architecture bert: classifier",
    ],
    [
      "a class without its head",
      base,
      { architectures: [reranker.model.architecture] },
      "classifier.weight of the classifier is missing",
    ],
  ];

  test.each(refusals)("%s", async (title, { model, files, pooling }, config, message) => {
    const changed = { model: { ...model, config }, files, pooling };
    await expect(convert(`refused ${title}`, changed)).rejects.toThrow(message);
  });
});

describe("what is noted", () => {
  async function notesOf(name: string, { model, files }: TinyEncoderCase): Promise<string> {
    const source = join(folder, name);
    writeEncoderFolder(source, model, files);
    const { report } = await convertFolder(source, "f32");
    return report.notes.join("\n");
  }

  test("a layer behind the pooling, token types of a reranker, several labels", async () => {
    const { model, files, pooling } = TINY_ENCODERS["bert-mean"] as TinyEncoderCase;
    expect(await notesOf("plain", { model, files, pooling })).toBe("");
    const modules = files["modules.json"] as Record<string, unknown>[];
    const dense = [...modules, { idx: 3, name: "3", path: "3_Dense", type: "sentence_transformers.models.Dense" }];
    expect(await notesOf("dense", { model, files: { ...files, "modules.json": dense }, pooling })).toContain("Dense");
    const reranker = TINY_ENCODERS["bert-reranker"] as TinyEncoderCase;
    expect(await notesOf("reranker", reranker)).toContain("token types");
    const several = { ...reranker, model: { ...reranker.model, labels: 3, tokenTypes: 1 } };
    expect(await notesOf("several", several)).toBe(
      "the model tells 3 labels apart, which is not served: it embeds texts",
    );
    expect(readWritten(join(folder, "several-f32.gguf")).value("bert.pooling_type")).toBeUndefined();
  });
});

test("DistilBERT with another activation is refused, and one that lacks a layer is damaged", async () => {
  const { model, files } = TINY_ENCODERS.distilbert as TinyEncoderCase;
  for (const [config, code] of [
    [{ activation: "relu" }, "format_unsupported"],
    [{ n_layers: 3 }, "model_damaged"],
    [{ n_heads: 5 }, "model_damaged"],
  ] as const) {
    const source = join(folder, `distilbert-${code}-${Object.keys(config)[0]}`);
    writeEncoderFolder(source, { ...model, config }, files);
    expect(await convertFolder(source).catch((thrown: unknown) => thrown)).toMatchObject({ code });
  }
});
