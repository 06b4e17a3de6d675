// What forward passes with layer norms and a GELU are made of, in plain TypeScript and double precision. It shares no
// code with the converter or with llama.cpp.

import { attend, multiply, sum, type Tensors } from "./reference-parts.ts";

/** Less the mean, by the deviation; then weight and bias. */
export function layerNorm(tensors: Tensors, name: string, input: Float64Array, epsilon: number): Float64Array {
  const weight = tensors.get(`${name}.weight`).values;
  const bias = tensors.get(`${name}.bias`).values;
  const mean = input.reduce((total, value) => total + value, 0) / input.length;
  const variance = input.reduce((total, value) => total + (value - mean) ** 2, 0) / input.length;
  const scale = 1 / Math.sqrt(variance + epsilon);
  return input.map((value, i) => (value - mean) * scale * (weight[i] as number) + (bias[i] as number));
}

/** A projection that is stored as [inputs, outputs]. */
export function convolve(tensors: Tensors, name: string, input: Float64Array): Float64Array {
  const { shape, values } = tensors.get(`${name}.weight`);
  const [, outputs = 0] = shape;
  const out = Float64Array.from(tensors.get(`${name}.bias`).values);
  for (const [i, value] of input.entries()) {
    for (let o = 0; o < outputs; o++) out[o] = (out[o] as number) + value * (values[i * outputs + o] as number);
  }
  return out;
}

export const gelu = (value: number): number => 0.5 * value * (1 + erf(value / Math.SQRT2));

/** By its series: alternating terms, which 6 keeps small enough for double precision. */
function erf(value: number): number {
  if (Math.abs(value) > 5) return Math.sign(value);
  let term = value;
  let total = value;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total) && n < 200; n++) {
    term *= (-value * value) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

export type Heads = readonly Float64Array[];

/** Every position's heads; what they attend to, side by side. */
export function attendByLength(q: Heads[], k: Heads[], v: Heads[], headLength: number): Float64Array[] {
  const list = (heads: Heads[]) => heads.map((of) => [...of]);
  return attend(list(q), list(k), list(v), { scale: headLength ** -0.5 });
}

export function logitsOf(tensors: Tensors, name: string, state: Float64Array): Float64Array {
  return multiply(tensors.get(name).values, state);
}

export function sumAll(...vectors: readonly Float64Array[]): Float64Array {
  return vectors.reduce((total, vector) => sum(total, vector));
}
