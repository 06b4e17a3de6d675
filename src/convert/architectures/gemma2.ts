// Gemma 2: norms that are stored less one, before and behind both parts of a layer; soft caps; a window in every other
// layer; GELU. The output head is the embeddings. What Gemma 3 has in common with it is exported.

import { COMPUTED_TENSORS } from "../../formats/convertible.ts";
import type { Fields } from "../json-file.ts";
import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { planRope } from "../rope-scaling.ts";
import { checkActivation, checkLayerTypes, refuseVariant, requireNumber } from "./checks.ts";
import { type DecoderSizes, readSizes } from "./decoder.ts";
import { KeyList } from "./key-list.ts";
import { SlotTable } from "./slots.ts";

export const GEMMA2_NAMES: readonly string[] = ["Gemma2ForCausalLM"];

const NAME = "gemma2";
const DEFAULTS = { contextLength: 8_192, keyValueHeads: 4, headLength: 256 };
/** The 27B model, by which llama.cpp tells it: its queries are scaled by another length than that of its heads. */
const LAYERS_27B = 46;
/** llama.cpp's own, and that of all published models: not written, as llama.cpp's converter does not. */
const THETA = 10_000;

export function planGemma2(input: PlanInput): ModelPlan {
  const { config } = input;
  const sizes = readSizes(config, { defaults: DEFAULTS });
  checkActivation(config, "hidden_activation", ["gelu_pytorch_tanh"]);
  checkLayerTypes(config, sizes.layers, 2);
  const facts = { headLength: sizes.headLength, trainedContext: sizes.contextLength };
  const rope = planRope(config, { ...facts, thetaDefault: THETA, takesFactors: false });
  const keys = new KeyList(NAME);
  keys.u32("context_length", sizes.contextLength);
  keys.u32("embedding_length", sizes.width);
  keys.u32("block_count", sizes.layers);
  keys.u32("feed_forward_length", sizes.inner);
  keys.u32("attention.head_count", sizes.heads);
  keys.u32("attention.head_count_kv", sizes.keyValueHeads);
  keys.f32("attention.layer_norm_rms_epsilon", config.number("rms_norm_eps") ?? 1e-6);
  keys.u32("attention.key_length", sizes.headLength);
  keys.u32("attention.value_length", sizes.headLength);
  keys.fileType(input.fileType);
  keys.f32("attn_logit_softcapping", requireNumber(config, "attn_logit_softcapping", 50));
  keys.f32("final_logit_softcapping", requireNumber(config, "final_logit_softcapping", 30));
  keys.u32("attention.sliding_window", config.size("sliding_window") ?? 4_096);
  if (rope.theta !== THETA || rope.entries.length > 1) keys.rope(rope);
  const notes = [...rope.notes, ...noteQueryScale(config, sizes, LAYERS_27B)];
  const slots = listGemmaSlots(NAME, sizes);
  dropTiedHead(slots, sizes, config);
  return { architecture: NAME, metadata: keys.entries, tensors: slots.lay(input.weights), notes };
}

/** llama.cpp reads no output head for Gemma 2; some saved the embeddings again under its name. */
function dropTiedHead(slots: SlotTable, { vocabulary, width }: DecoderSizes, config: Fields): void {
  if (config.truth("tie_word_embeddings") === false) {
    throw refuseVariant(
      "the model has an output head of its own; llama.cpp takes the embeddings for this architecture",
    );
  }
  const sources = [{ name: "lm_head.weight", shape: [vocabulary, width] }];
  slots.add({ sources, required: false, make: () => [] });
}

/** llama.cpp goes by the number of layers, and not by config.json. */
export function noteQueryScale(config: Fields, sizes: DecoderSizes, layers27B: number): string[] {
  const stated = config.number("query_pre_attn_scalar") ?? 256;
  const applied = sizes.layers === layers27B ? Math.floor(sizes.width / sizes.heads) : sizes.headLength;
  if (stated === applied) return [];
  return [`config.json scales queries by the root of ${stated}; llama.cpp takes ${applied}, and answers may differ`];
}

/** Everything but the output head. */
export function listGemmaSlots(name: string, sizes: DecoderSizes): SlotTable {
  const { width, inner, headLength, heads, keyValueHeads } = sizes;
  const slots = new SlotTable({ architecture: name, prefix: "model.", ignored: COMPUTED_TENSORS });
  const norm = (from: string, to: string) => slots.place(`${from}.weight`, `${to}.weight`, [width], { map: addOne });
  slots.place("model.embed_tokens.weight", "token_embd.weight", [sizes.vocabulary, width]);
  norm("model.norm", "output_norm");
  for (let layer = 0; layer < sizes.layers; layer++) {
    const from = `model.layers.${layer}.`;
    const to = `blk.${layer}.`;
    norm(`${from}input_layernorm`, `${to}attn_norm`);
    norm(`${from}post_attention_layernorm`, `${to}post_attention_norm`);
    norm(`${from}pre_feedforward_layernorm`, `${to}ffn_norm`);
    norm(`${from}post_feedforward_layernorm`, `${to}post_ffw_norm`);
    const project = (source: string, target: string, rows: number, columns: number) =>
      slots.place(`${from}${source}.weight`, `${to}${target}.weight`, [rows, columns]);
    project("self_attn.q_proj", "attn_q", heads * headLength, width);
    project("self_attn.k_proj", "attn_k", keyValueHeads * headLength, width);
    project("self_attn.v_proj", "attn_v", keyValueHeads * headLength, width);
    project("self_attn.o_proj", "attn_output", width, heads * headLength);
    project("mlp.gate_proj", "ffn_gate", inner, width);
    project("mlp.up_proj", "ffn_up", inner, width);
    project("mlp.down_proj", "ffn_down", width, inner);
  }
  return slots;
}

export function addOne(values: Float32Array): void {
  for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) + 1;
}
