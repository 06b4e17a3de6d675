// The steps that forward passes are made of, in plain TypeScript and double precision. They share no code with the
// converter or with llama.cpp.

import type { NamedTensor } from "./tiny-decoders.ts";

export class Tensors {
  readonly #tensors: ReadonlyMap<string, NamedTensor>;

  constructor(tensors: ReadonlyMap<string, NamedTensor>) {
    this.#tensors = tensors;
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  get(name: string): NamedTensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw new Error(`the model has no ${name}`);
    return tensor;
  }

  /** A row of the embeddings for each token. */
  embed(name: string, tokens: readonly number[], scale = 1): Float64Array[] {
    const { shape, values } = this.get(name);
    const width = shape[1] ?? 0;
    return tokens.map((token) =>
      Float64Array.from(values.subarray(token * width, (token + 1) * width), (v) => v * scale),
    );
  }

  linear(name: string, input: Float64Array): Float64Array {
    const bias = this.#tensors.get(`${name}.bias`);
    const out = multiply(this.get(`${name}.weight`).values, input);
    return bias === undefined ? out : out.map((value, i) => value + (bias.values[i] as number));
  }

  /** `offset`: what is added to the stored weights. */
  norm(name: string, input: Float64Array, epsilon: number, offset = 0): Float64Array {
    const { values } = this.get(`${name}.weight`);
    const mean = input.reduce((sum, value) => sum + value * value, 0) / input.length;
    const scale = 1 / Math.sqrt(mean + epsilon);
    return input.map((value, i) => value * scale * ((values[i] as number) + offset));
  }

  /** Down(activation(gate) · up). */
  gated(name: string, input: Float64Array, activate: (value: number) => number): Float64Array {
    const up = this.linear(`${name}.up_proj`, input);
    const gate = this.linear(`${name}.gate_proj`, input);
    return this.linear(
      `${name}.down_proj`,
      gate.map((value, i) => activate(value) * (up[i] as number)),
    );
  }
}

/** Rows of a matrix times a vector. */
export function multiply(rows: ArrayLike<number>, input: Float64Array): Float64Array {
  const columns = input.length;
  const out = new Float64Array(rows.length / columns);
  for (let row = 0; row < out.length; row++) {
    let sum = 0;
    for (let i = 0; i < columns; i++) sum += (rows[row * columns + i] as number) * (input[i] as number);
    out[row] = sum;
  }
  return out;
}

export const silu = (value: number): number => value / (1 + Math.exp(-value));
export const geluTanh = (value: number): number =>
  0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)));

export function sum(a: Float64Array, b: Float64Array, scale = 1): Float64Array {
  return a.map((value, i) => value + scale * (b[i] as number));
}

export function softmax(values: readonly number[]): number[] {
  const largest = Math.max(...values);
  const weights = values.map((value) => Math.exp(value - largest));
  const total = weights.reduce((all, weight) => all + weight, 0);
  return weights.map((weight) => weight / total);
}

export function cutHeads(values: Float64Array, length: number): Float64Array[] {
  return Array.from({ length: values.length / length }, (_, head) => values.slice(head * length, (head + 1) * length));
}

export interface Rotation {
  /** Angle per position of each pair; the rest of a head is left as it is. */
  frequencies: readonly number[];
  /** Factor of sines and cosines. */
  scale: number;
  /** Element i turns with its neighbour; else with the one half of the rotated part further. */
  neighbours?: boolean;
}

export function plainRotation(theta: number, length: number, factor = 1): Rotation {
  const frequencies = Array.from({ length: length / 2 }, (_, i) => theta ** ((-2 * i) / length) / factor);
  return { frequencies, scale: 1 };
}

/** YaRN's frequencies: fast pairs as they are, slow ones divided, and a ramp between. */
export function yarnFrequencies(
  theta: number,
  length: number,
  scaling: { factor: number; original: number; fast?: number; slow?: number },
): number[] {
  const { factor, original, fast = 32, slow = 1 } = scaling;
  const place = (turns: number) => (length * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const low = Math.max(0, Math.floor(place(fast)));
  const high = Math.min(length - 1, Math.ceil(place(slow)));
  return plainRotation(theta, length).frequencies.map((frequency, i) => {
    const ramp = Math.min(1, Math.max(0, (i - low) / Math.max(high - low, 0.001)));
    return (frequency / factor) * ramp + frequency * (1 - ramp);
  });
}

export function rotate(head: Float64Array, position: number, rotation: Rotation): Float64Array {
  const { frequencies, scale, neighbours = false } = rotation;
  const out = head.slice();
  for (const [i, frequency] of frequencies.entries()) {
    const [x, y] = neighbours ? [2 * i, 2 * i + 1] : [i, i + frequencies.length];
    const [a, b] = [head[x] as number, head[y] as number];
    const cosine = Math.cos(position * frequency) * scale;
    const sine = Math.sin(position * frequency) * scale;
    out[x] = a * cosine - b * sine;
    out[y] = b * cosine + a * sine;
  }
  return out;
}

export interface Attention {
  /** Of the products of queries and keys. */
  scale: number;
  /** How many positions back are seen, with one's own. */
  window?: number | null;
  /** Everything is seen, or with a window half of it to each side. */
  bothWays?: boolean;
  /** Scores are bent to stay within ±cap. */
  softCap?: number | null;
  /** Of each head: a score that takes its share of the weights and gives nothing. */
  sinks?: ArrayLike<number> | null;
}

/** Causal; by position and head. Several heads of Q share one of K and V. */
export function attend(
  q: Float64Array[][],
  k: Float64Array[][],
  v: Float64Array[][],
  { scale, window = null, softCap = null, sinks = null, bothWays = false }: Attention,
): Float64Array[] {
  const shared = (q[0]?.length ?? 0) / (k[0]?.length ?? 1);
  return q.map((heads, position) => {
    const reach = window === null ? q.length : bothWays ? Math.floor(window / 2) : window - 1;
    const from = Math.max(0, position - reach);
    const to = bothWays ? Math.min(q.length - 1, position + reach) : position;
    const parts = heads.map((query, head) => {
      const of = Math.floor(head / shared);
      const scores = Array.from({ length: to + 1 - from }, (_, i) => {
        const key = k[from + i]?.[of] as Float64Array;
        const score = query.reduce((total, value, at) => total + value * (key[at] as number), 0) * scale;
        return softCap === null ? score : softCap * Math.tanh(score / softCap);
      });
      const out = new Float64Array(v[0]?.[0]?.length ?? 0);
      const sink = sinks === null ? [] : [sinks[head] as number];
      for (const [i, weight] of softmax([...scores, ...sink])
        .slice(0, scores.length)
        .entries()) {
        const value = v[from + i]?.[of] as Float64Array;
        for (let at = 0; at < out.length; at++) out[at] = (out[at] as number) + weight * (value[at] as number);
      }
      return out;
    });
    return Float64Array.from(parts.flatMap((part) => [...part]));
  });
}

/** The largest, first ones first. */
export function topIndices(values: readonly number[], count: number): number[] {
  return values
    .map((value, index) => ({ value, index }))
    .sort((a, b) => b.value - a.value)
    .slice(0, count)
    .map(({ index }) => index);
}
