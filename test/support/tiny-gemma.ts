// Tiny Gemma 2 and 3 models and their forward pass, as transformers defines them.

import {
  attend,
  cutHeads,
  geluTanh,
  multiply,
  plainRotation,
  type Rotation,
  rotate,
  sum,
  Tensors,
} from "./reference-parts.ts";
import type { SourceDtype } from "./tiny-decoders.ts";
import { TensorList, type TinyFamily } from "./tiny-families.ts";

export interface GemmaChoices {
  generation: 2 | 3;
  dtype: SourceDtype;
  parts: number;
  layers: number;
  heads: number;
  keyValueHeads: number;
  headLength: number;
  /** Before the names of all tensors. */
  prefix: string;
  /** With a part for images: what is said of texts is an object of its own. */
  seesImages: boolean;
  window: number;
  /** Of Gemma 3's layers that see everything: the positions are divided by it. */
  linearFactor: number;
  /** Scores are bent within ± these; null: they are not. */
  attentionCap: number | null;
  finalCap: number | null;
}

const WIDTH = 64;
const INNER = 96;
const VOCABULARY = 300;
const EPSILON = 1e-6;

export function makeGemma(choices: GemmaChoices): TinyFamily {
  const { dtype, parts } = choices;
  const tensors = makeTensors(choices);
  const text = describeText(choices);
  const config = choices.seesImages ? describeBoth(text) : text;
  const compute = (tokens: readonly number[]) => computeGemma(choices, new Tensors(tensors), tokens);
  return { config, dtype, parts, tensors, compute };
}

function describeText(choices: GemmaChoices): Record<string, unknown> {
  const { generation, dtype, layers, heads, keyValueHeads, headLength, attentionCap, finalCap, linearFactor } = choices;
  const scaling = linearFactor === 1 ? null : { rope_type: "linear", factor: linearFactor };
  return {
    architectures: [`Gemma${generation}ForCausalLM`],
    model_type: generation === 2 ? "gemma2" : "gemma3_text",
    hidden_size: WIDTH,
    intermediate_size: INNER,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: keyValueHeads,
    head_dim: headLength,
    vocab_size: VOCABULARY,
    max_position_embeddings: 256,
    rms_norm_eps: EPSILON,
    hidden_activation: "gelu_pytorch_tanh",
    query_pre_attn_scalar: headLength,
    sliding_window: choices.window,
    attn_logit_softcapping: attentionCap,
    final_logit_softcapping: finalCap,
    rope_theta: generation === 2 ? 10_000 : 1_000_000,
    ...(generation === 2 ? {} : { rope_local_base_freq: 10_000, rope_scaling: scaling }),
    bos_token_id: 2,
    eos_token_id: 1,
    pad_token_id: 0,
    torch_dtype: dtype === "BF16" ? "bfloat16" : "float32",
  };
}

/** As published: the text part leaves out what transformers assumes. */
function describeBoth(text: Record<string, unknown>): Record<string, unknown> {
  const { architectures: _, bos_token_id, eos_token_id, pad_token_id, ...rest } = text;
  return {
    architectures: ["Gemma3ForConditionalGeneration"],
    model_type: "gemma3",
    eos_token_id: [1, 106],
    text_config: rest,
    vision_config: { hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32 },
  };
}

function makeTensors({
  generation,
  dtype,
  layers,
  heads,
  keyValueHeads,
  headLength,
  prefix,
  seesImages,
}: GemmaChoices) {
  const list = new TensorList(dtype);
  if (seesImages) {
    list.norm("model.vision_tower.vision_model.encoder.layers.0.layer_norm1", 32);
    list.matrix("model.multi_modal_projector.mm_input_projection", 32, WIDTH);
  }
  list.embeddings(`${prefix}embed_tokens`, VOCABULARY, WIDTH);
  list.norm(`${prefix}norm`, WIDTH, 0);
  for (let layer = 0; layer < layers; layer++) {
    const at = `${prefix}layers.${layer}.`;
    for (const name of ["input", "post_attention", "pre_feedforward", "post_feedforward"]) {
      list.norm(`${at}${name}_layernorm`, WIDTH, 0);
    }
    list.matrix(`${at}self_attn.q_proj`, heads * headLength, WIDTH);
    list.matrix(`${at}self_attn.k_proj`, keyValueHeads * headLength, WIDTH);
    list.matrix(`${at}self_attn.v_proj`, keyValueHeads * headLength, WIDTH);
    list.matrix(`${at}self_attn.o_proj`, WIDTH, heads * headLength);
    list.matrix(`${at}mlp.gate_proj`, INNER, WIDTH);
    list.matrix(`${at}mlp.up_proj`, INNER, WIDTH);
    list.matrix(`${at}mlp.down_proj`, WIDTH, INNER);
    if (generation === 2) continue;
    list.norm(`${at}self_attn.q_norm`, headLength, 0);
    list.norm(`${at}self_attn.k_norm`, headLength, 0);
  }
  return list.tensors;
}

function computeGemma(choices: GemmaChoices, tensors: Tensors, tokens: readonly number[]): Float64Array {
  const last = computeGemmaStates(choices, tensors, tokens).at(-1) as Float64Array;
  const logits = multiply(tensors.get(`${choices.prefix}embed_tokens.weight`).values, last);
  const { finalCap } = choices;
  return finalCap === null ? logits : logits.map((value) => finalCap * Math.tanh(value / finalCap));
}

/** Of all tokens, behind the last norm. */
export function computeGemmaStates(
  choices: GemmaChoices,
  tensors: Tensors,
  tokens: readonly number[],
  bothWays = false,
): Float64Array[] {
  const { generation, layers, headLength, prefix, linearFactor, attentionCap } = choices;
  const period = generation === 2 ? 2 : 6;
  const wide = plainRotation(generation === 2 ? 10_000 : 1_000_000, headLength, linearFactor);
  const local = plainRotation(10_000, headLength);
  const normed = (name: string, input: Float64Array) => tensors.norm(name, input, EPSILON, 1);
  let states = tensors.embed(`${prefix}embed_tokens.weight`, tokens, Math.sqrt(WIDTH));
  for (let layer = 0; layer < layers; layer++) {
    const at = `${prefix}layers.${layer}.`;
    const isLocal = (layer + 1) % period !== 0;
    const rotation = isLocal ? local : wide;
    const inputs = states.map((state) => normed(`${at}input_layernorm`, state));
    const heads = (name: string, turn: Rotation | null) =>
      inputs.map((input, position) =>
        cutHeads(tensors.linear(`${at}self_attn.${name}_proj`, input), headLength).map((head) => {
          if (turn === null) return head;
          return rotate(generation === 2 ? head : normed(`${at}self_attn.${name}_norm`, head), position, turn);
        }),
      );
    const attended = attend(heads("q", rotation), heads("k", rotation), heads("v", null), {
      scale: headLength ** -0.5,
      window: isLocal ? choices.window : null,
      softCap: attentionCap,
      bothWays,
    });
    states = states.map((state, position) => {
      const mixed = tensors.linear(`${at}self_attn.o_proj`, attended[position] as Float64Array);
      const middle = sum(state, normed(`${at}post_attention_layernorm`, mixed));
      const inner = tensors.gated(`${at}mlp`, normed(`${at}pre_feedforward_layernorm`, middle), geluTanh);
      return sum(middle, normed(`${at}post_feedforward_layernorm`, inner));
    });
  }
  return states.map((state) => normed(`${prefix}norm`, state));
}
