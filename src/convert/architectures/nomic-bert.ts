// Nomic's BERT (nomic-embed-text v1 and v1.5): rotary positions, gated feed-forward parts, no biases.

import { damagedModel } from "../json-file.ts";
import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { noteModules } from "../pooling.ts";
import { countTokenTypes } from "../token-types.ts";
import { readLayers } from "./checks.ts";
import { checkHeads, type EncoderSizes, EncoderSlots, encoderMetadata, unsupportedEncoder } from "./encoder.ts";

export const NOMIC_BERT_NAMES: readonly string[] = ["NomicBertModel"];

/** The heads for masked words. */
const IGNORED = /^cls\.|position_ids$/;
/** config.json promises more positions than the models were trained with, unless RoPE is scaled. */
const TRAINED_STANDARD = 2048;

export function planNomicBert(input: PlanInput): ModelPlan {
  const sizes = readSizes(input);
  const { config } = input;
  const slots = new EncoderSlots("nomic-bert", "bert.", IGNORED);
  addSlots(slots, sizes, config.requiredSize("vocab_size"), countTokenTypes(config));
  const theta = config.number("rotary_emb_base") ?? 10_000;
  if (theta <= 0) throw config.wrong("rotary_emb_base", "a number over 0");
  const metadata = encoderMetadata("nomic-bert", sizes, input, [["rope.freq_base", { type: "f32", value: theta }]]);
  const tensors = slots.lay(input.weights);
  return { architecture: "nomic-bert", metadata, tensors, notes: noteModules(input.folder) };
}

function readSizes({ config }: PlanInput): EncoderSizes {
  checkVariant(config);
  const width = config.requiredSize("n_embd");
  const heads = config.requiredSize("n_head");
  checkHeads(config, width, heads);
  if ((width / heads) % 2 !== 0) throw damagedModel(`config.json: heads of ${width / heads} elements can't be rotated`);
  const positions = config.requiredSize("n_positions");
  const trained = config.size("max_trained_positions") ?? TRAINED_STANDARD;
  return {
    vocabulary: config.requiredSize("vocab_size"),
    width,
    inner: config.requiredSize("n_inner"),
    layers: readLayers(config, "n_layer"),
    heads,
    contextLength: Math.min(positions, trained),
    epsilon: config.number("layer_norm_epsilon") ?? 1e-12,
  };
}

/** llama.cpp's graph has one form. */
function checkVariant(config: PlanInput["config"]): void {
  const expected: [field: string, value: unknown][] = [
    ["activation_function", "swiglu"],
    ["causal", false],
    ["qkv_proj_bias", false],
    ["mlp_fc1_bias", false],
    ["mlp_fc2_bias", false],
    ["prenorm", false],
    ["rotary_emb_fraction", 1],
    ["rotary_emb_interleaved", false],
    ["rotary_emb_scale_base", null],
  ];
  if (config.size("moe_every_n_layers") !== null)
    throw unsupportedEncoder("Nomic's mixture of experts is not converted");
  for (const [field, value] of expected) {
    if (config.value(field) === value) continue;
    const stated = JSON.stringify(config.value(field)).slice(0, 40);
    throw unsupportedEncoder(`config.json says ${stated} for "${field}"; llama.cpp has ${JSON.stringify(value)} here`);
  }
}

function addSlots(
  slots: EncoderSlots,
  { width, inner, ...sizes }: EncoderSizes,
  vocabulary: number,
  types: number,
): void {
  slots.add("embeddings.word_embeddings.weight", "token_embd.weight", [vocabulary, width]);
  slots.add("embeddings.token_type_embeddings.weight", "token_types.weight", [types, width], { required: false });
  slots.addNorm("emb_ln", "token_embd_norm", width);
  for (let layer = 0; layer < sizes.layers; layer++) {
    const from = `encoder.layers.${layer}.`;
    const to = `blk.${layer}.`;
    slots.add(`${from}attn.Wqkv.weight`, `${to}attn_qkv.weight`, [3 * width, width]);
    slots.add(`${from}attn.out_proj.weight`, `${to}attn_output.weight`, [width, width]);
    slots.addNorm(`${from}norm1`, `${to}attn_output_norm`, width);
    slots.add(`${from}mlp.fc11.weight`, `${to}ffn_up.weight`, [inner, width]);
    slots.add(`${from}mlp.fc12.weight`, `${to}ffn_gate.weight`, [inner, width]);
    slots.add(`${from}mlp.fc2.weight`, `${to}ffn_down.weight`, [width, inner]);
    slots.addNorm(`${from}norm2`, `${to}layer_output_norm`, width);
  }
}
