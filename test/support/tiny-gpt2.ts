// Tiny GPT-2 models and their forward pass, as transformers defines it.

import { attendByLength, convolve, layerNorm, logitsOf, sumAll } from "./reference-layer-norms.ts";
import { cutHeads, geluTanh, Tensors } from "./reference-parts.ts";
import { TensorList, type TinyFamily } from "./tiny-families.ts";
import {
  addNorm,
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

export interface Gpt2Choices extends Choices {
  /** Null: four times the width. */
  inner: number | null;
  /** The published files leave the first part of the names out. */
  prefix: "transformer." | "";
  isTied: boolean;
}

export function makeGpt2({ dtype, parts, inner, prefix, isTied }: Gpt2Choices): TinyFamily {
  const list = new TensorList(dtype);
  const norm = (name: string) => addNorm(list, name);
  const project = (name: string, inputs: number, outputs: number) => {
    list.add(`${name}.weight`, [inputs, outputs], 0, 1 / Math.sqrt(inputs));
    list.add(`${name}.bias`, [outputs], 0, 0.3);
  };
  list.embeddings(`${prefix}wte`, VOCABULARY, WIDTH);
  list.embeddings(`${prefix}wpe`, CONTEXT_LENGTH, WIDTH);
  norm(`${prefix}ln_f`);
  if (!isTied) list.matrix("lm_head", VOCABULARY, WIDTH);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `${prefix}h.${layer}.`;
    norm(`${at}ln_1`);
    norm(`${at}ln_2`);
    project(`${at}attn.c_attn`, WIDTH, 3 * WIDTH);
    project(`${at}attn.c_proj`, WIDTH, WIDTH);
    project(`${at}mlp.c_fc`, WIDTH, inner ?? 4 * WIDTH);
    project(`${at}mlp.c_proj`, inner ?? 4 * WIDTH, WIDTH);
  }
  const config = {
    architectures: ["GPT2LMHeadModel"],
    model_type: "gpt2",
    n_embd: WIDTH,
    n_head: HEADS,
    n_layer: LAYERS,
    n_positions: CONTEXT_LENGTH,
    n_ctx: CONTEXT_LENGTH,
    ...(inner === null ? {} : { n_inner: inner }),
    activation_function: "gelu_new",
    layer_norm_epsilon: EPSILON,
    tie_word_embeddings: isTied,
    ...commonConfig(dtype),
  };
  const tensors = new Tensors(list.tensors);
  const compute = (tokens: readonly number[]) => computeGpt2(tensors, prefix, isTied, tokens);
  return { config, dtype, parts, tensors: list.tensors, compute };
}

function computeGpt2(tensors: Tensors, prefix: string, isTied: boolean, tokens: readonly number[]): Float64Array {
  const places = tensors.embed(`${prefix}wpe.weight`, [...tokens.keys()]);
  let states = tensors.embed(`${prefix}wte.weight`, tokens).map((state, i) => sumAll(state, places[i] as Float64Array));
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `${prefix}h.${layer}.`;
    const norm = (name: string, state: Float64Array) => layerNorm(tensors, `${at}${name}`, state, EPSILON);
    const fused = states.map((state) => convolve(tensors, `${at}attn.c_attn`, norm("ln_1", state)));
    const part = (index: number) =>
      fused.map((row) => cutHeads(row.slice(index * WIDTH, (index + 1) * WIDTH), HEAD_LENGTH));
    const attended = attendByLength(part(0), part(1), part(2), HEAD_LENGTH);
    states = states.map((state, i) => {
      const middle = sumAll(state, convolve(tensors, `${at}attn.c_proj`, attended[i] as Float64Array));
      const inner = convolve(tensors, `${at}mlp.c_fc`, norm("ln_2", middle)).map(geluTanh);
      return sumAll(middle, convolve(tensors, `${at}mlp.c_proj`, inner));
    });
  }
  const last = layerNorm(tensors, `${prefix}ln_f`, states.at(-1) as Float64Array, EPSILON);
  return logitsOf(tensors, isTied ? `${prefix}wte.weight` : "lm_head.weight", last);
}
