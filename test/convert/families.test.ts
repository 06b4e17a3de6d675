// What is refused of families with definitions of their own, since llama.cpp would compute something else; and what is
// written, left out or noted where a model differs from the published ones.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { completeConfig, findArchitecture } from "../../src/convert/architectures/known.ts";
import { Fields } from "../../src/convert/json-file.ts";
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

const YARN = { type: "yarn", factor: 4, original_max_position_embeddings: 64, mscale: 1, mscale_all_dim: 1 };
const longFactors = (count: number, last = 1) => [...Array.from({ length: count - 1 }, () => 1), last];
const longrope = (long: unknown, short: unknown) => ({ type: "longrope", long_factor: long, short_factor: short });

describe("what llama.cpp would compute in another way", () => {
  const refusals: [string, string, Record<string, unknown>, string][] = [
    ["another activation", "gemma2", { hidden_activation: "relu" }, '"relu"; this architecture has gelu_pytorch_tanh'],
    ["no cap", "gemma2", { attn_logit_softcapping: null }, "leaves out attn_logit_softcapping"],
    ["a head of its own", "gemma2", { tie_word_embeddings: false }, "an output head of its own"],
    ["other windows", "gemma2", { layer_types: Array(3).fill("full_attention") }, "another order of layers"],
    ["caps", "gemma3", { attn_logit_softcapping: 50 }, "soft caps on attention"],
    ["both directions", "gemma3", { use_bidirectional_attention: true }, "attention in both directions"],
    ["another period", "gemma3", { sliding_window_pattern: 4 }, "all but each 4. layer"],
    [
      "scaled windows",
      "gemma3",
      { rope_parameters: { full_attention: {}, sliding_attention: { rope_type: "linear", factor: 2 } } },
      "scales the positions of windows (linear)",
    ],
    ["another scaling", "phi", { rope_scaling: { type: "linear", factor: 2 } }, '"linear"; Phi has longrope'],
    ["another activation", "phi", { hidden_act: "gelu" }, '"gelu"; this architecture has silu'],
    ["wide heads", "phi", { head_dim: 32 }, "4 heads of 32 are not the width of 64"],
    ["wide heads", "olmo2", { head_dim: 32 }, "4 heads of 32 are not the width of 64"],
    ["no multiplier", "granite", { logits_scaling: null }, "leaves out logits_scaling"],
    ["another scaling", "granite", { rope_scaling: { type: "longrope" } }, '"longrope"'],
    ["halves that turn", "deepseek3", { rope_interleave: false }, "llama.cpp turns neighbours"],
    ["some layers with experts", "deepseek2", { moe_layer_freq: 2 }, "some of the later layers only"],
    ["wide queries in 3 layers", "deepseek2", { q_lora_rank: null }, "3 layers and no narrow layer for queries"],
    ["another gate", "deepseek3", { scoring_func: "relu" }, 'weighs experts by "relu"'],
    [
      "two factors",
      "deepseek3",
      { rope_scaling: { ...YARN, mscale: 0.5 } },
      "different factors for sines and for scores",
    ],
    ["linear scaling", "deepseek3", { rope_scaling: { type: "linear", factor: 4 } }, "in another way than yarn"],
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
    ["another inner width", "gemma3", { intermediate_size: 95 }, "config.json says"],
    ["a list that is too short", "phi-long", { rope_scaling: longrope([1], longFactors(8)) }, "a list of 8 numbers"],
    ["a factor of zero", "phi-long", { rope_scaling: longrope(longFactors(8, 0), longFactors(8)) }, "over 0"],
    ["a factor that is a text", "phi-long", { rope_scaling: longrope(longFactors(8), ["1"]) }, '"short_factor"'],
    ["an odd part of heads", "phi", { partial_rotary_factor: 0.1 }, '"partial_rotary_factor" must be'],
    ["more than whole heads", "phi", { partial_rotary_factor: 2 }, '"partial_rotary_factor" must be'],
    ["fused rows", "phi", { num_key_value_heads: 2 }, "qkv_proj.weight"],
    [
      "too many experts for a token",
      "deepseek2",
      { num_experts_per_tok: 9 },
      "at most 8, as many as there are experts",
    ],
    ["groups that do not divide", "deepseek3", { n_group: 3 }, "a divisor of the 8 experts"],
    ["more groups than there are", "deepseek3", { topk_group: 5 }, '"topk_group" must be at most 4'],
    ["an expert more", "deepseek2", { n_routed_experts: 9 }, "shape [8, 64]; config.json says [9, 64]"],
    ["far more experts", "deepseek2", { n_routed_experts: 100_000 }, "the number of tensors"],
    ["another narrow row", "deepseek2", { kv_lora_rank: 31 }, "kv_a"],
    ["an odd rotary part", "deepseek2", { qk_rope_head_dim: 7 }, '"qk_rope_head_dim" must be an even number'],
    ["more dense layers than layers", "deepseek2", { first_k_dense_replace: 4 }, "up to the 3 layers"],
    ["an expert more", "granite-experts", { num_local_experts: 7 }, "config.json says [7, 192, 64]"],
    ["too many for a token", "granite-experts", { num_experts_per_tok: 7 }, "at most 6, as many as there are experts"],
    ["another shared one", "granite-experts-shared", { shared_intermediate_size: 31 }, "shared_mlp.input_linear"],
    ["a multiplier of zero", "granite", { residual_multiplier: 0 }, '"residual_multiplier" must be a number over 0'],
  ];

  test.each(refusals)("%s: %s", async (_, name, changes, message) => {
    const refusal = await refusalOf(write(name, changes));
    expect(refusal).toMatchObject({ code: "model_damaged" });
    expect(refusal.message).toContain(message);
  });

  test("a tensor that is missing", async () => {
    for (const [name, tensor] of [
      ["gemma2", "model.layers.1.pre_feedforward_layernorm.weight"],
      ["gemma3", "model.layers.6.self_attn.k_norm.weight"],
      ["phi", "model.layers.0.mlp.gate_up_proj.weight"],
      // llama.cpp takes no embeddings in its place.
      ["olmo2", "lm_head.weight"],
      ["granite", "model.norm.weight"],
      ["deepseek2", "model.layers.1.mlp.experts.7.up_proj.weight"],
      ["deepseek3", "model.layers.2.self_attn.kv_b_proj.weight"],
    ] as const) {
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
    for (const name of ["gemma2", "gemma3"]) {
      const { report } = await convertFolder(write(name, { query_pre_attn_scalar: 224 }));
      expect(report.notes.join()).toContain("scales queries by the root of 224; llama.cpp takes 32");
    }
  });

  test("Gemma 3: images are left out with a note, and no window is none", async () => {
    const { report } = await convertFolder(write("gemma3-with-images", {}));
    expect(report.notes.join()).toContain("the 2 tensors that see images are left out");
    const { path } = await convertFolder(write("gemma3", { sliding_window_pattern: 1 }));
    expect(readWritten(path).keys).not.toContain("gemma3.attention.sliding_window");
  });

  test("Gemma 3: what published models of text and images leave out", () => {
    const stated = new Fields("config.json", {
      architectures: ["Gemma3ForConditionalGeneration"],
      text_config: { hidden_size: 2560, num_hidden_layers: 34, num_key_value_heads: 8 },
    });
    const { values } = completeConfig(stated, findArchitecture(stated));
    expect(values).toMatchObject({
      hidden_size: 2560,
      num_key_value_heads: 8,
      num_attention_heads: 8,
      head_dim: 256,
      vocab_size: 262_208,
    });
  });

  test("Gemma 3: rotation in the newer form of config.json", async () => {
    const changes = {
      rope_theta: undefined,
      rope_scaling: undefined,
      rope_local_base_freq: undefined,
      rope_parameters: {
        full_attention: { rope_type: "linear", factor: 8, rope_theta: 500_000 },
        sliding_attention: { rope_type: "default", rope_theta: 20_000 },
      },
    };
    const file = readWritten((await convertFolder(write("gemma3", changes))).path);
    expect(file.value("gemma3.rope.freq_base")).toBe(500_000);
    expect(file.value("gemma3.rope.freq_base_swa")).toBe(20_000);
    expect(file.value("gemma3.rope.scaling.factor")).toBe(8);
  });

  test("DeepSeek: layers that guess further tokens are left out, and groups that are all used are no groups", async () => {
    const { report, path } = await convertFolder(write("deepseek3", {}));
    expect(report.notes.join()).toContain("tensors that guess further tokens (MTP) are left out");
    expect(readWritten(path).value("deepseek2.expert_group_count")).toBe(4);
    const all = readWritten((await convertFolder(write("deepseek3", { topk_group: 4 }))).path);
    expect(all.keys).not.toContain("deepseek2.expert_group_count");
  });

  test("DeepSeek: V3 weighs by sigmoids where config.json is silent, and V2's choice by groups is noted", async () => {
    const file = readWritten((await convertFolder(write("deepseek3", { scoring_func: undefined }))).path);
    expect(file.value("deepseek2.expert_gating_func")).toBe(2);
    const { report } = await convertFolder(write("deepseek2", { n_group: 4, topk_group: 2 }));
    expect(report.notes.join()).toContain("chooses groups of experts by their two best");
  });

  test("DeepSeek: a head that is tied is not written twice", async () => {
    const { path } = await convertFolder(write("deepseek2", { tie_word_embeddings: true }));
    expect(readWritten(path).tensorNames).not.toContain("output.weight");
  });

  test("Phi: a window that llama.cpp does not apply is noted", async () => {
    const { report } = await convertFolder(write("phi", {}));
    expect(report.notes.join()).toContain("a sliding window of 128 tokens");
  });
});
