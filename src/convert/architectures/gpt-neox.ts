// GPT-NeoX: Pythia, Dolly and others. A part of each head is rotated, Q, K and V are fused head by head, and attention
// and feed-forward part may see the same input.

import { COMPUTED_TENSORS } from "../../formats/convertible.ts";
import { damagedModel, type Fields } from "../json-file.ts";
import { type ModelPlan, type PlanInput, takeWhole } from "../model-plan.ts";
import { planRope } from "../rope-scaling.ts";
import { refuseVariant } from "./checks.ts";
import {
  f32,
  type Keys,
  type LayerNormFields,
  type LayerNormSizes,
  placeInterleaved,
  placeWithBias,
  readLayerNormSizes,
  u32,
} from "./layer-norms.ts";
import { SlotTable } from "./slots.ts";

export const GPT_NEOX_NAMES: readonly string[] = ["GPTNeoXForCausalLM"];

const FIELDS: LayerNormFields = {
  width: "hidden_size",
  inner: "intermediate_size",
  layers: "num_hidden_layers",
  heads: "num_attention_heads",
  contextLength: ["max_position_embeddings", 2_048],
  epsilon: "layer_norm_eps",
  activation: "hidden_act",
};
const THETA = 10_000;

export function planGptNeox({ config, weights, fileType }: PlanInput): ModelPlan {
  if (config.truth("attention_bias") === false) {
    throw refuseVariant("config.json leaves out the biases of the attention, which llama.cpp requires of GPT-NeoX");
  }
  const sizes = readLayerNormSizes(config, FIELDS);
  const headLength = sizes.width / sizes.heads;
  const rope = planRope(config, {
    headLength,
    trainedContext: sizes.contextLength,
    thetaDefault: config.number("rotary_emb_base") ?? THETA,
    takesFactors: false,
  });
  const metadata: Keys = new Map([
    ["gptneox.context_length", u32(sizes.contextLength)],
    ["gptneox.embedding_length", u32(sizes.width)],
    ["gptneox.block_count", u32(sizes.layers)],
    ["gptneox.feed_forward_length", u32(sizes.inner)],
    ["gptneox.rope.dimension_count", u32(countRotated(config, headLength))],
    ["gptneox.attention.head_count", u32(sizes.heads)],
    ["gptneox.use_parallel_residual", { type: "bool", value: config.truth("use_parallel_residual") ?? true }],
    ["gptneox.attention.layer_norm_epsilon", f32(sizes.epsilon)],
  ]);
  for (const [key, entry] of rope.entries) {
    // The common one is what llama.cpp assumes.
    if (key === "freq_base" && "value" in entry && entry.value === THETA) continue;
    metadata.set(`gptneox.rope.${key}`, entry);
  }
  metadata.set("general.file_type", u32(fileType));
  const isTied = config.truth("tie_word_embeddings") ?? false;
  const tensors = listSlots(sizes, headLength, isTied).lay(weights);
  return { architecture: "gptneox", metadata, tensors, notes: rope.notes };
}

/** Elements of each head that are rotated, from its beginning. */
function countRotated(config: Fields, headLength: number): number {
  const stated = config.object("rope_parameters")?.number("partial_rotary_factor") ?? config.number("rotary_pct");
  const share = stated ?? 0.25;
  const rotated = Math.floor(share * headLength);
  if (share <= 1 && rotated >= 2 && rotated % 2 === 0) return rotated;
  const claim = `config.json: ${rotated} of the ${headLength} elements of a head can't be rotated`;
  throw damagedModel(claim, "Fetch config.json again.");
}

function listSlots(sizes: LayerNormSizes, headLength: number, isTied: boolean): SlotTable {
  const { vocabulary, width, inner, layers, heads } = sizes;
  const slots = new SlotTable({ architecture: "gptneox", prefix: "gpt_neox.", ignored: COMPUTED_TENSORS });
  placeEmbeddings(slots, vocabulary, width, isTied);
  placeWithBias(slots, "gpt_neox.final_layer_norm", "output_norm", [width]);
  for (let layer = 0; layer < layers; layer++) {
    const from = `gpt_neox.layers.${layer}.`;
    const to = `blk.${layer}.`;
    const fused = { heads, headLength };
    placeWithBias(slots, `${from}input_layernorm`, `${to}attn_norm`, [width]);
    const [source, target] = [`${from}attention.query_key_value`, `${to}attn_qkv`];
    placeInterleaved(slots, `${source}.weight`, `${target}.weight`, { ...fused, columns: width });
    placeInterleaved(slots, `${source}.bias`, `${target}.bias`, { ...fused, columns: null });
    placeWithBias(slots, `${from}attention.dense`, `${to}attn_output`, [width, width]);
    placeWithBias(slots, `${from}post_attention_layernorm`, `${to}ffn_norm`, [width]);
    placeWithBias(slots, `${from}mlp.dense_h_to_4h`, `${to}ffn_up`, [inner, width]);
    placeWithBias(slots, `${from}mlp.dense_4h_to_h`, `${to}ffn_down`, [width, inner]);
  }
  return slots;
}

/** llama.cpp wants an output head: where the embeddings serve as it, they are written twice. */
function placeEmbeddings(slots: SlotTable, vocabulary: number, width: number, isTied: boolean): void {
  const shape = [vocabulary, width];
  const name = "gpt_neox.embed_in.weight";
  if (!isTied) {
    slots.place(name, "token_embd.weight", shape);
    slots.place("embed_out.weight", "output.weight", shape);
    return;
  }
  slots.add({
    sources: [{ name, shape }],
    required: true,
    make: ([weight]) =>
      weight === undefined
        ? []
        : ["token_embd.weight", "output.weight"].map((target) => ({
            name: target,
            dims: shape.toReversed(),
            source: takeWhole(weight),
          })),
  });
}
