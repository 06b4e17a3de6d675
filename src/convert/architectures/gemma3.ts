// Gemma 3: Gemma 2 without soft caps on scores, with norms on the heads of Q and K, and a window in five of six layers,
// which have a base of rotation of their own. Of a model that also sees images only the text part is taken.

import type { Fields } from "../json-file.ts";
import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { planRope, type RopePlan } from "../rope-scaling.ts";
import type { Weight } from "../weights.ts";
import { checkActivation, checkLayerTypes, refuseVariant } from "./checks.ts";
import { type DecoderSizes, readSizes } from "./decoder.ts";
import { addOne, listGemmaSlots, noteQueryScale } from "./gemma2.ts";
import { KeyList } from "./key-list.ts";

export const GEMMA3_NAMES: readonly string[] = ["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"];

/** What transformers assumes; the published models of text and images leave much of it out. */
export const GEMMA3_DEFAULTS: Readonly<Record<string, unknown>> = {
  vocab_size: 262_208,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  max_position_embeddings: 131_072,
  sliding_window: 4_096,
};

const NAME = "gemma3";
const LAYERS_27B = 62;
const PERIOD = 6;
const THETA = 1_000_000;
const LOCAL_THETA = 10_000;
/** Parts that make embeddings of images. */
const IMAGE_PARTS = /(^|\.)(vision_tower|vision_model|multi_modal_projector)\./;

export function planGemma3(input: PlanInput): ModelPlan {
  const { config } = input;
  const sizes = readSizes(config, { defaults: { contextLength: 131_072, keyValueHeads: 4, headLength: 256 } });
  checkActivation(config, "hidden_activation", ["gelu_pytorch_tanh"]);
  if (config.number("attn_logit_softcapping") !== null) {
    throw refuseVariant("config.json asks for soft caps on attention, which llama.cpp does not apply to Gemma 3");
  }
  if (config.truth("use_bidirectional_attention") === true) {
    throw refuseVariant("config.json asks for attention in both directions; llama.cpp's Gemma 3 looks back only");
  }
  const isWindowed = checkPattern(config, sizes);
  const { keys, rope } = listGemma3Keys(NAME, sizes, input);
  const cap = config.number("final_logit_softcapping") ?? 0;
  if (cap > 0) keys.f32("final_logit_softcapping", cap);
  if (isWindowed) keys.u32("attention.sliding_window", config.size("sliding_window") ?? 4_096);
  const { weights, notes } = selectText(input.weights);
  notes.push(...rope.notes, ...noteQueryScale(config, sizes, LAYERS_27B));
  const tensors = listGemma3Slots(NAME, sizes).lay(weights);
  return { architecture: NAME, metadata: keys.entries, tensors, notes };
}

/** Those that the embedding model has as well. */
export function listGemma3Keys(
  name: string,
  sizes: DecoderSizes,
  { config, fileType }: PlanInput,
): { keys: KeyList; rope: RopePlan } {
  const rope = planWideRope(config, sizes);
  const keys = new KeyList(name);
  keys.u32("block_count", sizes.layers);
  keys.u32("context_length", sizes.contextLength);
  keys.u32("embedding_length", sizes.width);
  keys.u32("feed_forward_length", sizes.inner);
  keys.u32("attention.head_count", sizes.heads);
  keys.u32("attention.head_count_kv", sizes.keyValueHeads);
  keys.rope(rope);
  keys.f32("rope.freq_base_swa", readLocalTheta(config));
  keys.f32("attention.layer_norm_rms_epsilon", config.number("rms_norm_eps") ?? 1e-6);
  keys.u32("attention.key_length", sizes.headLength);
  keys.u32("attention.value_length", sizes.headLength);
  keys.fileType(fileType);
  return { keys, rope };
}

/** llama.cpp knows one pattern, or none. */
export function checkPattern(config: Fields, { layers }: DecoderSizes): boolean {
  const period = config.size("sliding_window_pattern") ?? config.size("_sliding_window_pattern") ?? PERIOD;
  if (period !== 1 && period !== PERIOD) {
    throw refuseVariant(
      `config.json has a window in all but each ${period}. layer; llama.cpp in all but each ${PERIOD}.`,
    );
  }
  checkLayerTypes(config, layers, period);
  return period !== 1;
}

/** That of the layers without a window: either in its own object, or beside everything else. */
function planWideRope(config: Fields, { headLength, contextLength }: DecoderSizes): RopePlan {
  const full = config.object("rope_parameters")?.object("full_attention") ?? null;
  const stated = full === null ? config : selectRope(config, full);
  return planRope(stated, { headLength, trainedContext: contextLength, thetaDefault: THETA, takesFactors: false });
}

function readLocalTheta(config: Fields): number {
  const sliding = config.object("rope_parameters")?.object("sliding_attention") ?? null;
  const type = sliding?.text("rope_type") ?? "default";
  if (type !== "default") throw refuseVariant(`config.json scales the positions of windows (${type.slice(0, 40)})`);
  const theta = sliding?.number("rope_theta") ?? config.number("rope_local_base_freq") ?? LOCAL_THETA;
  if (theta <= 0) throw config.wrong("rope_local_base_freq", "a number over 0");
  return theta;
}

function selectRope(config: Fields, parameters: Fields): Fields {
  return config.with({ rope_parameters: parameters.values });
}

/** Without the image parts, and without what their presence adds to the names. */
function selectText(weights: ReadonlyMap<string, Weight>): { weights: Map<string, Weight>; notes: string[] } {
  const selected = new Map<string, Weight>();
  for (const weight of weights.values()) {
    if (IMAGE_PARTS.test(weight.name)) continue;
    const name = weight.name.replace("language_model.", "");
    selected.set(weight.name, { ...weight, name });
  }
  const left = weights.size - selected.size;
  const notes = left === 0 ? [] : [`the ${left} tensors that see images are left out: the file answers texts only`];
  return { weights: selected, notes };
}

export function listGemma3Slots(name: string, sizes: DecoderSizes) {
  const slots = listGemmaSlots(name, sizes);
  const { vocabulary, width, headLength } = sizes;
  // Where it is absent, the embeddings serve as the output head.
  slots.place("lm_head.weight", "output.weight", [vocabulary, width], { required: false });
  for (let layer = 0; layer < sizes.layers; layer++) {
    for (const part of ["q_norm", "k_norm"]) {
      const source = `model.layers.${layer}.self_attn.${part}.weight`;
      slots.place(source, `blk.${layer}.attn_${part}.weight`, [headLength], { map: addOne });
    }
  }
  return slots;
}
