// Phi 3, Phi 4 and Phi 4 mini: Llama's form with Q, K and V in one weight, and the two inner projections in another;
// only a part of a head turns; two lists of factors for short and for long contexts.

import { COMPUTED_TENSORS } from "../../formats/convertible.ts";
import { damagedModel, type Fields } from "../json-file.ts";
import type { ModelPlan, PlanInput, PlannedTensor } from "../model-plan.ts";
import { checkActivation, checkHeadsFillWidth, refuseVariant } from "./checks.ts";
import { type DecoderSizes, noteWindow, readSizes } from "./decoder.ts";
import { KeyList } from "./key-list.ts";
import { SlotTable } from "./slots.ts";

export const PHI3_NAMES: readonly string[] = ["Phi3ForCausalLM"];

const NAME = "phi3";
const DEFAULTS = { contextLength: 4_096, keyValueHeads: null, headLength: "divided" } as const;
const ORIGINAL_CONTEXT = 4_096;
/** All that transformers takes for the one kind that it has. */
const LONG_KINDS: readonly string[] = ["longrope", "su", "yarn"];

interface PhiRope {
  theta: number;
  original: number;
  /** Of a head: the part that turns. */
  length: number;
  long: LongRope | null;
}

interface LongRope {
  long: Float32Array;
  short: Float32Array;
  /** Of sines and cosines. */
  scale: number;
}

export function planPhi3(input: PlanInput): ModelPlan {
  const { config } = input;
  const sizes = readSizes(config, { defaults: DEFAULTS });
  checkActivation(config, "hidden_act", ["silu", "swish"]);
  checkHeadsFillWidth(sizes);
  const rope = readRope(config, sizes);
  const keys = new KeyList(NAME);
  keys.u32("context_length", sizes.contextLength);
  keys.u32("rope.scaling.original_context_length", rope.original);
  keys.u32("embedding_length", sizes.width);
  keys.u32("feed_forward_length", sizes.inner);
  keys.u32("block_count", sizes.layers);
  keys.u32("attention.head_count", sizes.heads);
  keys.u32("attention.head_count_kv", sizes.keyValueHeads);
  keys.f32("attention.layer_norm_rms_epsilon", config.number("rms_norm_eps") ?? 1e-5);
  keys.u32("rope.dimension_count", rope.length);
  keys.f32("rope.freq_base", rope.theta);
  keys.fileType(input.fileType);
  keys.u32("attention.sliding_window", config.size("sliding_window") ?? 0);
  if (rope.long !== null) keys.f32("rope.scaling.attn_factor", rope.long.scale);
  const tensors = [...factorTensors(rope.long), ...listSlots(sizes).lay(input.weights)];
  return { architecture: NAME, metadata: keys.entries, tensors, notes: noteWindow(config, sizes.contextLength) };
}

function readRope(config: Fields, sizes: DecoderSizes): PhiRope {
  const scaling = config.object("rope_parameters") ?? config.object("rope_scaling");
  const theta = scaling?.number("rope_theta") ?? config.number("rope_theta") ?? 10_000;
  if (theta <= 0) throw config.wrong("rope_theta", "a number over 0");
  const original =
    scaling?.size("original_max_position_embeddings") ??
    config.size("original_max_position_embeddings") ??
    ORIGINAL_CONTEXT;
  // Its logarithm divides.
  if (original < 2) throw config.wrong("original_max_position_embeddings", "a number over 1");
  const part = scaling?.number("partial_rotary_factor") ?? config.number("partial_rotary_factor") ?? 1;
  const length = Math.floor(Math.trunc(part * sizes.width) / sizes.heads);
  if (length < 2 || length % 2 !== 0 || length > sizes.headLength) {
    throw config.wrong("partial_rotary_factor", `a part of ${sizes.headLength} with an even number of elements`);
  }
  return { theta, original, length, long: readLongRope(scaling, length, original, sizes) };
}

function readLongRope(
  scaling: Fields | null,
  length: number,
  original: number,
  { contextLength }: DecoderSizes,
): LongRope | null {
  const kind = (scaling?.text("rope_type") ?? scaling?.text("type") ?? "default").toLowerCase();
  if (scaling === null || kind === "default") return null;
  if (!LONG_KINDS.includes(kind)) {
    throw refuseVariant(`config.json asks for the RoPE scaling "${kind.slice(0, 40)}"; Phi has longrope`);
  }
  const stated = scaling.number("attention_factor");
  if (stated !== null && stated <= 0) throw scaling.wrong("attention_factor", "a number over 0");
  const factor = contextLength / original;
  const computed = factor > 1 ? Math.sqrt(1 + Math.log(factor) / Math.log(original)) : 1;
  return {
    long: readFactors(scaling, "long_factor", length / 2),
    short: readFactors(scaling, "short_factor", length / 2),
    scale: stated ?? computed,
  };
}

function readFactors(scaling: Fields, name: string, count: number): Float32Array {
  const list = scaling.list(name);
  const factors = list.filter((value): value is number => typeof value === "number" && value > 0);
  if (factors.length !== list.length || factors.length !== count) {
    const hint = "Use the config.json of these weights.";
    throw damagedModel(`${scaling.source}: "${name}" must be a list of ${count} numbers over 0`, hint);
  }
  return Float32Array.from(factors);
}

function factorTensors(rope: LongRope | null): PlannedTensor[] {
  if (rope === null) return [];
  const tensor = (name: string, values: Float32Array): PlannedTensor => ({
    name: `rope_factors_${name}.weight`,
    dims: [values.length],
    source: { kind: "values", values },
  });
  return [tensor("long", rope.long), tensor("short", rope.short)];
}

function listSlots({ vocabulary, width, inner, layers, heads, keyValueHeads, headLength }: DecoderSizes): SlotTable {
  const slots = new SlotTable({ architecture: NAME, prefix: "model.", ignored: COMPUTED_TENSORS });
  slots.place("model.embed_tokens.weight", "token_embd.weight", [vocabulary, width]);
  slots.place("model.norm.weight", "output_norm.weight", [width]);
  // Where it is absent, the embeddings serve as the output head.
  slots.place("lm_head.weight", "output.weight", [vocabulary, width], { required: false });
  for (let layer = 0; layer < layers; layer++) {
    const place = (source: string, target: string, shape: readonly number[]) =>
      slots.place(`model.layers.${layer}.${source}.weight`, `blk.${layer}.${target}.weight`, shape);
    place("input_layernorm", "attn_norm", [width]);
    place("post_attention_layernorm", "ffn_norm", [width]);
    place("self_attn.qkv_proj", "attn_qkv", [(heads + 2 * keyValueHeads) * headLength, width]);
    place("self_attn.o_proj", "attn_output", [width, heads * headLength]);
    place("mlp.gate_up_proj", "ffn_up", [2 * inner, width]);
    place("mlp.down_proj", "ffn_down", [width, inner]);
  }
  return slots;
}
