// The forward pass of BERT and its kin from their definition, in plain TypeScript and double precision, over the tensors
// as transformers names and lays them out. It shares no code with the converter or with llama.cpp.

import type { NamedTensor } from "./tiny-decoders.ts";
import type { TinyEncoder } from "./tiny-encoders.ts";

export type Tensors = ReadonlyMap<string, NamedTensor>;

/** States of all tokens behind the last layer. */
export function computeStates(model: TinyEncoder, tensors: Tensors, tokens: readonly number[]): Float64Array[] {
  const weights = new Weights(tensors, model.prefix);
  const { width, epsilon } = model;
  let states = tokens.map((token, position) => {
    const word = weights.row("embeddings.word_embeddings", token, width);
    const place = weights.row("embeddings.position_embeddings", position + model.positionOffset, width);
    const kind = weights.row("embeddings.token_type_embeddings", 0, width);
    return weights.norm("embeddings.LayerNorm", sum(sum(word, place), kind), epsilon);
  });
  for (let layer = 0; layer < model.layers; layer++) {
    const at = `encoder.layer.${layer}.`;
    const [query, key, value] = ["query", "key", "value"].map((name) =>
      states.map((state) => weights.linear(`${at}attention.self.${name}`, state)),
    ) as [Float64Array[], Float64Array[], Float64Array[]];
    const attended = attend(query, key, value, model.heads);
    states = states.map((state, i) => {
      const out = weights.linear(`${at}attention.output.dense`, attended[i] as Float64Array);
      const middle = weights.norm(`${at}attention.output.LayerNorm`, sum(state, out), epsilon);
      const inner = weights.linear(`${at}intermediate.dense`, middle).map(gelu);
      return weights.norm(`${at}output.LayerNorm`, sum(middle, weights.linear(`${at}output.dense`, inner)), epsilon);
    });
  }
  return states;
}

/** One vector of length one. */
export function poolStates(states: readonly Float64Array[], pooling: "mean" | "cls"): Float64Array {
  const first = states[0] as Float64Array;
  // The length is one afterwards, so a sum is as good as a mean.
  const pooled = pooling === "cls" ? first : states.slice(1).reduce(sum, first);
  const length = Math.sqrt(pooled.reduce((total, value) => total + value * value, 0));
  return pooled.map((value) => value / length);
}

/** A reranker's score: of the first token, through two layers. */
export function computeScore(model: TinyEncoder, tensors: Tensors, tokens: readonly number[]): number {
  const first = computeStates(model, tensors, tokens)[0] as Float64Array;
  const [inner, outer, prefix] = model.architecture.includes("Roberta")
    ? ["classifier.dense", "classifier.out_proj", ""]
    : ["pooler.dense", "classifier", model.prefix];
  const hidden = new Weights(tensors, prefix).linear(inner, first).map(Math.tanh);
  return new Weights(tensors, "").linear(outer, hidden)[0] as number;
}

export class Weights {
  readonly #tensors: Tensors;
  readonly #prefix: string;

  constructor(tensors: Tensors, prefix: string) {
    this.#tensors = tensors;
    this.#prefix = prefix;
  }

  get(name: string): NamedTensor {
    const tensor = this.#tensors.get(this.#prefix + name);
    if (tensor === undefined) throw new Error(`the model has no ${this.#prefix}${name}`);
    return tensor;
  }

  row(name: string, index: number, width: number): Float64Array {
    return Float64Array.from(this.get(`${name}.weight`).values.subarray(index * width, (index + 1) * width));
  }

  linear(name: string, input: Float64Array): Float64Array {
    const { shape, values } = this.get(`${name}.weight`);
    const bias = this.#tensors.get(`${this.#prefix}${name}.bias`)?.values;
    const [rows = 0, columns = 0] = shape;
    return Float64Array.from({ length: rows }, (_, row) => {
      let total = bias?.[row] ?? 0;
      for (let i = 0; i < columns; i++) total += (values[row * columns + i] as number) * (input[i] as number);
      return total;
    });
  }

  norm(name: string, input: Float64Array, epsilon: number): Float64Array {
    const weight = this.get(`${name}.weight`).values;
    const bias = this.#tensors.get(`${this.#prefix}${name}.bias`)?.values;
    const mean = input.reduce((total, value) => total + value, 0) / input.length;
    const variance = input.reduce((total, value) => total + (value - mean) ** 2, 0) / input.length;
    const scale = 1 / Math.sqrt(variance + epsilon);
    return input.map((value, i) => (value - mean) * scale * (weight[i] as number) + (bias?.[i] ?? 0));
  }
}

export const sum = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value + (b[i] as number));

/** Each token attends to all, or to those within `reach` on either side. */
export function attend(
  q: Float64Array[],
  k: Float64Array[],
  v: Float64Array[],
  heads: number,
  reach: number | null = null,
): Float64Array[] {
  return q.map((query, place) => {
    const out = new Float64Array(query.length);
    const length = query.length / heads;
    for (let head = 0; head < heads; head++) {
      const [from, to] = [head * length, (head + 1) * length];
      const scores = k.map((key, at) =>
        reach !== null && Math.abs(at - place) > reach
          ? Number.NEGATIVE_INFINITY
          : dot(query, key, from, to) / Math.sqrt(length),
      );
      const largest = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - largest));
      const total = weights.reduce((all, weight) => all + weight, 0);
      for (const [at, weight] of weights.entries()) {
        const value = v[at] as Float64Array;
        for (let i = from; i < to; i++) out[i] = (out[i] as number) + (weight / total) * (value[i] as number);
      }
    }
    return out;
  });
}

function dot(a: Float64Array, b: Float64Array, from: number, to: number): number {
  let total = 0;
  for (let i = from; i < to; i++) total += (a[i] as number) * (b[i] as number);
  return total;
}

/** By the error function, as transformers computes "gelu". */
export const gelu = (x: number): number => (x * (1 + erf(x / Math.SQRT2))) / 2;

/** e^(-x²) times a series of positive terms, which loses nothing where the alternating one would. */
function erf(x: number): number {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  let term = size;
  let total = term;
  for (let n = 1; term > total * 1e-17; n++) {
    term *= (2 * size * size) / (2 * n + 1);
    total += term;
  }
  return (Math.sign(x) * 2 * Math.exp(-size * size) * total) / Math.sqrt(Math.PI);
}
