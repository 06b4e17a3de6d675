// Tiny gpt-oss models and their forward pass, as transformers defines them; plain, and with experts of four bits a number.

import { makeRandom } from "./random.ts";
import {
  attend,
  cutHeads,
  multiply,
  plainRotation,
  type Rotation,
  rotate,
  softmax,
  sum,
  Tensors,
  topIndices,
  yarnFrequencies,
} from "./reference-parts.ts";
import type { TensorToWrite } from "./safetensors-writer.ts";
import { encode, type NamedTensor, type SourceDtype } from "./tiny-decoders.ts";
import { TensorList, type TinyFamily } from "./tiny-families.ts";

const WIDTH = 64;
const INNER = 96;
const HEADS = 4;
const KEY_VALUE_HEADS = 2;
const HEAD = 32;
const LAYERS = 3;
const EXPERTS = 4;
const USED = 2;
const WINDOW = 16;
const VOCABULARY = 300;
const EPSILON = 1e-5;
const THETA = 150_000;
const YARN = { factor: 4, original: 64 };
const [ALPHA, LIMIT] = [1.702, 7];

export interface GptOssChoices {
  dtype: SourceDtype;
  hasYarn: boolean;
}

export function makeGptOss({ dtype, hasYarn }: GptOssChoices): TinyFamily {
  const tensors = makeTensors(dtype);
  const scaling = {
    rope_type: "yarn",
    factor: YARN.factor,
    beta_fast: 32,
    beta_slow: 1,
    truncate: true,
    original_max_position_embeddings: YARN.original,
  };
  const config = {
    architectures: ["GptOssForCausalLM"],
    model_type: "gpt_oss",
    hidden_size: WIDTH,
    intermediate_size: INNER,
    num_hidden_layers: LAYERS,
    num_attention_heads: HEADS,
    num_key_value_heads: KEY_VALUE_HEADS,
    head_dim: HEAD,
    num_local_experts: EXPERTS,
    num_experts_per_tok: USED,
    sliding_window: WINDOW,
    layer_types: ["sliding_attention", "full_attention", "sliding_attention"],
    swiglu_limit: LIMIT,
    vocab_size: VOCABULARY,
    max_position_embeddings: 256,
    rms_norm_eps: EPSILON,
    rope_theta: THETA,
    rope_scaling: hasYarn ? scaling : null,
    tie_word_embeddings: false,
    attention_bias: true,
    hidden_act: "silu",
    bos_token_id: 256,
    eos_token_id: 257,
    torch_dtype: dtype === "BF16" ? "bfloat16" : "float32",
  };
  const compute = (tokens: readonly number[]) => computeGptOss(new Tensors(tensors), tokens, hasYarn);
  return { config, dtype, parts: 1, tensors, compute };
}

function makeTensors(dtype: SourceDtype): Map<string, NamedTensor> {
  const list = new TensorList(dtype);
  const biased = (name: string, rows: number, columns: number) => {
    list.matrix(name, rows, columns);
    list.add(`${name}.bias`, [rows], 0, 0.3);
  };
  list.embeddings("model.embed_tokens", VOCABULARY, WIDTH);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `model.layers.${layer}.`;
    list.norm(`${at}input_layernorm`, WIDTH);
    list.norm(`${at}post_attention_layernorm`, WIDTH);
    biased(`${at}self_attn.q_proj`, HEADS * HEAD, WIDTH);
    biased(`${at}self_attn.k_proj`, KEY_VALUE_HEADS * HEAD, WIDTH);
    biased(`${at}self_attn.v_proj`, KEY_VALUE_HEADS * HEAD, WIDTH);
    biased(`${at}self_attn.o_proj`, WIDTH, HEADS * HEAD);
    list.add(`${at}self_attn.sinks`, [HEADS], 0.5, 1);
    biased(`${at}mlp.router`, EXPERTS, WIDTH);
    // Large enough for the limit to be met.
    list.add(`${at}mlp.experts.gate_up_proj`, [EXPERTS, WIDTH, 2 * INNER], 0, 4 / Math.sqrt(WIDTH));
    list.add(`${at}mlp.experts.gate_up_proj_bias`, [EXPERTS, 2 * INNER], 0, 0.5);
    list.add(`${at}mlp.experts.down_proj`, [EXPERTS, INNER, WIDTH], 0, 0.2 / Math.sqrt(INNER));
    list.add(`${at}mlp.experts.down_proj_bias`, [EXPERTS, WIDTH], 0, 0.2);
  }
  list.norm("model.norm", WIDTH);
  list.matrix("lm_head", VOCABULARY, WIDTH);
  return list.tensors;
}

function computeGptOss(tensors: Tensors, tokens: readonly number[], hasYarn: boolean): Float64Array {
  const rotation: Rotation = hasYarn
    ? { frequencies: yarnFrequencies(THETA, HEAD, YARN), scale: 1 + 0.1 * Math.log(YARN.factor) }
    : plainRotation(THETA, HEAD);
  let states = tensors.embed("model.embed_tokens.weight", tokens);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `model.layers.${layer}.`;
    const inputs = states.map((state) => tensors.norm(`${at}input_layernorm`, state, EPSILON));
    const heads = (name: string, turned: boolean) =>
      inputs.map((input, position) =>
        cutHeads(tensors.linear(`${at}self_attn.${name}`, input), HEAD).map((head) =>
          turned ? rotate(head, position, rotation) : head,
        ),
      );
    const attended = attend(heads("q_proj", true), heads("k_proj", true), heads("v_proj", false), {
      scale: 1 / Math.sqrt(HEAD),
      window: layer % 2 === 0 ? WINDOW : null,
      sinks: tensors.get(`${at}self_attn.sinks`).values,
    });
    states = states.map((state, i) => {
      const middle = sum(state, tensors.linear(`${at}self_attn.o_proj`, attended[i] as Float64Array));
      return sum(middle, mix(tensors, at, tensors.norm(`${at}post_attention_layernorm`, middle, EPSILON)));
    });
  }
  const last = tensors.norm("model.norm", states.at(-1) as Float64Array, EPSILON);
  return multiply(tensors.get("lm_head.weight").values, last);
}

function mix(tensors: Tensors, at: string, input: Float64Array): Float64Array {
  const scores = [...tensors.linear(`${at}mlp.router`, input)];
  const chosen = topIndices(scores, USED);
  const weights = softmax(chosen.map((index) => scores[index] as number));
  const of = (name: string, expert: number): Float32Array => {
    const { shape, values } = tensors.get(`${at}mlp.experts.${name}`);
    const size = values.length / (shape[0] ?? 1);
    return values.subarray(expert * size, (expert + 1) * size);
  };
  /** Rows are inputs. */
  const turn = (name: string, expert: number, from: Float64Array): Float64Array => {
    const [matrix, bias] = [of(name, expert), of(`${name}_bias`, expert)];
    return Float64Array.from(bias, (start, column) =>
      from.reduce((total, value, row) => total + value * (matrix[row * bias.length + column] as number), start),
    );
  };
  let total = new Float64Array(input.length);
  for (const [i, expert] of chosen.entries()) {
    const both = turn("gate_up_proj", expert, input);
    const gated = Float64Array.from({ length: INNER }, (_, at) => {
      const gate = Math.min(both[2 * at] as number, LIMIT);
      const up = Math.max(-LIMIT, Math.min(both[2 * at + 1] as number, LIMIT));
      return ((up + 1) * gate) / (1 + Math.exp(-ALPHA * gate));
    });
    total = sum(total, turn("down_proj", expert, gated), weights[i]) as Float64Array<ArrayBuffer>;
  }
  return total;
}

/** Sign, two bits of exponent, one of mantissa. */
const CODES = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

/** The experts in blocks of 32 numbers of four bits with an exponent each; the family's tensors get what they stand for. */
export function packGptOss(family: TinyFamily): { family: TinyFamily; stored: TensorToWrite[] } {
  const stored: TensorToWrite[] = [];
  for (const [name, { shape, values }] of family.tensors) {
    const [experts = 0, columns = 0, rows = 0] = shape;
    if (shape.length !== 3) {
      stored.push({ name, shape, dtype: family.dtype, data: encode(family.dtype, values) });
      continue;
    }
    const random = makeRandom(name.length + experts + Number(/\d+/.exec(name)?.[0] ?? 0));
    const blocks = Uint8Array.from({ length: values.length / 2 }, () => random(256));
    const exponent = name.includes("gate_up") ? 123 : 119;
    const scales = Uint8Array.from({ length: values.length / 32 }, () => exponent + random(3));
    for (let i = 0; i < values.length; i++) {
      const byte = blocks[i >> 1] as number;
      const code = i % 2 === 0 ? byte & 15 : byte >> 4;
      const value = (CODES[code & 7] as number) * (code > 7 ? -1 : 1) * 2 ** ((scales[i >> 5] as number) - 127);
      const [row, column] = [Math.floor(i / columns), i % columns];
      const [expert, output] = [Math.floor(row / rows), row % rows];
      values[(expert * columns + column) * rows + output] = value;
    }
    const blockShape = [experts, rows, columns / 32];
    stored.push({ name: `${name}_blocks`, shape: [...blockShape, 16], dtype: "U8", data: blocks });
    stored.push({ name: `${name}_scales`, shape: blockShape, dtype: "U8", data: scales });
  }
  const quantization_config = {
    quant_method: "mxfp4",
    modules_to_not_convert: ["model.layers.*.self_attn", "lm_head"],
  };
  return { family: { ...family, config: { ...family.config, quantization_config } }, stored };
}
