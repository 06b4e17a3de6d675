// The tensors of DeepSeek V2 and V3, by transformers' names.

import { COMPUTED_TENSORS } from "../../formats/convertible.ts";
import type { Fields } from "../json-file.ts";
import type { Slice } from "../model-plan.ts";
import type { Weight } from "../weights.ts";
import type { DecoderSizes } from "./decoder.ts";
import { stackExperts } from "./experts.ts";
import { SlotTable } from "./slots.ts";

export interface DeepseekSizes extends DecoderSizes {
  /** Of the narrow layer that queries pass; null: they are widened at once. */
  queryRank: number | null;
  keyValueRank: number;
  /** Of a head of Q and K: the part that does not turn, and the part that does. */
  plainLength: number;
  rotaryLength: number;
  /** Of a head of V. */
  valueLength: number;
  /** Layers from the first on without experts. */
  denseLayers: number;
  experts: number;
  expertInner: number;
  sharedExperts: number;
  /** The choice of experts has a bias. */
  hasChoiceBias: boolean;
}

export function listDeepseekSlots(sizes: DeepseekSizes, config: Fields): SlotTable {
  const { vocabulary, width } = sizes;
  const slots = new SlotTable({ architecture: "deepseek2", prefix: "model.", ignored: COMPUTED_TENSORS });
  slots.place("model.embed_tokens.weight", "token_embd.weight", [vocabulary, width]);
  slots.place("model.norm.weight", "output_norm.weight", [width]);
  const head = { sources: [{ name: "lm_head.weight", shape: [vocabulary, width] }], required: false };
  // Some save the embeddings again under its name.
  if (config.truth("tie_word_embeddings") === true) slots.add({ ...head, make: () => [] });
  else slots.place("lm_head.weight", "output.weight", [vocabulary, width], { required: false });
  for (let layer = 0; layer < sizes.layers; layer++) {
    placeAttention(slots, sizes, layer);
    if (layer < sizes.denseLayers)
      placeGated(slots, `model.layers.${layer}.mlp`, `blk.${layer}`, "", width, sizes.inner);
    else placeExperts(slots, sizes, layer);
  }
  return slots;
}

function placeAttention(slots: SlotTable, sizes: DeepseekSizes, layer: number): void {
  const { width, heads, queryRank, keyValueRank, plainLength, rotaryLength, valueLength } = sizes;
  const from = `model.layers.${layer}.`;
  const to = `blk.${layer}.`;
  const place = (source: string, target: string, shape: readonly number[]) =>
    slots.place(`${from}${source}.weight`, `${to}${target}.weight`, shape);
  const queryRows = heads * (plainLength + rotaryLength);
  place("input_layernorm", "attn_norm", [width]);
  place("post_attention_layernorm", "ffn_norm", [width]);
  if (queryRank === null) {
    place("self_attn.q_proj", "attn_q", [queryRows, width]);
  } else {
    place("self_attn.q_a_proj", "attn_q_a", [queryRank, width]);
    place("self_attn.q_a_layernorm", "attn_q_a_norm", [queryRank]);
    place("self_attn.q_b_proj", "attn_q_b", [queryRows, queryRank]);
  }
  place("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa", [keyValueRank + rotaryLength, width]);
  place("self_attn.kv_a_layernorm", "attn_kv_a_norm", [keyValueRank]);
  slots.add({
    sources: [
      { name: `${from}self_attn.kv_b_proj.weight`, shape: [heads * (plainLength + valueLength), keyValueRank] },
    ],
    required: true,
    make: ([weight]) => (weight === undefined ? [] : splitByHead(weight, sizes, to)),
  });
  place("self_attn.o_proj", "attn_output", [width, heads * valueLength]);
}

/** The rows of each head are those of its keys, then those of its values. */
function splitByHead(weight: Weight, { heads, keyValueRank, plainLength, valueLength }: DeepseekSizes, to: string) {
  const slices = (offset: number, rows: number): Slice[] =>
    Array.from({ length: heads }, (_, head) => {
      return { weight, fromRow: head * (plainLength + valueLength) + offset, rows, heads: null };
    });
  return [
    {
      name: `${to}attn_k_b.weight`,
      dims: [plainLength, keyValueRank, heads],
      source: { kind: "transposed-slices", slices: slices(0, plainLength) } as const,
    },
    {
      name: `${to}attn_v_b.weight`,
      dims: [keyValueRank, valueLength, heads],
      source: { kind: "slices", slices: slices(plainLength, valueLength) } as const,
    },
  ];
}

function placeExperts(slots: SlotTable, sizes: DeepseekSizes, layer: number): void {
  const { width, experts, expertInner, sharedExperts } = sizes;
  const from = `model.layers.${layer}.mlp`;
  const to = `blk.${layer}`;
  slots.place(`${from}.gate.weight`, `${to}.ffn_gate_inp.weight`, [experts, width]);
  if (sizes.hasChoiceBias) {
    slots.place(`${from}.gate.e_score_correction_bias`, `${to}.exp_probs_b.bias`, [experts], { required: false });
  }
  placeGated(slots, `${from}.shared_experts`, to, "_shexp", width, expertInner * sharedExperts);
  const stack = (part: string, rows: number, columns: number) => ({
    name: (expert: number) => `${from}.experts.${expert}.${part}_proj.weight`,
    target: `${to}.ffn_${part}_exps.weight`,
    rows,
    columns,
  });
  stackExperts(slots, experts, [
    stack("down", width, expertInner),
    stack("gate", expertInner, width),
    stack("up", expertInner, width),
  ]);
}

function placeGated(slots: SlotTable, from: string, to: string, suffix: string, width: number, inner: number): void {
  slots.place(`${from}.gate_proj.weight`, `${to}.ffn_gate${suffix}.weight`, [inner, width]);
  slots.place(`${from}.up_proj.weight`, `${to}.ffn_up${suffix}.weight`, [inner, width]);
  slots.place(`${from}.down_proj.weight`, `${to}.ffn_down${suffix}.weight`, [width, inner]);
}
