// Tiny Granite models and their forward pass, as transformers defines them.

import {
  attend,
  cutHeads,
  multiply,
  plainRotation,
  rotate,
  silu,
  softmax,
  sum,
  Tensors,
  topIndices,
} from "./reference-parts.ts";
import type { SourceDtype } from "./tiny-decoders.ts";
import { TensorList, type TinyFamily } from "./tiny-families.ts";

export interface GraniteMultipliers {
  attention: number;
  embedding: number;
  residual: number;
  logits: number;
}

export interface GraniteExperts {
  /** Of an expert that every token passes. */
  sharedInner: number | null;
}

const WIDTH = 64;
const INNER = 96;
const HEADS = 4;
const KEY_VALUE_HEADS = 2;
const HEAD = WIDTH / HEADS;
const LAYERS = 2;
const VOCABULARY = 300;
const EPSILON = 1e-5;
const THETA = 10_000;
const EXPERTS = 6;
const USED = 2;

export function makeGranite(
  dtype: SourceDtype,
  multipliers: GraniteMultipliers,
  experts: GraniteExperts | null = null,
): TinyFamily {
  const tensors = makeTensors(dtype, experts);
  const name = experts === null ? "" : experts.sharedInner === null ? "Moe" : "MoeShared";
  const counts = { num_local_experts: EXPERTS, num_experts_per_tok: USED };
  const config = {
    architectures: [`Granite${name}ForCausalLM`],
    model_type: `granite${name.toLowerCase()}`,
    ...(experts === null ? {} : counts),
    ...(experts?.sharedInner === null ? {} : { shared_intermediate_size: experts?.sharedInner }),
    hidden_size: WIDTH,
    intermediate_size: INNER,
    num_hidden_layers: LAYERS,
    num_attention_heads: HEADS,
    num_key_value_heads: KEY_VALUE_HEADS,
    vocab_size: VOCABULARY,
    max_position_embeddings: 256,
    rms_norm_eps: EPSILON,
    rope_theta: THETA,
    rope_scaling: null,
    tie_word_embeddings: true,
    hidden_act: "silu",
    attention_multiplier: multipliers.attention,
    embedding_multiplier: multipliers.embedding,
    residual_multiplier: multipliers.residual,
    logits_scaling: multipliers.logits,
    bos_token_id: 256,
    eos_token_id: 257,
    pad_token_id: 257,
    torch_dtype: dtype === "BF16" ? "bfloat16" : "float32",
  };
  const compute = (tokens: readonly number[]) => computeGranite(multipliers, experts, new Tensors(tensors), tokens);
  return { config, dtype, parts: 1, tensors, compute };
}

function makeTensors(dtype: SourceDtype, experts: GraniteExperts | null) {
  const list = new TensorList(dtype);
  list.embeddings("model.embed_tokens", VOCABULARY, WIDTH);
  list.norm("model.norm", WIDTH);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `model.layers.${layer}.`;
    list.norm(`${at}input_layernorm`, WIDTH);
    list.norm(`${at}post_attention_layernorm`, WIDTH);
    list.matrix(`${at}self_attn.q_proj`, WIDTH, WIDTH);
    list.matrix(`${at}self_attn.k_proj`, KEY_VALUE_HEADS * HEAD, WIDTH);
    list.matrix(`${at}self_attn.v_proj`, KEY_VALUE_HEADS * HEAD, WIDTH);
    list.matrix(`${at}self_attn.o_proj`, WIDTH, WIDTH);
    if (experts !== null) {
      list.matrix(`${at}block_sparse_moe.router.layer`, EXPERTS, WIDTH);
      list.add(`${at}block_sparse_moe.input_linear.weight`, [EXPERTS, 2 * INNER, WIDTH], 0, 1 / Math.sqrt(WIDTH));
      list.add(`${at}block_sparse_moe.output_linear.weight`, [EXPERTS, WIDTH, INNER], 0, 1 / Math.sqrt(INNER));
      if (experts.sharedInner === null) continue;
      list.matrix(`${at}shared_mlp.input_linear`, 2 * experts.sharedInner, WIDTH);
      list.matrix(`${at}shared_mlp.output_linear`, WIDTH, experts.sharedInner);
      continue;
    }
    list.matrix(`${at}mlp.gate_proj`, INNER, WIDTH);
    list.matrix(`${at}mlp.up_proj`, INNER, WIDTH);
    list.matrix(`${at}mlp.down_proj`, WIDTH, INNER);
  }
  return list.tensors;
}

function computeGranite(
  by: GraniteMultipliers,
  experts: GraniteExperts | null,
  tensors: Tensors,
  tokens: readonly number[],
): Float64Array {
  const rotation = plainRotation(THETA, HEAD);
  let states = tensors.embed("model.embed_tokens.weight", tokens, by.embedding);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `model.layers.${layer}.`;
    const inputs = states.map((state) => tensors.norm(`${at}input_layernorm`, state, EPSILON));
    const heads = (name: string, turns: boolean) =>
      inputs.map((input, position) =>
        cutHeads(tensors.linear(`${at}self_attn.${name}_proj`, input), HEAD).map((head) =>
          turns ? rotate(head, position, rotation) : head,
        ),
      );
    const attended = attend(heads("q", true), heads("k", true), heads("v", false), { scale: by.attention });
    states = states.map((state, position) => {
      const mixed = tensors.linear(`${at}self_attn.o_proj`, attended[position] as Float64Array);
      const middle = sum(state, mixed, by.residual);
      const input = tensors.norm(`${at}post_attention_layernorm`, middle, EPSILON);
      const added = experts === null ? tensors.gated(`${at}mlp`, input, silu) : mixExperts(experts, tensors, at, input);
      return sum(middle, added, by.residual);
    });
  }
  const last = tensors.norm("model.norm", states.at(-1) as Float64Array, EPSILON);
  return tensors.linear("model.embed_tokens", last).map((value) => value / by.logits);
}

/** The weights of the chosen experts are a softmax of their own logits. */
function mixExperts({ sharedInner }: GraniteExperts, tensors: Tensors, at: string, input: Float64Array): Float64Array {
  const logits = [...tensors.linear(`${at}block_sparse_moe.router.layer`, input)];
  const chosen = topIndices(logits, USED);
  const weights = softmax(chosen.map((expert) => logits[expert] as number));
  const inner = tensors.get(`${at}block_sparse_moe.input_linear.weight`).values;
  const outer = tensors.get(`${at}block_sparse_moe.output_linear.weight`).values;
  const start: Float64Array =
    sharedInner === null
      ? new Float64Array(WIDTH)
      : tensors.linear(`${at}shared_mlp.output_linear`, gate(tensors.linear(`${at}shared_mlp.input_linear`, input)));
  return chosen.reduce<Float64Array>((mixed, expert, i) => {
    const size = 2 * INNER * WIDTH;
    const both = multiply(inner.subarray(expert * size, (expert + 1) * size), input);
    const rows = outer.subarray((expert * size) / 2, ((expert + 1) * size) / 2);
    return sum(mixed, multiply(rows, gate(both)), weights[i]);
  }, start);
}

/** The first half, through its activation, times the second. */
function gate(both: Float64Array): Float64Array {
  const half = both.length / 2;
  return both.slice(0, half).map((value, i) => silu(value) * (both[half + i] as number));
}
