// Mixtral: Llama's form with experts in place of the feed-forward part. Of each token's experts the weights are made to
// sum up to one, as llama.cpp's graph of this form does.

import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { readSizes } from "./decoder.ts";
import { readExpertCounts, stackExperts } from "./experts.ts";
import { LLAMA, planLlamaForm } from "./llama.ts";
import type { SlotTable } from "./slots.ts";

export const MIXTRAL_NAMES: readonly string[] = ["MixtralForCausalLM"];

const FORM = {
  ...LLAMA,
  defaults: { contextLength: 131_072, keyValueHeads: 8, headLength: "unset", theta: 1e6, epsilon: 1e-5 },
} as const;
const EXPERTS = { count: "num_local_experts", standard: { count: 8, used: 2 } };

export function planMixtral(input: PlanInput): ModelPlan {
  const { config, weights } = input;
  const { layers, width, inner } = readSizes(config, FORM);
  const counts = readExpertCounts(config, EXPERTS, layers, weights);
  // The second are the names that newer versions of transformers have while a model runs.
  const isNewer = weights.has("model.layers.0.mlp.gate.weight");
  const [gate, down, up] = isNewer ? (["gate_proj", "down_proj", "up_proj"] as const) : (["w1", "w2", "w3"] as const);
  const place = (slots: SlotTable, layer: number) => {
    const from = `model.layers.${layer}.${isNewer ? "mlp" : "block_sparse_moe"}.`;
    const to = `blk.${layer}.`;
    const name = (projection: string) => (expert: number) => `${from}experts.${expert}.${projection}.weight`;
    slots.place(`${from}gate.weight`, `${to}ffn_gate_inp.weight`, [counts.count, width]);
    stackExperts(slots, counts.count, [
      { name: name(gate), target: `${to}ffn_gate_exps.weight`, rows: inner, columns: width },
      { name: name(down), target: `${to}ffn_down_exps.weight`, rows: width, columns: inner },
      { name: name(up), target: `${to}ffn_up_exps.weight`, rows: inner, columns: width },
    ]);
  };
  return planLlamaForm({ ...FORM, experts: { counts, place } }, input);
}
