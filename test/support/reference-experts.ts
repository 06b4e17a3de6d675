// The feed-forward parts of a layer from their definition, in plain TypeScript and double precision: one with a gate, and
// experts that a router chooses among. It shares no code with the converter or with llama.cpp.

import type { TinyExperts } from "./tiny-experts.ts";

/** The product with the matrix of this name, within the layer. */
export type Linear = (name: string, input: Float64Array) => Float64Array;

export function feedForward(
  linear: Linear,
  [gate, up, down]: readonly [gate: string, up: string, down: string],
  input: Float64Array,
): Float64Array {
  const opened = linear(gate, input);
  const values = linear(up, input);
  return linear(
    down,
    opened.map((value, i) => (value / (1 + Math.exp(-value))) * (values[i] as number)),
  );
}

/**
 * Shares of all experts by softmax; each token takes the largest. Mixtral and Qwen3 make those taken sum up to one, Qwen2
 * leaves them, and has an expert for every token beside them, with a gate of its own. Null where there are no experts.
 */
export function mixExperts(
  { architecture, experts }: { architecture: string; experts?: TinyExperts },
  input: Float64Array,
  linear: Linear,
): Float64Array | null {
  if (experts === undefined) return null;
  const isMixtral = architecture === "MixtralForCausalLM";
  const at = isMixtral ? "block_sparse_moe." : "mlp.";
  const names = isMixtral ? ["w1", "w3", "w2"] : ["gate_proj", "up_proj", "down_proj"];
  const expert = (name: string) =>
    feedForward(linear, names.map((projection) => `${at}${name}.${projection}`) as [string, string, string], input);
  const raised = linear(`${at}gate`, input).map(Math.exp);
  const total = raised.reduce((sum, value) => sum + value, 0);
  const shares = [...raised].map((value, index) => ({ index, share: value / total }));
  const taken = shares.sort((a, b) => b.share - a.share).slice(0, experts.used);
  const sum = architecture === "Qwen2MoeForCausalLM" ? 1 : taken.reduce((all, { share }) => all + share, 0);
  const mixed = new Float64Array(input.length);
  const mix = (values: Float64Array, share: number) => {
    for (let i = 0; i < mixed.length; i++) mixed[i] = (mixed[i] as number) + share * (values[i] as number);
  };
  for (const { index, share } of taken) mix(expert(`experts.${index}`), share / sum);
  if (experts.sharedInner > 0) {
    const [gate = 0] = linear(`${at}shared_expert_gate`, input);
    mix(expert("shared_expert"), 1 / (1 + Math.exp(-gate)));
  }
  return mixed;
}
