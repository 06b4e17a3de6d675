// Granite with experts: of each layer they lie in two weights, which hold the gates and the inner projections of all, and
// the outer ones. Some have a shared expert beside them.

import type { Fields } from "../json-file.ts";
import type { ModelPlan, PlanInput, PlannedTensor } from "../model-plan.ts";
import type { Weight } from "../weights.ts";
import { type DecoderKind, readSizes } from "./decoder.ts";
import type { ExpertCounts } from "./experts.ts";
import { GRANITE, planGraniteForm } from "./granite.ts";
import type { SlotTable } from "./slots.ts";

export const GRANITE_MOE_NAMES: readonly string[] = ["GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM"];

const FORM: DecoderKind = { ...GRANITE, name: "granitemoe" };

export function planGraniteMoe(input: PlanInput): ModelPlan {
  const { config } = input;
  const { width, inner } = readSizes(config.with({ head_dim: null }), FORM);
  const counts = readCounts(config);
  const shared = config.size("shared_intermediate_size");
  const place = (slots: SlotTable, layer: number) => {
    const from = `model.layers.${layer}.`;
    const to = `blk.${layer}.`;
    slots.place(`${from}block_sparse_moe.router.layer.weight`, `${to}ffn_gate_inp.weight`, [counts.count, width]);
    slots.add({
      sources: [{ name: `${from}block_sparse_moe.input_linear.weight`, shape: [counts.count, 2 * inner, width] }],
      required: true,
      make: ([weight]) => (weight === undefined ? [] : splitGates(weight, counts.count, `${to}ffn_*_exps.weight`)),
    });
    const outer = `${from}block_sparse_moe.output_linear.weight`;
    slots.place(outer, `${to}ffn_down_exps.weight`, [counts.count, width, inner]);
    if (shared === null) return;
    slots.add({
      sources: [{ name: `${from}shared_mlp.input_linear.weight`, shape: [2 * shared, width] }],
      required: true,
      make: ([weight]) => (weight === undefined ? [] : splitGates(weight, 1, `${to}ffn_*_shexp.weight`)),
    });
    slots.place(`${from}shared_mlp.output_linear.weight`, `${to}ffn_down_shexp.weight`, [width, shared]);
  };
  const plan = planGraniteForm({ ...FORM, experts: { counts, place } }, input);
  const key = "granitemoe.expert_shared_feed_forward_length";
  if (shared !== null) plan.metadata.set(key, { type: "u32", value: shared });
  return plan;
}

function readCounts(config: Fields): ExpertCounts {
  const count = config.size("num_local_experts") ?? 8;
  const used = config.size("num_experts_per_tok") ?? 2;
  if (used > count) throw config.wrong("num_experts_per_tok", `at most ${count}, as many as there are experts`);
  return { count, used };
}

/** The rows of each expert are those of its gate, then those of its inner projection. `target`: * stands for which. */
function splitGates(weight: Weight, experts: number, target: string): PlannedTensor[] {
  const [both = 0, width = 0] = weight.shape.slice(-2);
  const rows = both / 2;
  return ["gate", "up"].map((part, i) => ({
    name: target.replace("*", part),
    dims: weight.shape.length === 2 ? [width, rows] : [width, rows, experts],
    source: {
      kind: "slices",
      slices: Array.from({ length: experts }, (_, expert) => {
        return { weight, fromRow: (2 * expert + i) * rows, rows, heads: null };
      }),
    },
  }));
}
