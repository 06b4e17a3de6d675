// StarCoder2: rotary positions and grouped heads like Llama, layer norms and biases like GPT-2.

import { COMPUTED_TENSORS } from "../../formats/convertible.ts";
import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { planRope } from "../rope-scaling.ts";
import { checkRotation, readKeyValueHeads, refuseVariant } from "./checks.ts";
import { noteWindow } from "./decoder.ts";
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

export const STARCODER2_NAMES: readonly string[] = ["Starcoder2ForCausalLM"];

const FIELDS: LayerNormFields = {
  width: "hidden_size",
  inner: "intermediate_size",
  layers: "num_hidden_layers",
  heads: "num_attention_heads",
  contextLength: ["max_position_embeddings", 4_096],
  epsilon: "norm_epsilon",
  activation: "hidden_act",
};
const KEY_VALUE_HEADS = 2;

export function planStarcoder2({ config, weights, fileType }: PlanInput): ModelPlan {
  if (config.truth("use_bias") === false) {
    throw refuseVariant("config.json leaves out the biases, which llama.cpp requires of StarCoder2");
  }
  const sizes = readLayerNormSizes(config, FIELDS);
  const headLength = sizes.width / sizes.heads;
  checkRotation(headLength);
  const keyValueHeads = readKeyValueHeads(config, sizes.heads, KEY_VALUE_HEADS);
  const rope = planRope(config, {
    headLength,
    trainedContext: sizes.contextLength,
    thetaDefault: 10_000,
    takesFactors: false,
  });
  const metadata: Keys = new Map([
    ["starcoder2.block_count", u32(sizes.layers)],
    ["starcoder2.context_length", u32(sizes.contextLength)],
    ["starcoder2.embedding_length", u32(sizes.width)],
    ["starcoder2.feed_forward_length", u32(sizes.inner)],
    ["starcoder2.attention.head_count", u32(sizes.heads)],
    ["starcoder2.attention.head_count_kv", u32(keyValueHeads)],
  ]);
  for (const [key, entry] of rope.entries) metadata.set(`starcoder2.rope.${key}`, entry);
  metadata.set("starcoder2.attention.layer_norm_epsilon", f32(sizes.epsilon));
  metadata.set("general.file_type", u32(fileType));
  const tensors = listSlots(sizes, keyValueHeads * headLength).lay(weights);
  const notes = [...rope.notes, ...noteWindow(config, sizes.contextLength)];
  return { architecture: "starcoder2", metadata, tensors, notes };
}

function listSlots({ vocabulary, width, inner, layers }: LayerNormSizes, grouped: number): SlotTable {
  const slots = new SlotTable({ architecture: "starcoder2", prefix: "model.", ignored: COMPUTED_TENSORS });
  slots.place("model.embed_tokens.weight", "token_embd.weight", [vocabulary, width]);
  placeWithBias(slots, "model.norm", "output_norm", [width]);
  // Where it is absent, the embeddings serve as the output head.
  slots.place("lm_head.weight", "output.weight", [vocabulary, width], { required: false });
  for (let layer = 0; layer < layers; layer++) {
    const from = `model.layers.${layer}.`;
    const to = `blk.${layer}.`;
    placeWithBias(slots, `${from}input_layernorm`, `${to}attn_norm`, [width]);
    placeWithBias(slots, `${from}self_attn.q_proj`, `${to}attn_q`, [width, width]);
    placeWithBias(slots, `${from}self_attn.k_proj`, `${to}attn_k`, [grouped, width]);
    placeWithBias(slots, `${from}self_attn.v_proj`, `${to}attn_v`, [grouped, width]);
    placeWithBias(slots, `${from}self_attn.o_proj`, `${to}attn_output`, [width, width]);
    placeWithBias(slots, `${from}post_attention_layernorm`, `${to}ffn_norm`, [width]);
    placeWithBias(slots, `${from}mlp.c_fc`, `${to}ffn_up`, [inner, width]);
    placeWithBias(slots, `${from}mlp.c_proj`, `${to}ffn_down`, [width, inner]);
  }
  return slots;
}
