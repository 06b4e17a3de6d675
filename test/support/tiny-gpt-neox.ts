// Tiny GPT-NeoX models and their forward pass, as transformers defines it.

import { attendByLength, gelu, layerNorm, logitsOf, sumAll } from "./reference-layer-norms.ts";
import { cutHeads, plainRotation, type Rotation, rotate, Tensors } from "./reference-parts.ts";
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

export interface NeoxChoices extends Choices {
  /** Of each head, the share that is rotated. */
  rotated: number;
  theta: number;
  isParallel: boolean;
  isTied: boolean;
  /** Positions are divided by it. */
  linearFactor: number;
}

export function makeNeox(choices: NeoxChoices): TinyFamily {
  const { dtype, parts, rotated, theta, isParallel, isTied, linearFactor } = choices;
  const list = new TensorList(dtype);
  list.embeddings("gpt_neox.embed_in", VOCABULARY, WIDTH);
  addNorm(list, "gpt_neox.final_layer_norm");
  if (!isTied) list.matrix("embed_out", VOCABULARY, WIDTH);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `gpt_neox.layers.${layer}.`;
    addNorm(list, `${at}input_layernorm`);
    addNorm(list, `${at}post_attention_layernorm`);
    addProjection(list, `${at}attention.query_key_value`, 3 * WIDTH, WIDTH);
    addProjection(list, `${at}attention.dense`, WIDTH, WIDTH);
    addProjection(list, `${at}mlp.dense_h_to_4h`, 4 * WIDTH, WIDTH);
    addProjection(list, `${at}mlp.dense_4h_to_h`, WIDTH, 4 * WIDTH);
  }
  const config = {
    architectures: ["GPTNeoXForCausalLM"],
    model_type: "gpt_neox",
    hidden_size: WIDTH,
    intermediate_size: 4 * WIDTH,
    num_hidden_layers: LAYERS,
    num_attention_heads: HEADS,
    max_position_embeddings: CONTEXT_LENGTH,
    layer_norm_eps: EPSILON,
    rotary_pct: rotated,
    rotary_emb_base: theta,
    use_parallel_residual: isParallel,
    tie_word_embeddings: isTied,
    hidden_act: "gelu",
    ...(linearFactor === 1 ? {} : { rope_scaling: { type: "linear", factor: linearFactor } }),
    ...commonConfig(dtype),
  };
  const tensors = new Tensors(list.tensors);
  const compute = (tokens: readonly number[]) => computeNeox(tensors, choices, tokens);
  return { config, dtype, parts, tensors: list.tensors, compute };
}

function computeNeox(tensors: Tensors, choices: NeoxChoices, tokens: readonly number[]): Float64Array {
  const { rotated, theta, isParallel, isTied, linearFactor } = choices;
  const rotation = plainRotation(theta, rotated * HEAD_LENGTH, linearFactor);
  let states = tensors.embed("gpt_neox.embed_in.weight", tokens);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `gpt_neox.layers.${layer}.`;
    const norm = (name: string, state: Float64Array) => layerNorm(tensors, `${at}${name}`, state, EPSILON);
    const feed = (state: Float64Array) => {
      const inner = tensors.linear(`${at}mlp.dense_h_to_4h`, norm("post_attention_layernorm", state)).map(gelu);
      return tensors.linear(`${at}mlp.dense_4h_to_h`, inner);
    };
    // Of each head: its Q, its K and its V.
    const fused = states.map((state) =>
      cutHeads(tensors.linear(`${at}attention.query_key_value`, norm("input_layernorm", state)), 3 * HEAD_LENGTH),
    );
    const part = (index: number, turn: Rotation | null) =>
      fused.map((heads, position) =>
        heads.map((head) => {
          const values = head.slice(index * HEAD_LENGTH, (index + 1) * HEAD_LENGTH);
          return turn === null ? values : rotate(values, position, turn);
        }),
      );
    const attended = attendByLength(part(0, rotation), part(1, rotation), part(2, null), HEAD_LENGTH);
    states = states.map((state, i) => {
      const mixed = tensors.linear(`${at}attention.dense`, attended[i] as Float64Array);
      if (isParallel) return sumAll(state, mixed, feed(state));
      const middle = sumAll(state, mixed);
      return sumAll(middle, feed(middle));
    });
  }
  const last = layerNorm(tensors, "gpt_neox.final_layer_norm", states.at(-1) as Float64Array, EPSILON);
  return logitsOf(tensors, isTied ? "gpt_neox.embed_in.weight" : "embed_out.weight", last);
}
