// What Qwen's two generations with experts have in common: the names of routers and experts, and what of config.json
// llama.cpp's graphs do not compute.

import { AppError } from "../../protocol/errors.ts";
import type { Fields } from "../json-file.ts";
import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { type DecoderKind, planDecoder, readSizes } from "./decoder.ts";
import { type ExpertFields, readExpertCounts, stackExperts } from "./experts.ts";
import type { SlotTable } from "./slots.ts";

export interface QwenExperts {
  counts: ExpertFields;
  /** What transformers assumes where config.json is silent. */
  inner: number;
  /** The same of the expert that every token goes to; null: there is none. */
  sharedInner: number | null;
  /** The weights of a token's experts, in llama.cpp's graph. */
  sumsToOne: boolean;
}

export function planQwenExperts(kind: DecoderKind, input: PlanInput, experts: QwenExperts): ModelPlan {
  const { config, weights } = input;
  refuseVariants(config, kind.name, experts.sumsToOne);
  const sizes = readSizes(config, kind);
  const counts = readExpertCounts(config, experts.counts, sizes.layers, weights);
  const inner = config.size("moe_intermediate_size") ?? experts.inner;
  const sharedInner =
    experts.sharedInner === null ? null : (config.size("shared_expert_intermediate_size") ?? experts.sharedInner);
  const place = (slots: SlotTable, layer: number) => {
    const from = `model.layers.${layer}.mlp.`;
    const to = `blk.${layer}.`;
    slots.place(`${from}gate.weight`, `${to}ffn_gate_inp.weight`, [counts.count, sizes.width]);
    placeExperts(slots, { from, to, count: counts.count, inner, width: sizes.width });
    if (sharedInner !== null) placeShared(slots, { from, to, inner: sharedInner, width: sizes.width });
  };
  const plan = planDecoder({ ...kind, experts: { counts, place } }, sizes, input);
  const u32 = (key: string, value: number) => plan.metadata.set(`${kind.name}.${key}`, { type: "u32", value });
  u32("expert_feed_forward_length", inner);
  if (sharedInner !== null) u32("expert_shared_feed_forward_length", sharedInner);
  return plan;
}

function placeExperts(
  slots: SlotTable,
  { from, to, count, inner, width }: { from: string; to: string; count: number; inner: number; width: number },
): void {
  const name = (projection: string) => (expert: number) => `${from}experts.${expert}.${projection}.weight`;
  stackExperts(slots, count, [
    { name: name("down_proj"), target: `${to}ffn_down_exps.weight`, rows: width, columns: inner },
    { name: name("gate_proj"), target: `${to}ffn_gate_exps.weight`, rows: inner, columns: width },
    { name: name("up_proj"), target: `${to}ffn_up_exps.weight`, rows: inner, columns: width },
  ]);
}

function placeShared(
  slots: SlotTable,
  { from, to, inner, width }: { from: string; to: string; inner: number; width: number },
): void {
  slots.place(`${from}shared_expert_gate.weight`, `${to}ffn_gate_inp_shexp.weight`, [1, width]);
  slots.place(`${from}shared_expert.gate_proj.weight`, `${to}ffn_gate_shexp.weight`, [inner, width]);
  slots.place(`${from}shared_expert.up_proj.weight`, `${to}ffn_up_shexp.weight`, [inner, width]);
  slots.place(`${from}shared_expert.down_proj.weight`, `${to}ffn_down_shexp.weight`, [width, inner]);
}

/** llama.cpp has experts in every layer, and weighs them in one way. */
function refuseVariants(config: Fields, architecture: string, sumsToOne: boolean): void {
  if (config.list("mlp_only_layers").length > 0 || (config.size("decoder_sparse_step") ?? 1) !== 1) {
    throw refuse("config.json has layers without experts, which llama.cpp does not know of this architecture");
  }
  if ((config.truth("norm_topk_prob") ?? false) === sumsToOne) return;
  const claim = `config.json says norm_topk_prob ${!sumsToOne}`;
  throw refuse(`${claim}, where llama.cpp computes ${architecture} as with ${sumsToOne}`);
}

function refuse(message: string): AppError {
  return new AppError({ code: "format_unsupported", message, hint: "The model is a variant that can't be converted." });
}
