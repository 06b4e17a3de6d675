// Tiny Granite models and their forward pass, as transformers defines them.

import { attend, cutHeads, plainRotation, rotate, silu, sum, Tensors } from "./reference-parts.ts";
import type { SourceDtype } from "./tiny-decoders.ts";
import { TensorList, type TinyFamily } from "./tiny-families.ts";

export interface GraniteMultipliers {
  attention: number;
  embedding: number;
  residual: number;
  logits: number;
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

export function makeGranite(dtype: SourceDtype, multipliers: GraniteMultipliers): TinyFamily {
  const tensors = makeTensors(dtype);
  const config = {
    architectures: ["GraniteForCausalLM"],
    model_type: "granite",
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
  const compute = (tokens: readonly number[]) => computeGranite(multipliers, new Tensors(tensors), tokens);
  return { config, dtype, parts: 1, tensors, compute, differenceMax: 1e-3 };
}

function makeTensors(dtype: SourceDtype) {
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
    list.matrix(`${at}mlp.gate_proj`, INNER, WIDTH);
    list.matrix(`${at}mlp.up_proj`, INNER, WIDTH);
    list.matrix(`${at}mlp.down_proj`, WIDTH, INNER);
  }
  return list.tensors;
}

function computeGranite(by: GraniteMultipliers, tensors: Tensors, tokens: readonly number[]): Float64Array {
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
      return sum(middle, tensors.gated(`${at}mlp`, input, silu), by.residual);
    });
  }
  const last = tensors.norm("model.norm", states.at(-1) as Float64Array, EPSILON);
  return tensors.linear("model.embed_tokens", last).map((value) => value / by.logits);
}
