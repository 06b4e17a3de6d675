// What of a model with experts, or with layer norms, can't be converted, and what is said: experts that are missing or
// too many, heads that do not divide, and variants that llama.cpp would compute as something else.

import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertFolder } from "../support/convert-folder.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { LAYER_NORM_MODELS } from "../support/layer-norm-models.ts";
import { configOf, makeTensors, type NamedTensor, type TinyDecoder } from "../support/tiny-decoders.ts";
import { writeFamilyFolder } from "../support/tiny-families.ts";
import { EXPERT_MODELS } from "../support/tiny-models.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-variants-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

type Tensors = Map<string, NamedTensor>;

interface Change {
  config?: Record<string, unknown>;
  tensors?: (tensors: Tensors) => void;
}

function modelOf(name: string): { config: Record<string, unknown>; tensors: Tensors } {
  const family = LAYER_NORM_MODELS[name];
  if (family !== undefined) return { config: family.config, tensors: new Map(family.tensors) };
  const model = EXPERT_MODELS[name] as TinyDecoder;
  return { config: configOf(model), tensors: makeTensors(model) };
}

let count = 0;

async function refusalOf(name: string, change: Change): Promise<{ code: string; message: string; hint: string }> {
  const { config, tensors } = modelOf(name);
  change.tensors?.(tensors);
  const source = join(root, `${name}-${count++}`);
  const changed = { config: { ...config, ...change.config }, tensors, dtype: "F32", parts: 1 } as const;
  writeFamilyFolder(source, { ...changed, compute: () => new Float64Array() }, tinyTokenizer());
  const failed = await convertFolder(source).then(null, (thrown: unknown) => thrown);
  expect(existsSync(`${source}-f32.gguf`)).toBeFalse();
  return failed as { code: string; message: string; hint: string };
}

const without = (name: string): Change => ({ tensors: (tensors) => tensors.delete(name) });
const DAMAGED = "model_damaged";
const UNSUPPORTED = "format_unsupported";

const REFUSALS: readonly [model: string, what: string, change: Change, code: string, message: string][] = [
  [
    "mixtral",
    "an expert's matrix is missing",
    without("model.layers.1.block_sparse_moe.experts.3.w2.weight"),
    DAMAGED,
    "1 tensors are missing: model.layers.1.block_sparse_moe.experts.3.w2.weight",
  ],
  [
    "mixtral",
    "the router is missing",
    without("model.layers.0.block_sparse_moe.gate.weight"),
    DAMAGED,
    "1 tensors are missing: model.layers.0.block_sparse_moe.gate.weight",
  ],
  ["mixtral", "fewer experts", { config: { num_local_experts: 4 } }, DAMAGED, "config.json says [4, 64]"],
  ["mixtral", "more experts", { config: { num_local_experts: 7 } }, DAMAGED, "config.json says [7, 64]"],
  ["mixtral", "far more experts", { config: { num_local_experts: 1000 } }, DAMAGED, "1000 experts in each of 2 layers"],
  [
    "mixtral",
    "too many experts",
    { config: { num_local_experts: 5000 } },
    DAMAGED,
    '"num_local_experts" must be at most',
  ],
  ["mixtral", "more are used than there are", { config: { num_experts_per_tok: 7 } }, DAMAGED, "at most 6, as many as"],
  ["mixtral", "experts of another size", { config: { intermediate_size: 96 } }, DAMAGED, "config.json says [96, 64]"],
  ["mixtral", "heads that do not divide", { config: { num_key_value_heads: 3 } }, DAMAGED, "a divisor of the 4"],
  ["qwen3moe", "weights as they come", { config: { norm_topk_prob: false } }, UNSUPPORTED, "norm_topk_prob false"],
  ["qwen2moe", "weights that sum up to one", { config: { norm_topk_prob: true } }, UNSUPPORTED, "norm_topk_prob true"],
  ["qwen3moe", "layers without experts", { config: { mlp_only_layers: [0] } }, UNSUPPORTED, "layers without experts"],
  ["qwen3moe", "every other layer", { config: { decoder_sparse_step: 2 } }, UNSUPPORTED, "layers without experts"],
  [
    "qwen3moe",
    "an expert is missing",
    without("model.layers.0.mlp.experts.5.up_proj.weight"),
    DAMAGED,
    "1 tensors are missing: model.layers.0.mlp.experts.5.up_proj.weight",
  ],
  [
    "qwen2moe",
    "the shared expert is missing",
    without("model.layers.1.mlp.shared_expert.down_proj.weight"),
    DAMAGED,
    "1 tensors are missing: model.layers.1.mlp.shared_expert.down_proj.weight",
  ],
  [
    "gpt2",
    "heads that do not divide",
    { config: { n_head: 5 } },
    DAMAGED,
    '"n_head" must be a divisor of the width 64',
  ],
  ["gpt2", "another activation", { config: { activation_function: "relu" } }, UNSUPPORTED, '"relu"'],
  ["gpt2", "scaled by the layer", { config: { scale_attn_by_inverse_layer_idx: true } }, UNSUPPORTED, "scales the"],
  ["gpt2", "not scaled", { config: { scale_attn_weights: false } }, UNSUPPORTED, "scales the attention"],
  ["gpt2", "fewer positions", { config: { n_positions: 128 } }, DAMAGED, "shape [256, 64]; config.json says [128, 64]"],
  ["gpt2", "too many layers", { config: { n_layer: 5000 } }, DAMAGED, '"n_layer" must be at most 1024'],
  [
    "gpt2",
    "projections the other way round",
    {
      tensors: (tensors) => {
        const name = "transformer.h.0.mlp.c_fc.weight";
        tensors.set(name, { ...(tensors.get(name) as NamedTensor), shape: [256, 64] });
      },
    },
    DAMAGED,
    "has the shape [256, 64]; config.json says [64, 256]",
  ],
  [
    "gpt2",
    "a bias is missing",
    without("transformer.h.1.attn.c_attn.bias"),
    DAMAGED,
    "transformer.h.1.attn.c_attn.bias",
  ],
  ["starcoder2", "no biases", { config: { use_bias: false } }, UNSUPPORTED, "leaves out the biases"],
  ["starcoder2", "odd heads", { config: { num_attention_heads: 64 } }, DAMAGED, "heads of 1 elements can't be rotated"],
  ["starcoder2", "grouped heads", { config: { num_key_value_heads: 3 } }, DAMAGED, "a divisor of the 4"],
  ["starcoder2", "longrope", { config: { rope_scaling: { type: "longrope" } } }, UNSUPPORTED, '"longrope"'],
  ["gptneox", "no biases", { config: { attention_bias: false } }, UNSUPPORTED, "leaves out the biases"],
  ["gptneox", "nothing is rotated", { config: { rotary_pct: 0 } }, DAMAGED, "0 of the 16 elements of a head"],
  ["gptneox", "an odd part is rotated", { config: { rotary_pct: 0.2 } }, DAMAGED, "3 of the 16 elements of a head"],
  ["gptneox", "more than all is rotated", { config: { rotary_pct: 2 } }, DAMAGED, "32 of the 16 elements of a head"],
  ["gptneox", "heads that do not divide", { config: { num_attention_heads: 7 } }, DAMAGED, "a divisor of the width 64"],
  ["gptneox", "no output head", without("embed_out.weight"), DAMAGED, "1 tensors are missing: embed_out.weight"],
];

test.each(REFUSALS)("%s: %s", async (model, _, change, code, message) => {
  const refusal = await refusalOf(model, change);
  expect(refusal).toMatchObject({ code });
  expect(refusal.message).toContain(message);
  expect(refusal.hint.length).toBeGreaterThan(10);
});

test("masks that older versions saved are left out", async () => {
  for (const [name, masks] of [
    ["gpt2", ["transformer.h.0.attn.bias", "transformer.h.0.attn.masked_bias"]],
    ["gptneox", ["gpt_neox.layers.0.attention.bias", "gpt_neox.layers.1.attention.rotary_emb.inv_freq"]],
  ] as const) {
    const { config, tensors } = modelOf(name);
    const plain = tensors.size;
    for (const mask of masks) tensors.set(mask, { shape: [1, 1, 2, 2], values: new Float32Array(4) });
    const source = join(root, `${name}-masks`);
    const rest = { dtype: "F32", parts: 1, compute: () => new Float64Array() } as const;
    writeFamilyFolder(source, { config, tensors, ...rest }, tinyTokenizer());
    expect((await convertFolder(source)).report.tensorCount).toBe(plain);
  }
});
