// Tiny DeepSeek V2 and V3 models and their forward pass: as transformers defines them, but for the factor of scores with
// YaRN in V2, which only the authors' own definition has.

import {
  attend,
  cutHeads,
  plainRotation,
  type Rotation,
  rotate,
  silu,
  softmax,
  sum,
  Tensors,
  topIndices,
  yarnFrequencies,
} from "./reference-parts.ts";
import type { SourceDtype } from "./tiny-decoders.ts";
import { TensorList, type TinyFamily } from "./tiny-families.ts";

export interface DeepseekChoices {
  generation: 2 | 3;
  dtype: SourceDtype;
  parts: number;
  layers: number;
  /** From the first on. */
  denseLayers: number;
  /** Null: queries are widened at once. */
  queryRank: number | null;
  /** Experts are chosen from so many of so many groups. */
  groups: [count: number, used: number] | null;
  /** The weights of the chosen experts are made to sum to one. */
  normalises: boolean;
  /** The factor of YaRN's logarithm, of sines and scores alike; null: positions are as they are. */
  yarn: number | null;
  /** Layers behind the last that guess further tokens. */
  nextLayers: number;
}

const WIDTH = 64;
const INNER = 96;
const EXPERT_INNER = 32;
const HEADS = 4;
const RANK = 32;
const PLAIN = 16;
const ROTARY = 8;
const VALUE = 24;
const EXPERTS = 8;
const USED = 3;
const SHARED = 2;
const VOCABULARY = 300;
const EPSILON = 1e-6;
const THETA = 10_000;
const ROUTED_SCALE = 1.5;
const YARN = { factor: 4, original: 64 };

export function makeDeepseek(choices: DeepseekChoices): TinyFamily {
  const { dtype, parts } = choices;
  const tensors = makeTensors(choices);
  const compute = (tokens: readonly number[]) => computeDeepseek(choices, new Tensors(tensors), tokens);
  return { config: describe(choices), dtype, parts, tensors, compute };
}

function describe({
  generation,
  dtype,
  layers,
  denseLayers,
  queryRank,
  groups,
  normalises,
  yarn,
  nextLayers,
}: DeepseekChoices) {
  const scaling = {
    type: "yarn",
    factor: YARN.factor,
    original_max_position_embeddings: YARN.original,
    beta_fast: 32,
    beta_slow: 1,
    mscale: yarn,
    mscale_all_dim: yarn,
  };
  return {
    architectures: [`DeepseekV${generation}ForCausalLM`],
    model_type: `deepseek_v${generation}`,
    hidden_size: WIDTH,
    intermediate_size: INNER,
    moe_intermediate_size: EXPERT_INNER,
    num_hidden_layers: layers,
    num_attention_heads: HEADS,
    num_key_value_heads: HEADS,
    q_lora_rank: queryRank,
    kv_lora_rank: RANK,
    qk_nope_head_dim: PLAIN,
    qk_rope_head_dim: ROTARY,
    v_head_dim: VALUE,
    first_k_dense_replace: denseLayers,
    moe_layer_freq: 1,
    n_routed_experts: EXPERTS,
    n_shared_experts: SHARED,
    num_experts_per_tok: USED,
    n_group: groups?.[0] ?? 1,
    topk_group: groups?.[1] ?? 1,
    topk_method: generation === 2 ? "greedy" : "noaux_tc",
    scoring_func: generation === 2 ? "softmax" : "sigmoid",
    norm_topk_prob: normalises,
    routed_scaling_factor: ROUTED_SCALE,
    num_nextn_predict_layers: nextLayers,
    vocab_size: VOCABULARY,
    max_position_embeddings: 256,
    rms_norm_eps: EPSILON,
    rope_theta: THETA,
    rope_scaling: yarn === null ? null : scaling,
    tie_word_embeddings: false,
    hidden_act: "silu",
    attention_bias: false,
    bos_token_id: 256,
    eos_token_id: 257,
    torch_dtype: dtype === "BF16" ? "bfloat16" : "float32",
  };
}

function makeTensors({ generation, dtype, layers, denseLayers, queryRank, nextLayers }: DeepseekChoices) {
  const list = new TensorList(dtype);
  // What a layer adds is small in a deep model, as in real ones: else the rounding of all layers adds up.
  const share = 1 / Math.sqrt(Math.max(1, layers / 3));
  const gated = (name: string, inner: number) => {
    list.matrix(`${name}.gate_proj`, inner, WIDTH);
    list.matrix(`${name}.up_proj`, inner, WIDTH);
    list.matrix(`${name}.down_proj`, WIDTH, inner, share);
  };
  list.embeddings("model.embed_tokens", VOCABULARY, WIDTH);
  list.norm("model.norm", WIDTH);
  list.matrix("lm_head", VOCABULARY, WIDTH);
  for (let layer = 0; layer < layers + nextLayers; layer++) {
    const at = `model.layers.${layer}.`;
    list.norm(`${at}input_layernorm`, WIDTH);
    list.norm(`${at}post_attention_layernorm`, WIDTH);
    if (queryRank === null) list.matrix(`${at}self_attn.q_proj`, HEADS * (PLAIN + ROTARY), WIDTH);
    else {
      list.matrix(`${at}self_attn.q_a_proj`, queryRank, WIDTH);
      list.norm(`${at}self_attn.q_a_layernorm`, queryRank);
      list.matrix(`${at}self_attn.q_b_proj`, HEADS * (PLAIN + ROTARY), queryRank);
    }
    list.matrix(`${at}self_attn.kv_a_proj_with_mqa`, RANK + ROTARY, WIDTH);
    list.norm(`${at}self_attn.kv_a_layernorm`, RANK);
    list.matrix(`${at}self_attn.kv_b_proj`, HEADS * (PLAIN + VALUE), RANK);
    list.matrix(`${at}self_attn.o_proj`, WIDTH, HEADS * VALUE, share);
    if (layer < denseLayers) {
      gated(`${at}mlp`, INNER);
      continue;
    }
    list.matrix(`${at}mlp.gate`, EXPERTS, WIDTH);
    if (generation === 3) list.add(`${at}mlp.gate.e_score_correction_bias`, [EXPERTS], 0, 0.3);
    for (let expert = 0; expert < EXPERTS; expert++) gated(`${at}mlp.experts.${expert}`, EXPERT_INNER);
    gated(`${at}mlp.shared_experts`, SHARED * EXPERT_INNER);
  }
  return list.tensors;
}

/** Sines are not scaled: both of YaRN's factors are the same. */
function describeRotation({ yarn }: DeepseekChoices): Rotation {
  if (yarn === null) return { ...plainRotation(THETA, ROTARY), neighbours: true };
  return { frequencies: yarnFrequencies(THETA, ROTARY, YARN), scale: 1, neighbours: true };
}

function computeDeepseek(choices: DeepseekChoices, tensors: Tensors, tokens: readonly number[]): Float64Array {
  const { layers, queryRank, yarn } = choices;
  const rotation = describeRotation(choices);
  const stretch = yarn === null ? 1 : 0.1 * yarn * Math.log(YARN.factor) + 1;
  let states = tensors.embed("model.embed_tokens.weight", tokens);
  const join = (a: Float64Array, b: Float64Array) => Float64Array.from([...a, ...b]);
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}.`;
    const self = `${at}self_attn.`;
    const inputs = states.map((state) => tensors.norm(`${at}input_layernorm`, state, EPSILON));
    const q = inputs.map((input, position) => {
      const narrow = () => tensors.norm(`${self}q_a_layernorm`, tensors.linear(`${self}q_a_proj`, input), EPSILON);
      const all =
        queryRank === null ? tensors.linear(`${self}q_proj`, input) : tensors.linear(`${self}q_b_proj`, narrow());
      return cutHeads(all, PLAIN + ROTARY).map((head) =>
        join(head.slice(0, PLAIN), rotate(head.slice(PLAIN), position, rotation)),
      );
    });
    const rows = inputs.map((input, position) => {
      const row = tensors.linear(`${self}kv_a_proj_with_mqa`, input);
      const narrow = tensors.norm(`${self}kv_a_layernorm`, row.slice(0, RANK), EPSILON);
      const turned = rotate(row.slice(RANK), position, rotation);
      return { turned, heads: cutHeads(tensors.linear(`${self}kv_b_proj`, narrow), PLAIN + VALUE) };
    });
    const k = rows.map(({ heads, turned }) => heads.map((head) => join(head.slice(0, PLAIN), turned)));
    const v = rows.map(({ heads }) => heads.map((head) => head.slice(PLAIN)));
    const attended = attend(q, k, v, { scale: (stretch * stretch) / Math.sqrt(PLAIN + ROTARY) });
    states = states.map((state, position) => {
      const middle = sum(state, tensors.linear(`${self}o_proj`, attended[position] as Float64Array));
      const input = tensors.norm(`${at}post_attention_layernorm`, middle, EPSILON);
      if (layer < choices.denseLayers) return sum(middle, tensors.gated(`${at}mlp`, input, silu));
      const shared = tensors.gated(`${at}mlp.shared_experts`, input, silu);
      return sum(sum(middle, shared), mixExperts(choices, tensors, `${at}mlp`, input));
    });
  }
  return tensors.linear("lm_head", tensors.norm("model.norm", states.at(-1) as Float64Array, EPSILON));
}

function mixExperts(
  { generation, groups, normalises }: DeepseekChoices,
  tensors: Tensors,
  name: string,
  input: Float64Array,
) {
  const logits = [...tensors.linear(`${name}.gate`, input)];
  const weights = generation === 2 ? softmax(logits) : logits.map((value) => 1 / (1 + Math.exp(-value)));
  const bias = generation === 2 ? null : tensors.get(`${name}.gate.e_score_correction_bias`).values;
  const scores = weights.map((weight, expert) => weight + (bias?.[expert] ?? 0));
  const chosen = topIndices(groups === null ? scores : withinGroups(scores, groups), USED);
  const total = normalises ? chosen.reduce((all, expert) => all + (weights[expert] as number), 0) : 1;
  return chosen.reduce<Float64Array>((mixed, expert) => {
    const weight = ((weights[expert] as number) / total) * ROUTED_SCALE;
    return sum(mixed, tensors.gated(`${name}.experts.${expert}`, input, silu), weight);
  }, new Float64Array(WIDTH));
}

/** Of the groups with the largest sums of their two best. */
function withinGroups(scores: number[], [count, used]: [number, number]): number[] {
  const size = scores.length / count;
  const sums = Array.from({ length: count }, (_, group) => {
    const [first = 0, second = 0] = scores.slice(group * size, (group + 1) * size).sort((a, b) => b - a);
    return first + second;
  });
  const kept = topIndices(sums, used);
  return scores.map((score, expert) => (kept.includes(Math.floor(expert / size)) ? score : Number.NEGATIVE_INFINITY));
}
