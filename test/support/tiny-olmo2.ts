// Tiny OLMo 2 and 3 models and their forward pass, as transformers defines them.

import { attend, cutHeads, plainRotation, rotate, silu, sum, Tensors, yarnFrequencies } from "./reference-parts.ts";
import type { SourceDtype } from "./tiny-decoders.ts";
import { TensorList, type TinyFamily } from "./tiny-families.ts";

const WIDTH = 64;
const INNER = 96;
const HEADS = 4;
const HEAD = WIDTH / HEADS;
const LAYERS = 2;
const VOCABULARY = 300;
const EPSILON = 1e-6;
const THETA = 500_000;

/** OLMo 3's: which layers see a window only, and whether the positions of the others are stretched. */
export interface Olmo3Choices {
  windows: readonly boolean[];
  hasYarn: boolean;
  statesLayers: boolean;
}

const WINDOW = 16;
const YARN = { factor: 4, original: 64 };

export function makeOlmo2(dtype: SourceDtype, keyValueHeads: number, third: Olmo3Choices | null = null): TinyFamily {
  const layers = third?.windows.length ?? LAYERS;
  const tensors = makeTensors(dtype, keyValueHeads, layers);
  const types = third?.windows.map((sees) => (sees ? "sliding_attention" : "full_attention"));
  const scaling = {
    rope_type: "yarn",
    factor: YARN.factor,
    original_max_position_embeddings: YARN.original,
    attention_factor: 1 + 0.1 * Math.log(YARN.factor),
    beta_fast: 32,
    beta_slow: 1,
  };
  const config = {
    architectures: [`Olmo${third === null ? 2 : 3}ForCausalLM`],
    model_type: `olmo${third === null ? 2 : 3}`,
    ...(third === null ? {} : { sliding_window: WINDOW }),
    ...(third?.statesLayers === true ? { layer_types: types } : {}),
    hidden_size: WIDTH,
    intermediate_size: INNER,
    num_hidden_layers: layers,
    num_attention_heads: HEADS,
    num_key_value_heads: keyValueHeads,
    vocab_size: VOCABULARY,
    max_position_embeddings: 256,
    rms_norm_eps: EPSILON,
    rope_theta: THETA,
    rope_scaling: third?.hasYarn === true ? scaling : null,
    tie_word_embeddings: false,
    hidden_act: "silu",
    bos_token_id: 256,
    eos_token_id: 257,
    pad_token_id: 257,
    torch_dtype: dtype === "BF16" ? "bfloat16" : "float32",
  };
  const compute = (tokens: readonly number[]) => computeOlmo2(new Tensors(tensors), tokens, layers, third);
  return { config, dtype, parts: 1, tensors, compute };
}

function makeTensors(dtype: SourceDtype, keyValueHeads: number, layers: number) {
  const list = new TensorList(dtype);
  list.embeddings("model.embed_tokens", VOCABULARY, WIDTH);
  list.norm("model.norm", WIDTH);
  list.matrix("lm_head", VOCABULARY, WIDTH);
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}.`;
    list.matrix(`${at}self_attn.q_proj`, WIDTH, WIDTH);
    list.matrix(`${at}self_attn.k_proj`, keyValueHeads * HEAD, WIDTH);
    list.matrix(`${at}self_attn.v_proj`, keyValueHeads * HEAD, WIDTH);
    list.matrix(`${at}self_attn.o_proj`, WIDTH, WIDTH);
    list.norm(`${at}self_attn.q_norm`, WIDTH);
    list.norm(`${at}self_attn.k_norm`, keyValueHeads * HEAD);
    list.norm(`${at}post_attention_layernorm`, WIDTH);
    list.norm(`${at}post_feedforward_layernorm`, WIDTH);
    list.matrix(`${at}mlp.gate_proj`, INNER, WIDTH);
    list.matrix(`${at}mlp.up_proj`, INNER, WIDTH);
    list.matrix(`${at}mlp.down_proj`, WIDTH, INNER);
  }
  return list.tensors;
}

function computeOlmo2(
  tensors: Tensors,
  tokens: readonly number[],
  layers: number,
  third: Olmo3Choices | null,
): Float64Array {
  const plain = plainRotation(THETA, HEAD);
  const stretched = { frequencies: yarnFrequencies(THETA, HEAD, YARN), scale: 1 + 0.1 * Math.log(YARN.factor) };
  let states = tensors.embed("model.embed_tokens.weight", tokens);
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}.`;
    const seesWindow = third?.windows[layer] === true;
    const rotation = third?.hasYarn === true && !seesWindow ? stretched : plain;
    const turned = (name: string) =>
      states.map((state, position) => {
        const all = tensors.norm(
          `${at}self_attn.${name}_norm`,
          tensors.linear(`${at}self_attn.${name}_proj`, state),
          EPSILON,
        );
        return cutHeads(all, HEAD).map((head) => rotate(head, position, rotation));
      });
    const values = states.map((state) => cutHeads(tensors.linear(`${at}self_attn.v_proj`, state), HEAD));
    const attended = attend(turned("q"), turned("k"), values, {
      scale: HEAD ** -0.5,
      window: seesWindow ? WINDOW : null,
    });
    states = states.map((state, position) => {
      const mixed = tensors.linear(`${at}self_attn.o_proj`, attended[position] as Float64Array);
      const middle = sum(state, tensors.norm(`${at}post_attention_layernorm`, mixed, EPSILON));
      const inner = tensors.gated(`${at}mlp`, middle, silu);
      return sum(middle, tensors.norm(`${at}post_feedforward_layernorm`, inner, EPSILON));
    });
  }
  return tensors.linear("lm_head", tensors.norm("model.norm", states.at(-1) as Float64Array, EPSILON));
}
