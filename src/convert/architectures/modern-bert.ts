// ModernBERT (GTE, Nomic's and IBM's embedders of that form): norms before each part, rotary positions, gated feed-forward
// parts, and a window of neighbours in all layers but every third.

import { damagedModel, type Fields } from "../json-file.ts";
import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { noteModules } from "../pooling.ts";
import { readLayers } from "./checks.ts";
import { checkHeads, type EncoderSizes, EncoderSlots, encoderMetadata, unsupportedEncoder } from "./encoder.ts";
import { addRankHead, noteRankHead, readRankHead } from "./rank-head.ts";

export const MODERN_BERT_NAMES: readonly string[] = [
  "ModernBertModel",
  "ModernBertForMaskedLM",
  "ModernBertForSequenceClassification",
];

const NAME = "modern-bert";
/** The head for masked words. */
const IGNORED = /^decoder\.|^head\./;
const IGNORED_WITH_HEAD = /^decoder\./;
/** transformers' own. */
const PERIOD_STANDARD = 3;

export function planModernBert(input: PlanInput): ModelPlan {
  const { config } = input;
  const sizes = readSizes(config);
  const head = readRankHead(input, ["classifier.weight"]);
  const slots = new EncoderSlots(NAME, "model.", head === null ? IGNORED : IGNORED_WITH_HEAD);
  addSlots(slots, sizes);
  if (head !== null) {
    const pooling = config.text("classifier_pooling") ?? "cls";
    if (pooling !== "mean")
      throw unsupportedEncoder(`the classifier pools by "${pooling}"; llama.cpp does by mean here`);
    slots.table.place("head.dense.weight", "cls.weight", [sizes.width, sizes.width]);
    slots.table.place("head.norm.weight", "cls.norm.weight", [sizes.width]);
    slots.placeLinear("classifier", "cls.output", head.labels.length, sizes.width);
  }
  const metadata = encoderMetadata(NAME, sizes, input, [
    ["rope.freq_base", { type: "f32", value: config.number("global_rope_theta") ?? 160_000 }],
    ["rope.freq_base_swa", { type: "f32", value: config.number("local_rope_theta") ?? 10_000 }],
    ["attention.layer_norm_rms_epsilon", { type: "f32", value: sizes.epsilon }],
  ]);
  addRankHead(metadata, NAME, head);
  metadata.set(`${NAME}.attention.sliding_window`, { type: "u32", value: config.size("local_attention") ?? 128 });
  const period = config.size("global_attn_every_n_layers") ?? PERIOD_STANDARD;
  metadata.set(`${NAME}.attention.sliding_window_pattern`, { type: "u32", value: period });
  metadata.set(`${NAME}.rope.scaling.type`, { type: "string", value: "none" });
  metadata.set(`${NAME}.vocab_size`, { type: "u32", value: sizes.vocabulary });
  metadata.set(`${NAME}.hidden_activation`, { type: "string", value: config.text("hidden_activation") ?? "gelu" });
  const tensors = slots.lay(input.weights);
  return { architecture: NAME, metadata, tensors, notes: [...noteModules(input.folder), ...noteRankHead(head)] };
}

function readSizes(config: Fields): EncoderSizes {
  checkVariant(config);
  const width = config.requiredSize("hidden_size");
  const heads = config.requiredSize("num_attention_heads");
  checkHeads(config, width, heads);
  if ((width / heads) % 2 !== 0) throw damagedModel(`config.json: heads of ${width / heads} elements can't be rotated`);
  return {
    vocabulary: config.requiredSize("vocab_size"),
    width,
    inner: config.requiredSize("intermediate_size"),
    layers: readLayers(config, "num_hidden_layers"),
    heads,
    contextLength: config.size("max_position_embeddings") ?? 8192,
    epsilon: config.number("norm_eps") ?? 1e-5,
  };
}

/** llama.cpp's graph has no biases and two activations. */
function checkVariant(config: Fields): void {
  for (const field of ["attention_bias", "mlp_bias", "norm_bias"]) {
    if (config.truth(field) === true)
      throw unsupportedEncoder(`config.json says true for "${field}"; llama.cpp has none here`);
  }
  const activation = config.text("hidden_activation") ?? "gelu";
  if (activation === "gelu" || activation === "silu") return;
  throw unsupportedEncoder(
    `config.json asks for the activation "${activation.slice(0, 40)}"; gelu and silu are known here`,
  );
}

function addSlots(slots: EncoderSlots, { vocabulary, width, inner, layers }: EncoderSizes): void {
  slots.add("embeddings.tok_embeddings.weight", "token_embd.weight", [vocabulary, width]);
  slots.add("embeddings.norm.weight", "token_embd_norm.weight", [width]);
  slots.add("final_norm.weight", "output_norm.weight", [width]);
  for (let layer = 0; layer < layers; layer++) {
    const from = `layers.${layer}.`;
    const to = `blk.${layer}.`;
    // The first layer follows the norm of the embeddings and has none of its own.
    if (layer > 0) slots.add(`${from}attn_norm.weight`, `${to}attn_norm.weight`, [width]);
    slots.add(`${from}attn.Wqkv.weight`, `${to}attn_qkv.weight`, [3 * width, width]);
    slots.add(`${from}attn.Wo.weight`, `${to}attn_output.weight`, [width, width]);
    slots.add(`${from}mlp_norm.weight`, `${to}ffn_norm.weight`, [width]);
    slots.add(`${from}mlp.Wi.weight`, `${to}ffn_up.weight`, [2 * inner, width]);
    slots.add(`${from}mlp.Wo.weight`, `${to}ffn_down.weight`, [width, inner]);
  }
}
