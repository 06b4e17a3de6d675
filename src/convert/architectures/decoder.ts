// What Llama, Qwen2 and Qwen3 have in common: the tensors of a decoder with RMS norms, rotary positions and a gated
// feed-forward part, checked against config.json before anything is written. What differs is in their own files.

import { COMPUTED_TENSORS } from "../../formats/convertible.ts";
import type { GgufEntry } from "../../formats/gguf/write-header.ts";
import type { Fields } from "../json-file.ts";
import type { ModelPlan, PlanInput, PlannedTensor } from "../model-plan.ts";
import { planRope, type RopePlan } from "../rope-scaling.ts";
import type { Weight } from "../weights.ts";
import { checkActivation, checkRotation, readKeyValueHeads, readLayers } from "./checks.ts";
import { type ExpertCounts, expertEntries } from "./experts.ts";
import { SlotTable } from "./slots.ts";

/** What one architecture differs in. */
export interface DecoderKind {
  /** GGUF's name. */
  name: string;
  /** Rows of Q and K are reordered: the two halves of a rotary head become neighbours. */
  permutesHeads: boolean;
  takesRopeFactors: boolean;
  /** Q and K are normalised per head. */
  hasHeadNorms: boolean;
  /** Projections whose bias llama.cpp reads, where a model has one. */
  biases: readonly string[];
  /** What transformers assumes where config.json is silent. */
  defaults: {
    contextLength: number;
    keyValueHeads: number | null;
    headLength: "divided" | "unset" | number;
    /** Where it is not 10,000. */
    theta?: number;
    /** Of the norms, where it is not 1e-6. */
    epsilon?: number;
  };
  /** In place of one feed-forward part in every layer. */
  experts?: ExpertLayers;
  /** In place of embeddings and output head as they are. */
  placeHeads?: (slots: SlotTable, sizes: DecoderSizes) => void;
}

export interface ExpertLayers {
  counts: ExpertCounts;
  place: (slots: SlotTable, layer: number) => void;
}

export interface DecoderSizes {
  vocabulary: number;
  width: number;
  inner: number;
  layers: number;
  heads: number;
  keyValueHeads: number;
  headLength: number;
  /** Written as the length of keys and values; null where llama.cpp shall divide. */
  statedHeadLength: number | null;
  contextLength: number;
}

export function readSizes(config: Fields, { defaults }: Pick<DecoderKind, "defaults">): DecoderSizes {
  const width = config.requiredSize("hidden_size");
  const heads = config.requiredSize("num_attention_heads");
  const layers = readLayers(config, "num_hidden_layers");
  const stated = config.size("head_dim");
  const divided = Math.floor(width / heads);
  const standard = defaults.headLength === "divided" ? divided : defaults.headLength;
  const statedHeadLength = stated ?? (standard === "unset" ? null : standard);
  const headLength = statedHeadLength ?? divided;
  checkRotation(headLength);
  const keyValueHeads = readKeyValueHeads(config, heads, defaults.keyValueHeads ?? heads);
  return {
    vocabulary: config.requiredSize("vocab_size"),
    width,
    inner: config.requiredSize("intermediate_size"),
    layers,
    heads,
    keyValueHeads,
    headLength,
    statedHeadLength,
    contextLength: config.size("max_position_embeddings") ?? defaults.contextLength,
  };
}

/** The keys that all have, in the order of llama.cpp's converter, and the tensors. */
export function planDecoder(
  kind: DecoderKind,
  sizes: DecoderSizes,
  { config, weights, fileType }: PlanInput,
  slots: SlotTable = listSlots(kind, sizes),
): ModelPlan {
  checkActivation(config, "hidden_act", ["silu", "swish"]);
  const rope = planRope(config, {
    headLength: sizes.headLength,
    trainedContext: sizes.contextLength,
    thetaDefault: kind.defaults.theta ?? 10_000,
    takesFactors: kind.takesRopeFactors,
  });
  const metadata = new Map<string, GgufEntry>();
  const u32 = (key: string, value: number) => metadata.set(`${kind.name}.${key}`, { type: "u32", value });
  u32("block_count", sizes.layers);
  u32("context_length", sizes.contextLength);
  u32("embedding_length", sizes.width);
  u32("feed_forward_length", sizes.inner);
  u32("attention.head_count", sizes.heads);
  u32("attention.head_count_kv", sizes.keyValueHeads);
  for (const [key, entry] of rope.entries) metadata.set(`${kind.name}.rope.${key}`, entry);
  const epsilon = config.number("rms_norm_eps") ?? kind.defaults.epsilon ?? 1e-6;
  metadata.set(`${kind.name}.attention.layer_norm_rms_epsilon`, { type: "f32", value: epsilon });
  if (kind.experts !== undefined) {
    for (const [key, entry] of expertEntries(kind.name, kind.experts.counts)) metadata.set(key, entry);
  }
  if (sizes.statedHeadLength !== null) {
    u32("attention.key_length", sizes.statedHeadLength);
    u32("attention.value_length", sizes.statedHeadLength);
  }
  metadata.set("general.file_type", { type: "u32", value: fileType });
  const notes = [...rope.notes, ...noteWindow(config, sizes.contextLength)];
  return { architecture: kind.name, metadata, tensors: layTensors(slots, weights, rope), notes };
}

/** llama.cpp's graphs of these architectures attend to everything. */
export function noteWindow(config: Fields, contextLength: number): string[] {
  const window = config.size("sliding_window");
  const isUsed = config.truth("use_sliding_window") ?? true;
  if (window === null || !isUsed || window >= contextLength) return [];
  const limit = `the model was trained with a sliding window of ${window} tokens, which llama.cpp does not apply to it`;
  return [`${limit}: prompts longer than that are attended to in full, and answers may differ`];
}

function layTensors(slots: SlotTable, weights: ReadonlyMap<string, Weight>, rope: RopePlan): PlannedTensor[] {
  const tensors = slots.lay(weights);
  if (rope.factors === null) return tensors;
  const dims = [rope.factors.length];
  return [{ name: "rope_freqs.weight", dims, source: { kind: "values", values: rope.factors } }, ...tensors];
}

function placeHeads(slots: SlotTable, { vocabulary, width }: DecoderSizes): void {
  slots.place("model.embed_tokens.weight", "token_embd.weight", [vocabulary, width]);
  // Where it is absent, the embeddings serve as the output head.
  slots.place("lm_head.weight", "output.weight", [vocabulary, width], { required: false });
}

function listSlots(kind: DecoderKind, sizes: DecoderSizes): SlotTable {
  const { width, inner, headLength, heads, keyValueHeads } = sizes;
  const slots = new SlotTable({ architecture: kind.name, prefix: "model.", ignored: COMPUTED_TENSORS });
  (kind.placeHeads ?? placeHeads)(slots, sizes);
  slots.place("model.norm.weight", "output_norm.weight", [width]);
  const projections: [string, string, number, number, number | null][] = [
    ["self_attn.q_proj", "attn_q", heads * headLength, width, heads],
    ["self_attn.k_proj", "attn_k", keyValueHeads * headLength, width, keyValueHeads],
    ["self_attn.v_proj", "attn_v", keyValueHeads * headLength, width, null],
    ["self_attn.o_proj", "attn_output", width, heads * headLength, null],
  ];
  if (kind.experts === undefined) {
    projections.push(
      ["mlp.gate_proj", "ffn_gate", inner, width, null],
      ["mlp.up_proj", "ffn_up", inner, width, null],
      ["mlp.down_proj", "ffn_down", width, inner, null],
    );
  }
  for (let layer = 0; layer < sizes.layers; layer++) {
    const from = `model.layers.${layer}.`;
    const to = `blk.${layer}.`;
    slots.place(`${from}input_layernorm.weight`, `${to}attn_norm.weight`, [width]);
    slots.place(`${from}post_attention_layernorm.weight`, `${to}ffn_norm.weight`, [width]);
    for (const [source, target, rows, columns, rotated] of projections) {
      const permuted = kind.permutesHeads ? rotated : null;
      slots.place(`${from}${source}.weight`, `${to}${target}.weight`, [rows, columns], { heads: permuted });
      if (!kind.biases.includes(target)) continue;
      slots.place(`${from}${source}.bias`, `${to}${target}.bias`, [rows], { heads: permuted, required: false });
    }
    kind.experts?.place(slots, layer);
    if (!kind.hasHeadNorms) continue;
    slots.place(`${from}self_attn.q_norm.weight`, `${to}attn_q_norm.weight`, [headLength]);
    slots.place(`${from}self_attn.k_norm.weight`, `${to}attn_k_norm.weight`, [headLength]);
  }
  return slots;
}
