// The forward pass of Llama, Qwen2 and Qwen3 from their definition, in plain TypeScript and double precision, over the
// tensors as transformers names and lays them out. It shares no code with the converter or with llama.cpp.

import { feedForward, mixExperts } from "./reference-experts.ts";
import type { NamedTensor, TinyDecoder } from "./tiny-decoders.ts";

/** Logits of the last token. */
export function computeLogits(
  model: TinyDecoder,
  tensors: Map<string, NamedTensor>,
  tokens: readonly number[],
): Float64Array {
  const prefix = model.architecture === "LlamaModel" ? "" : "model.";
  const get = (name: string): NamedTensor => {
    const tensor = tensors.get(name) ?? tensors.get(`${prefix}${name}`);
    if (tensor === undefined) throw new Error(`the model has no ${name}`);
    return tensor;
  };
  const embeddings = get("embed_tokens.weight");
  const { width } = model;
  const states = tokens.map((token) =>
    Float64Array.from(embeddings.values.subarray(token * width, (token + 1) * width)),
  );
  const rotation = describeRotation(model);
  for (let layer = 0; layer < model.layers; layer++) {
    const at = `layers.${layer}.`;
    const linear = (name: string, input: Float64Array) =>
      project(get(`${at}${name}.weight`), tensors.get(`${prefix}${at}${name}.bias`) ?? null, input);
    const normed = states.map((state) => normalise(state, get(`${at}input_layernorm.weight`).values, model.epsilon));
    const heads = (name: string, rotated: boolean) =>
      normed.map((input, position) => {
        const norm = rotated ? tensors.get(`${prefix}${at}self_attn.${name[0]}_norm.weight`) : undefined;
        return cutHeads(linear(`self_attn.${name}`, input), model.headLength).map((head) => {
          const scaled = norm === undefined ? head : normalise(head, norm.values, model.epsilon);
          return rotated ? rotate(scaled, position, rotation) : scaled;
        });
      });
    const attended = attend(heads("q_proj", true), heads("k_proj", true), heads("v_proj", false), model);
    for (const [position, state] of states.entries()) {
      add(state, linear("self_attn.o_proj", attended[position] as Float64Array));
      const input = normalise(state, get(`${at}post_attention_layernorm.weight`).values, model.epsilon);
      const mixed = mixExperts(model, input, linear);
      add(state, mixed ?? feedForward(linear, ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"], input));
    }
  }
  const last = normalise(states.at(-1) as Float64Array, get("norm.weight").values, model.epsilon);
  return project(tensors.get("lm_head.weight") ?? embeddings, null, last);
}

function project({ shape, values }: NamedTensor, bias: NamedTensor | null, input: Float64Array): Float64Array {
  const [rows = 0, columns = 0] = shape;
  const out = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = bias?.values[row] ?? 0;
    for (let i = 0; i < columns; i++) sum += (values[row * columns + i] as number) * (input[i] as number);
    out[row] = sum;
  }
  return out;
}

function normalise(input: Float64Array, weight: Float32Array, epsilon: number): Float64Array {
  const mean = input.reduce((sum, value) => sum + value * value, 0) / input.length;
  return input.map((value, i) => (value / Math.sqrt(mean + epsilon)) * (weight[i] as number));
}

function add(state: Float64Array, change: Float64Array): void {
  for (let i = 0; i < state.length; i++) state[i] = (state[i] as number) + (change[i] as number);
}

function cutHeads(values: Float64Array, length: number): Float64Array[] {
  return Array.from({ length: values.length / length }, (_, head) => values.slice(head * length, (head + 1) * length));
}

interface Rotation {
  /** Angle per position of each pair. */
  frequencies: Float64Array;
  /** Factor of sines and cosines. */
  scale: number;
}

/** Element i turns with element i + half. */
function rotate(head: Float64Array, position: number, { frequencies, scale }: Rotation): Float64Array {
  const half = head.length / 2;
  const out = new Float64Array(head.length);
  for (let i = 0; i < half; i++) {
    const angle = position * (frequencies[i] as number);
    const cosine = Math.cos(angle) * scale;
    const sine = Math.sin(angle) * scale;
    const [a, b] = [head[i] as number, head[i + half] as number];
    out[i] = a * cosine - b * sine;
    out[i + half] = b * cosine + a * sine;
  }
  return out;
}

function describeRotation({ scaling, theta, headLength }: TinyDecoder): Rotation {
  const half = headLength / 2;
  const plain = Float64Array.from({ length: half }, (_, i) => theta ** (-i / half));
  const number = (name: string, standard: number) => (scaling?.[name] as number | undefined) ?? standard;
  const factor = number("factor", 1);
  const original = number("original_max_position_embeddings", 0);
  switch (scaling?.rope_type ?? scaling?.type ?? "default") {
    case "linear":
      return { frequencies: plain.map((frequency) => frequency / factor), scale: 1 };
    case "llama3": {
      const low = number("low_freq_factor", 1);
      const high = number("high_freq_factor", 4);
      const stretch = (frequency: number): number => {
        const turns = (original * frequency) / (2 * Math.PI);
        if (turns > high) return frequency;
        if (turns < low) return frequency / factor;
        const smooth = (turns - low) / (high - low);
        return ((1 - smooth) * frequency) / factor + smooth * frequency;
      };
      return { frequencies: plain.map(stretch), scale: 1 };
    }
    case "yarn": {
      const place = (turns: number) =>
        (headLength * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
      const low = Math.max(0, Math.floor(place(number("beta_fast", 32))));
      const high = Math.min(headLength - 1, Math.ceil(place(number("beta_slow", 1))));
      const mix = (frequency: number, i: number): number => {
        const ramp = Math.min(1, Math.max(0, (i - low) / Math.max(high - low, 0.001)));
        return (frequency / factor) * ramp + frequency * (1 - ramp);
      };
      return { frequencies: plain.map(mix), scale: 0.1 * Math.log(factor) + 1 };
    }
    default:
      return { frequencies: plain, scale: 1 };
  }
}

/** Causal; several heads of Q share one of K and V. */
function attend(q: Float64Array[][], k: Float64Array[][], v: Float64Array[][], model: TinyDecoder): Float64Array[] {
  const shared = model.heads / model.keyValueHeads;
  return q.map((heads, position) => {
    const out = new Float64Array(model.heads * model.headLength);
    for (const [head, query] of heads.entries()) {
      const of = Math.floor(head / shared);
      const scores = Array.from({ length: position + 1 }, (_, at) => {
        const key = k[at]?.[of] as Float64Array;
        return query.reduce((sum, value, i) => sum + value * (key[i] as number), 0) / Math.sqrt(model.headLength);
      });
      const largest = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - largest));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (const [at, weight] of weights.entries()) {
        const value = v[at]?.[of] as Float64Array;
        for (let i = 0; i < model.headLength; i++) {
          const place = head * model.headLength + i;
          out[place] = (out[place] as number) + (weight / total) * (value[i] as number);
        }
      }
    }
    return out;
  });
}
