// What a folder must have to be converted, and what is said where it has not; keys, tensors and their order.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identify } from "../../src/convert/convert-model.ts";
import { convertFolder, readWritten } from "../support/convert-folder.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { joinSafetensors, writeSafetensors } from "../support/safetensors-writer.ts";
import { configOf, TINY, type TinyDecoder, writeTinyFolder } from "../support/tiny-decoders.ts";
import { LLAMA3_SCALING } from "../support/tiny-models.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-convert-model-"));
const base = join(root, "Base");
const parts = join(root, "Parts");
beforeAll(() => {
  writeTinyFolder(base, TINY, tinyTokenizer());
  writeTinyFolder(parts, { ...TINY, parts: 3 }, tinyTokenizer());
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
function copyOf(folder: string): string {
  const copy = join(root, `copy-${count++}`);
  cpSync(folder, copy, { recursive: true });
  return copy;
}

function withConfig(changes: Record<string, unknown>, model: TinyDecoder = TINY): string {
  const copy = copyOf(base);
  writeFileSync(join(copy, "config.json"), JSON.stringify({ ...configOf(model), ...changes }));
  return copy;
}

/** The error of a conversion, after which no file is there. */
async function refusalOf(folder: string): Promise<{ code: string; message: string; hint: string }> {
  const before = readdirSync(root).length;
  const failed = await convertFolder(folder).then(null, (thrown: unknown) => thrown);
  expect(readdirSync(root)).toHaveLength(before);
  const { code, message, hint } = failed as { code: string; message: string; hint: string };
  return { code, message, hint };
}

describe("a converted file", () => {
  test("keys in llama.cpp's order, and RoPE factors first among the tensors", async () => {
    const folder = withConfig({ rope_scaling: LLAMA3_SCALING, head_dim: 16 });
    const file = readWritten((await convertFolder(folder)).path);
    expect(file.keys.slice(0, 2)).toEqual(["general.architecture", "general.type"]);
    expect(file.keys.filter((key) => key.startsWith("llama."))).toEqual([
      "llama.block_count",
      "llama.context_length",
      "llama.embedding_length",
      "llama.feed_forward_length",
      "llama.attention.head_count",
      "llama.attention.head_count_kv",
      "llama.rope.freq_base",
      "llama.attention.layer_norm_rms_epsilon",
      "llama.attention.key_length",
      "llama.attention.value_length",
      "llama.vocab_size",
      "llama.rope.dimension_count",
    ]);
    expect(file.value("general.sampling.temp")).toBeCloseTo(0.6);
    expect(file.value("general.sampling.penalty_repeat")).toBeCloseTo(1.05);
    expect(file.value("general.file_type")).toBe(0);
    expect(file.tensorNames.slice(0, 2)).toEqual(["rope_freqs.weight", "output.weight"]);
    const factors = new Float32Array(file.tensor("rope_freqs.weight").data.slice(0, 32).buffer);
    expect(factors[0]).toBe(1);
    expect(factors[7]).toBe(8);
  });

  test("norms and biases stay F32, and auto takes the type of the weights", async () => {
    for (const [dtype, outType, typeId] of [
      ["BF16", "bf16", 30],
      ["F16", "f16", 1],
      ["F32", "f16", 1],
    ] as const) {
      const folder = join(root, `auto-${dtype}`);
      writeTinyFolder(folder, { ...TINY, dtype, hasQkvBias: true }, tinyTokenizer());
      const { path, report } = await convertFolder(folder, "auto");
      expect(report).toMatchObject({ outType, architecture: "llama", tensorCount: 27 });
      const file = readWritten(path);
      expect(file.tensor("blk.0.attn_q.weight").typeId).toBe(typeId);
      expect(file.tensor("blk.0.attn_q.bias").typeId).toBe(0);
      expect(file.tensor("blk.1.attn_norm.weight").typeId).toBe(0);
      expect(file.tensor("token_embd.weight").dims).toEqual([64, 300]);
    }
  });

  test("the newer form of config.json says the same", async () => {
    const old = await convertFolder(withConfig({ rope_theta: 5000, rope_scaling: { type: "linear", factor: 2 } }));
    const parameters = { rope_theta: 5000, rope_type: "linear", factor: 2 };
    const folder = withConfig({ rope_theta: undefined, rope_scaling: undefined, rope_parameters: parameters });
    const [a, b] = [old.path, (await convertFolder(folder)).path].map((path) => readWritten(path));
    for (const key of ["llama.rope.freq_base", "llama.rope.scaling.type", "llama.rope.scaling.factor"]) {
      expect(b?.value(key)).toBe(a?.value(key) as string);
    }
    expect(b?.value("llama.rope.freq_base")).toBe(5000);
  });

  test("pooling of an embedding model", async () => {
    const folder = join(root, "embedder");
    const files = {
      ...tinyTokenizer(),
      "modules.json": [{ type: "sentence_transformers.models.Pooling", path: "pool" }],
    };
    writeTinyFolder(folder, { ...TINY, architecture: "Qwen2ForCausalLM", hasQkvBias: true }, files);
    cpSync(base, join(folder, "pool"), { recursive: true });
    writeFileSync(join(folder, "pool/config.json"), '{"pooling_mode_lasttoken": true}');
    const file = readWritten((await convertFolder(folder)).path);
    expect(file.value("qwen2.pooling_type")).toBe(3);
  });

  test("a window that llama.cpp does not apply, and a scaling that is left out, are noted", async () => {
    const folder = withConfig({ sliding_window: 64, rope_scaling: { type: "dynamic", factor: 2 } });
    const { report } = await convertFolder(folder);
    expect(report.notes.join("\n")).toContain("sliding window of 64 tokens");
    expect(report.notes.join("\n")).toContain('"dynamic" changes nothing within 256 tokens');
    const unused = await convertFolder(withConfig({ sliding_window: 64, use_sliding_window: false }));
    expect(unused.report.notes).toEqual([]);
  });
});

describe("configurations that can't be converted", () => {
  const refusals: [string, Record<string, unknown>, string, string][] = [
    ["another architecture", { architectures: ["FooForCausalLM"] }, "format_unsupported", "FooForCausalLM is not"],
    ["none", { architectures: undefined }, "model_damaged", 'lacks "architectures"'],
    ["weights of another packing", { quantization_config: { quant_method: "aqlm" } }, "format_unsupported", "(aqlm)"],
    ["no width", { hidden_size: undefined }, "model_damaged", 'config.json lacks "hidden_size"'],
    ["a width that is no number", { hidden_size: "64" }, "model_damaged", '"hidden_size" must be a whole number'],
    ["too many layers", { num_hidden_layers: 4096 }, "model_damaged", '"num_hidden_layers" must be at most'],
    ["missing layers", { num_hidden_layers: 3 }, "model_damaged", "9 tensors are missing"],
    ["surplus layers", { num_hidden_layers: 1 }, "format_unsupported", "are no part of the architecture llama"],
    ["heads that do not divide", { num_key_value_heads: 3 }, "model_damaged", "a divisor of the 4"],
    ["odd heads", { head_dim: 15 }, "model_damaged", "heads of 15 elements"],
    ["another vocabulary", { vocab_size: 301 }, "model_damaged", "shape [300, 64]; config.json says [301, 64]"],
    ["longrope", { rope_scaling: { type: "longrope" } }, "format_unsupported", '"longrope"'],
    ["scaling without a factor", { rope_scaling: { type: "linear" } }, "model_damaged", 'lacks "factor"'],
    ["another activation", { hidden_act: "gelu" }, "format_unsupported", '"gelu"'],
  ];

  test.each(refusals)("%s", async (_, changes, code, message) => {
    const refusal = await refusalOf(withConfig(changes));
    expect(refusal).toMatchObject({ code });
    expect(refusal.message).toContain(message);
    expect(refusal.hint.length).toBeGreaterThan(10);
  });

  test("RoPE factors in an architecture that does not read them", async () => {
    const folder = join(root, "qwen-llama3");
    writeTinyFolder(folder, { ...TINY, architecture: "Qwen2ForCausalLM", scaling: LLAMA3_SCALING }, tinyTokenizer());
    expect((await refusalOf(folder)).message).toContain('"llama3"');
  });
});

describe("folders that can't be converted", () => {
  test("no folder, no config.json, no weights, no tokenizer", async () => {
    expect(await refusalOf(join(root, "nowhere"))).toMatchObject({ code: "invalid_request" });
    const cases: [string, string][] = [
      ["config.json", "has no config.json"],
      ["model.safetensors", "has no model*.safetensors"],
      ["tokenizer.json", "neither tokenizer.json nor tokenizer.model"],
    ];
    for (const [name, message] of cases) {
      const folder = copyOf(base);
      rmSync(join(folder, name));
      const refusal = await refusalOf(folder);
      expect(refusal.code).toBe("format_unsupported");
      expect(refusal.message).toContain(message);
    }
  });

  test("a part that is missing, cut, or leads out of the folder", async () => {
    const missing = copyOf(parts);
    rmSync(join(missing, "model-00002-of-00003.safetensors"));
    expect((await refusalOf(missing)).message).toContain("the part model-00002-of-00003.safetensors is missing");
    const cut = copyOf(parts);
    const path = join(cut, "model-00001-of-00003.safetensors");
    writeFileSync(path, readFileSync(path).subarray(0, -100));
    expect((await refusalOf(cut)).message).toContain("100 bytes are missing at its end");
    for (const name of ["../Base/model.safetensors", "/etc/passwd", ".hidden", ""]) {
      const leading = copyOf(parts);
      const index = { weight_map: { "lm_head.weight": name } };
      writeFileSync(join(leading, "model.safetensors.index.json"), JSON.stringify(index));
      expect((await refusalOf(leading)).message).toContain("is not in a file of this folder");
    }
  });

  test("an index and parts that contradict each other", async () => {
    for (const [change, message] of [
      [(map: Record<string, string>) => ({ ...map, "extra.weight": Object.values(map)[0] }), "extra.weight"],
      [({ "lm_head.weight": _, ...map }: Record<string, string>) => map, "lm_head.weight"],
    ] as const) {
      const folder = copyOf(parts);
      const path = join(folder, "model.safetensors.index.json");
      const index = JSON.parse(readFileSync(path, "utf8")) as { weight_map: Record<string, string> };
      writeFileSync(path, JSON.stringify({ weight_map: change(index.weight_map) }));
      expect((await refusalOf(folder)).message).toContain(message);
    }
  });

  test("tensors twice, of unknown names and of unknown types", async () => {
    const twice = copyOf(base);
    cpSync(join(base, "model.safetensors"), join(twice, "model-2.safetensors"));
    expect((await refusalOf(twice)).message).toContain("is in two parts");
    const few = { dtype: "F32", shape: [1], data: new Uint8Array(4) };
    const many = { dtype: "F32", shape: [300, 64], data: new Uint8Array(300 * 64 * 4) };
    for (const [tensor, message] of [
      [{ ...few, name: "model.layers.0.mlp.experts.0.weight" }, "are no part of"],
      [{ ...few, name: "embed_tokens.weight" }, "shape [1]; config.json says [300, 64]"],
      [{ ...many, name: "embed_tokens.weight" }, "model.embed_tokens.weight is there twice"],
    ] as const) {
      const folder = copyOf(base);
      writeFileSync(join(folder, "model-x.safetensors"), writeSafetensors([tensor]));
      expect((await refusalOf(folder)).message).toContain(message);
    }
    const packed = copyOf(base);
    rmSync(join(packed, "model.safetensors"));
    const names = ["model.embed_tokens.weight"];
    const shape = [300, 64];
    const bytes = new Uint8Array(300 * 64);
    const tensors = names.map((name) => ({ name, dtype: "F8_E4M3", shape, data: bytes }));
    writeFileSync(join(packed, "model.safetensors"), writeSafetensors(tensors));
    expect((await refusalOf(packed)).message).toContain("tensors are missing");
  });

  test("a file that is no SafeTensors", async () => {
    const folder = copyOf(base);
    writeFileSync(join(folder, "model.safetensors"), joinSafetensors("{}", [], 2n ** 60n));
    expect((await refusalOf(folder)).message).toContain("model.safetensors: the header claims");
    writeFileSync(join(folder, "model.safetensors"), "version https://git-lfs.github.com/spec/v1\n");
    expect((await refusalOf(folder)).message).toContain("model.safetensors:");
  });
});

test("what a model is called", () => {
  expect(identify("/models/Qwen3-0.6B")).toBe("Qwen3-0.6B");
  expect(identify("/hub/models--Qwen--Qwen3-0.6B/snapshots/c1899de289a04d12100db370d81485cdf75e47ca")).toBe(
    "Qwen/Qwen3-0.6B",
  );
  expect(identify("/somewhere/snapshots/x")).toBe("x");
});
