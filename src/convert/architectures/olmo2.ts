// OLMo 2: Llama's form with the norms behind each part of a layer instead of before it, and one norm over all heads of Q
// and one over those of K. OLMo 3 is the same with a window in some of the layers, whose positions are never stretched.

import { COMPUTED_TENSORS } from "../../formats/convertible.ts";
import type { Fields } from "../json-file.ts";
import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { checkHeadsFillWidth } from "./checks.ts";
import { type DecoderKind, type DecoderSizes, planDecoder, readSizes } from "./decoder.ts";
import { SlotTable } from "./slots.ts";

const OLMO3_NAME = "Olmo3ForCausalLM";
export const OLMO2_NAMES: readonly string[] = ["Olmo2ForCausalLM", OLMO3_NAME];

const OLMO2: DecoderKind = {
  name: "olmo2",
  permutesHeads: false,
  takesRopeFactors: false,
  hasHeadNorms: false,
  biases: [],
  defaults: { contextLength: 2_048, keyValueHeads: null, headLength: "unset", epsilon: 1e-5 },
};

export function planOlmo2(input: PlanInput): ModelPlan {
  const sizes = readSizes(input.config, OLMO2);
  checkHeadsFillWidth(sizes);
  if (input.config.list("architectures")[0] !== OLMO3_NAME) return planDecoder(OLMO2, sizes, input, listSlots(sizes));
  const windows = readWindows(input.config, sizes.layers);
  // What would be noted of a window that is not applied.
  const rest = { ...input, config: input.config.with({ sliding_window: null }) };
  const plan = planDecoder(OLMO2, sizes, rest, listSlots(sizes));
  const window = input.config.size("sliding_window") ?? 4_096;
  plan.metadata.set("olmo2.attention.sliding_window", { type: "u32", value: window });
  plan.metadata.set("olmo2.attention.sliding_window_pattern", { type: "array", of: "bool", values: windows });
  return plan;
}

/** Whether a layer sees a window only: all but each fourth, where config.json is silent. */
function readWindows(config: Fields, layers: number): boolean[] {
  const stated = config.list("layer_types");
  if (stated.length === 0) return Array.from({ length: layers }, (_, layer) => (layer + 1) % 4 !== 0);
  const isKnown = stated.every((type) => type === "sliding_attention" || type === "full_attention");
  if (stated.length !== layers || !isKnown) {
    throw config.wrong("layer_types", `"sliding_attention" or "full_attention" for each of the ${layers} layers`);
  }
  return stated.map((type) => type === "sliding_attention");
}

function listSlots({ vocabulary, width, inner, layers, heads, keyValueHeads, headLength }: DecoderSizes): SlotTable {
  const slots = new SlotTable({ architecture: OLMO2.name, prefix: "model.", ignored: COMPUTED_TENSORS });
  slots.place("model.embed_tokens.weight", "token_embd.weight", [vocabulary, width]);
  slots.place("model.norm.weight", "output_norm.weight", [width]);
  // llama.cpp does not take the embeddings in its place.
  slots.place("lm_head.weight", "output.weight", [vocabulary, width]);
  for (let layer = 0; layer < layers; layer++) {
    const place = (source: string, target: string, shape: readonly number[]) =>
      slots.place(`model.layers.${layer}.${source}.weight`, `blk.${layer}.${target}.weight`, shape);
    place("self_attn.q_proj", "attn_q", [heads * headLength, width]);
    place("self_attn.k_proj", "attn_k", [keyValueHeads * headLength, width]);
    place("self_attn.v_proj", "attn_v", [keyValueHeads * headLength, width]);
    place("self_attn.o_proj", "attn_output", [width, heads * headLength]);
    place("self_attn.q_norm", "attn_q_norm", [heads * headLength]);
    place("self_attn.k_norm", "attn_k_norm", [keyValueHeads * headLength]);
    place("post_attention_layernorm", "post_attention_norm", [width]);
    place("mlp.gate_proj", "ffn_gate", [inner, width]);
    place("mlp.up_proj", "ffn_up", [inner, width]);
    place("mlp.down_proj", "ffn_down", [width, inner]);
    place("post_feedforward_layernorm", "post_ffw_norm", [width]);
  }
  return slots;
}
