// Tiny Phi 3 and 4 models and their forward pass, as transformers defines them.

import { attend, cutHeads, plainRotation, type Rotation, rotate, silu, sum, Tensors } from "./reference-parts.ts";
import type { SourceDtype } from "./tiny-decoders.ts";
import { TensorList, type TinyFamily } from "./tiny-families.ts";

export interface PhiChoices {
  dtype: SourceDtype;
  parts: number;
  keyValueHeads: number;
  /** Of a head, that turns. */
  part: number;
  contextLength: number;
  original: number;
  window: number | null;
  isTied: boolean;
  /** The largest of the long and of the short list; null: positions are as they are. */
  factors: [long: number, short: number] | null;
}

const WIDTH = 64;
const INNER = 96;
const HEADS = 4;
const HEAD = WIDTH / HEADS;
const LAYERS = 2;
const VOCABULARY = 300;
const EPSILON = 1e-5;
const THETA = 10_000;
/** What llama.cpp is asked for in tests: beyond the original context it takes the long list, whatever a prompt has. */
const RUN_CONTEXT = 256;

export function makePhi3(choices: PhiChoices): TinyFamily {
  const { dtype, parts } = choices;
  const tensors = makeTensors(choices);
  const compute = (tokens: readonly number[]) => computePhi3(choices, new Tensors(tensors), tokens);
  return { config: describe(choices), dtype, parts, tensors, compute };
}

const listFactors = (largest: number, part: number): number[] => {
  const count = (HEAD * part) / 2;
  return Array.from({ length: count }, (_, i) => 1 + ((largest - 1) * i) / (count - 1));
};

function describe(choices: PhiChoices): Record<string, unknown> {
  const { dtype, keyValueHeads, part, contextLength, original, window, isTied, factors } = choices;
  const [long, short] = (factors ?? []).map((largest) => listFactors(largest, part));
  return {
    architectures: ["Phi3ForCausalLM"],
    model_type: "phi3",
    hidden_size: WIDTH,
    intermediate_size: INNER,
    num_hidden_layers: LAYERS,
    num_attention_heads: HEADS,
    num_key_value_heads: keyValueHeads,
    vocab_size: VOCABULARY,
    max_position_embeddings: contextLength,
    original_max_position_embeddings: original,
    rms_norm_eps: EPSILON,
    rope_theta: THETA,
    rope_scaling: factors === null ? null : { type: "longrope", long_factor: long, short_factor: short },
    partial_rotary_factor: part,
    sliding_window: window,
    tie_word_embeddings: isTied,
    hidden_act: "silu",
    bos_token_id: 256,
    eos_token_id: 257,
    pad_token_id: 257,
    torch_dtype: dtype === "BF16" ? "bfloat16" : "float32",
  };
}

function makeTensors({ dtype, keyValueHeads, isTied }: PhiChoices) {
  const list = new TensorList(dtype);
  list.embeddings("model.embed_tokens", VOCABULARY, WIDTH);
  list.norm("model.norm", WIDTH);
  if (!isTied) list.matrix("lm_head", VOCABULARY, WIDTH);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `model.layers.${layer}.`;
    list.norm(`${at}input_layernorm`, WIDTH);
    list.norm(`${at}post_attention_layernorm`, WIDTH);
    list.matrix(`${at}self_attn.qkv_proj`, (HEADS + 2 * keyValueHeads) * HEAD, WIDTH);
    list.matrix(`${at}self_attn.o_proj`, WIDTH, WIDTH);
    list.matrix(`${at}mlp.gate_up_proj`, 2 * INNER, WIDTH);
    list.matrix(`${at}mlp.down_proj`, WIDTH, INNER);
  }
  return list.tensors;
}

function describeRotation({ part, contextLength, original, factors }: PhiChoices): Rotation {
  const plain = plainRotation(THETA, HEAD * part);
  if (factors === null) return plain;
  const list = listFactors(factors[RUN_CONTEXT > original ? 0 : 1], part);
  const growth = contextLength / original;
  const scale = growth > 1 ? Math.sqrt(1 + Math.log(growth) / Math.log(original)) : 1;
  return { frequencies: plain.frequencies.map((frequency, i) => frequency / (list[i] as number)), scale };
}

function computePhi3(choices: PhiChoices, tensors: Tensors, tokens: readonly number[]): Float64Array {
  const rotation = describeRotation(choices);
  const keys = HEADS * HEAD;
  const values = keys + choices.keyValueHeads * HEAD;
  let states = tensors.embed("model.embed_tokens.weight", tokens);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `model.layers.${layer}.`;
    const fused = states.map((state) =>
      tensors.linear(`${at}self_attn.qkv_proj`, tensors.norm(`${at}input_layernorm`, state, EPSILON)),
    );
    const heads = (from: number, to: number | undefined, turns: boolean) =>
      fused.map((row, position) =>
        cutHeads(row.slice(from, to), HEAD).map((head) => (turns ? rotate(head, position, rotation) : head)),
      );
    const attended = attend(heads(0, keys, true), heads(keys, values, true), heads(values, undefined, false), {
      scale: HEAD ** -0.5,
    });
    states = states.map((state, position) => {
      const middle = sum(state, tensors.linear(`${at}self_attn.o_proj`, attended[position] as Float64Array));
      const input = tensors.norm(`${at}post_attention_layernorm`, middle, EPSILON);
      const both = tensors.linear(`${at}mlp.gate_up_proj`, input);
      const up = both.slice(INNER);
      const inner = both.slice(0, INNER).map((gate, i) => silu(gate) * (up[i] as number));
      return sum(middle, tensors.linear(`${at}mlp.down_proj`, inner));
    });
  }
  const last = tensors.norm("model.norm", states.at(-1) as Float64Array, EPSILON);
  return tensors.linear(choices.isTied ? "model.embed_tokens" : "lm_head", last);
}
