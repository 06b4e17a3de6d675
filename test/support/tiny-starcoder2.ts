// Tiny StarCoder2 models and their forward pass, as transformers defines it.

import { attendByLength, layerNorm, logitsOf, sumAll } from "./reference-layer-norms.ts";
import {
  cutHeads,
  geluTanh,
  plainRotation,
  type Rotation,
  rotate,
  Tensors,
  yarnFrequencies,
} from "./reference-parts.ts";
import { TensorList, type TinyFamily } from "./tiny-families.ts";
import {
  addNorm,
  addProjection,
  type Choices,
  CONTEXT_LENGTH,
  commonConfig,
  EPSILON,
  HEAD_LENGTH,
  HEADS,
  LAYERS,
  VOCABULARY,
  WIDTH,
} from "./tiny-layer-norms.ts";

export interface Starcoder2Choices extends Choices {
  keyValueHeads: number;
  isTied: boolean;
  theta: number;
  /** YaRN's; 1: none. */
  factor: number;
}

/** Before YaRN stretches it. */
const ORIGINAL_LENGTH = 64;

export function makeStarcoder2(choices: Starcoder2Choices): TinyFamily {
  const { dtype, parts, keyValueHeads, isTied, theta, factor } = choices;
  const list = new TensorList(dtype);
  list.embeddings("model.embed_tokens", VOCABULARY, WIDTH);
  addNorm(list, "model.norm");
  if (!isTied) list.matrix("lm_head", VOCABULARY, WIDTH);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `model.layers.${layer}.`;
    addNorm(list, `${at}input_layernorm`);
    addNorm(list, `${at}post_attention_layernorm`);
    addProjection(list, `${at}self_attn.q_proj`, WIDTH, WIDTH);
    addProjection(list, `${at}self_attn.k_proj`, keyValueHeads * HEAD_LENGTH, WIDTH);
    addProjection(list, `${at}self_attn.v_proj`, keyValueHeads * HEAD_LENGTH, WIDTH);
    addProjection(list, `${at}self_attn.o_proj`, WIDTH, WIDTH);
    addProjection(list, `${at}mlp.c_fc`, 4 * WIDTH, WIDTH);
    addProjection(list, `${at}mlp.c_proj`, WIDTH, 4 * WIDTH);
  }
  const scaling = { type: "yarn", factor, original_max_position_embeddings: ORIGINAL_LENGTH };
  const config = {
    architectures: ["Starcoder2ForCausalLM"],
    model_type: "starcoder2",
    hidden_size: WIDTH,
    intermediate_size: 4 * WIDTH,
    num_hidden_layers: LAYERS,
    num_attention_heads: HEADS,
    num_key_value_heads: keyValueHeads,
    max_position_embeddings: CONTEXT_LENGTH,
    norm_epsilon: EPSILON,
    rope_theta: theta,
    ...(factor === 1 ? {} : { rope_scaling: scaling }),
    tie_word_embeddings: isTied,
    use_bias: true,
    hidden_act: "gelu_pytorch_tanh",
    ...commonConfig(dtype),
  };
  const tensors = new Tensors(list.tensors);
  const compute = (tokens: readonly number[]) => computeStarcoder2(tensors, choices, tokens);
  return { config, dtype, parts, tensors: list.tensors, compute };
}

function computeStarcoder2(tensors: Tensors, choices: Starcoder2Choices, tokens: readonly number[]): Float64Array {
  const { isTied, theta, factor } = choices;
  const rotation: Rotation =
    factor === 1
      ? plainRotation(theta, HEAD_LENGTH)
      : {
          frequencies: yarnFrequencies(theta, HEAD_LENGTH, { factor, original: ORIGINAL_LENGTH }),
          scale: 0.1 * Math.log(factor) + 1,
        };
  let states = tensors.embed("model.embed_tokens.weight", tokens);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `model.layers.${layer}.`;
    const norm = (name: string, state: Float64Array) => layerNorm(tensors, `${at}${name}`, state, EPSILON);
    const inputs = states.map((state) => norm("input_layernorm", state));
    const heads = (name: string, turn: Rotation | null) =>
      inputs.map((input, position) =>
        cutHeads(tensors.linear(`${at}self_attn.${name}_proj`, input), HEAD_LENGTH).map((head) =>
          turn === null ? head : rotate(head, position, turn),
        ),
      );
    const attended = attendByLength(heads("q", rotation), heads("k", rotation), heads("v", null), HEAD_LENGTH);
    states = states.map((state, i) => {
      const middle = sumAll(state, tensors.linear(`${at}self_attn.o_proj`, attended[i] as Float64Array));
      const inner = tensors.linear(`${at}mlp.c_fc`, norm("post_attention_layernorm", middle)).map(geluTanh);
      return sumAll(middle, tensors.linear(`${at}mlp.c_proj`, inner));
    });
  }
  const last = layerNorm(tensors, "model.norm", states.at(-1) as Float64Array, EPSILON);
  return logitsOf(tensors, isTied ? "model.embed_tokens.weight" : "lm_head.weight", last);
}
