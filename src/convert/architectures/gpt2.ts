// GPT-2: learned positions, and projections that are stored as [inputs, outputs].

import { COMPUTED_TENSORS } from "../../formats/convertible.ts";
import type { Fields } from "../json-file.ts";
import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { refuseVariant } from "./checks.ts";
import {
  f32,
  type Keys,
  type LayerNormFields,
  type LayerNormSizes,
  placeWithBias,
  readLayerNormSizes,
  u32,
} from "./layer-norms.ts";
import { SlotTable } from "./slots.ts";

export const GPT2_NAMES: readonly string[] = ["GPT2LMHeadModel"];

const FIELDS: LayerNormFields = {
  width: "n_embd",
  inner: "n_inner",
  layers: "n_layer",
  heads: "n_head",
  contextLength: ["n_positions", 1_024],
  epsilon: "layer_norm_epsilon",
  activation: "activation_function",
};

export function planGpt2({ config, weights, fileType }: PlanInput): ModelPlan {
  refuseVariants(config);
  const sizes = readLayerNormSizes(config, FIELDS);
  const metadata: Keys = new Map([
    ["gpt2.block_count", u32(sizes.layers)],
    ["gpt2.context_length", u32(sizes.contextLength)],
    ["gpt2.embedding_length", u32(sizes.width)],
    ["gpt2.feed_forward_length", u32(sizes.inner)],
    ["gpt2.attention.head_count", u32(sizes.heads)],
    ["gpt2.attention.layer_norm_epsilon", f32(sizes.epsilon)],
    ["general.file_type", u32(fileType)],
  ]);
  return { architecture: "gpt2", metadata, tensors: listSlots(sizes).lay(weights), notes: [] };
}

/** Attention is scaled by the length of the heads, and by nothing else. */
function refuseVariants(config: Fields): void {
  if (config.truth("scale_attn_weights") === false || config.truth("scale_attn_by_inverse_layer_idx") === true) {
    throw refuseVariant("config.json scales the attention in a way that llama.cpp does not know of GPT-2");
  }
}

function listSlots({ vocabulary, width, inner, layers, contextLength }: LayerNormSizes): SlotTable {
  const slots = new SlotTable({ architecture: "gpt2", prefix: "transformer.", ignored: COMPUTED_TENSORS });
  slots.place("transformer.wte.weight", "token_embd.weight", [vocabulary, width]);
  slots.place("transformer.wpe.weight", "position_embd.weight", [contextLength, width]);
  placeWithBias(slots, "transformer.ln_f", "output_norm", [width]);
  // Where it is absent, the embeddings serve as the output head.
  slots.place("lm_head.weight", "output.weight", [vocabulary, width], { required: false });
  for (let layer = 0; layer < layers; layer++) {
    const from = `transformer.h.${layer}.`;
    const to = `blk.${layer}.`;
    const project = (name: string, target: string, inputs: number, outputs: number) =>
      placeWithBias(slots, `${from}${name}`, `${to}${target}`, [inputs, outputs], { transposed: true });
    placeWithBias(slots, `${from}ln_1`, `${to}attn_norm`, [width]);
    project("attn.c_attn", "attn_qkv", width, 3 * width);
    project("attn.c_proj", "attn_output", width, width);
    placeWithBias(slots, `${from}ln_2`, `${to}ffn_norm`, [width]);
    project("mlp.c_fc", "ffn_up", width, inner);
    project("mlp.c_proj", "ffn_down", inner, width);
  }
  return slots;
}
