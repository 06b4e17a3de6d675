// The tiny encoders with rotary positions: Nomic's BERT and ModernBERT, as config.json and as tensors.

import type { AddTensor, TinyEncoder } from "./tiny-encoders.ts";

export const NOMIC_THETA = 1_000;
export const MODERN_THETAS = { global: 160_000, local: 10_000 } as const;
/** Tokens of a window, and each how many layers there is none. */
export const MODERN_WINDOW = 8;
export const MODERN_PERIOD = 3;

export function rotaryConfig(model: TinyEncoder): Record<string, unknown> {
  return model.modelType === "nomic_bert" ? nomicConfig(model) : modernConfig(model);
}

function nomicConfig({ architecture, modelType, ...model }: TinyEncoder): Record<string, unknown> {
  return {
    architectures: [architecture],
    model_type: modelType,
    activation_function: "swiglu",
    causal: false,
    layer_norm_epsilon: model.epsilon,
    mlp_fc1_bias: false,
    mlp_fc2_bias: false,
    n_embd: model.width,
    n_head: model.heads,
    n_inner: model.inner,
    n_layer: model.layers,
    n_positions: 8192,
    max_trained_positions: 2048,
    prenorm: false,
    qkv_proj_bias: false,
    rotary_emb_base: NOMIC_THETA,
    rotary_emb_fraction: 1,
    rotary_emb_interleaved: false,
    rotary_emb_scale_base: null,
    type_vocab_size: model.tokenTypes,
    vocab_size: model.vocabulary,
    ...model.config,
  };
}

function modernConfig({ architecture, modelType, ...model }: TinyEncoder): Record<string, unknown> {
  const labels = Array.from({ length: model.labels }, (_, id) => [String(id), `LABEL_${id}`]);
  return {
    architectures: [architecture],
    model_type: modelType,
    hidden_size: model.width,
    intermediate_size: model.inner,
    num_hidden_layers: model.layers,
    num_attention_heads: model.heads,
    vocab_size: model.vocabulary,
    max_position_embeddings: model.positions,
    hidden_activation: "gelu",
    norm_eps: model.epsilon,
    layer_norm_eps: model.epsilon,
    norm_bias: false,
    attention_bias: false,
    mlp_bias: false,
    global_rope_theta: MODERN_THETAS.global,
    local_rope_theta: MODERN_THETAS.local,
    global_attn_every_n_layers: MODERN_PERIOD,
    local_attention: MODERN_WINDOW,
    classifier_pooling: "mean",
    ...(model.labels === 0 ? {} : { id2label: Object.fromEntries(labels) }),
    ...model.config,
  };
}

export function addRotaryTensors(model: TinyEncoder, add: AddTensor): void {
  if (model.modelType === "nomic_bert") addNomicTensors(model, add);
  else addModernTensors(model, add);
}

const spread = (columns: number): number => 1 / Math.sqrt(columns);

function addNomicTensors({ prefix, width, inner, ...model }: TinyEncoder, add: AddTensor): void {
  const norm = (name: string) => {
    add(`${name}.weight`, [width], 1, 0.2);
    add(`${name}.bias`, [width], 0, 0.2);
  };
  add(`${prefix}embeddings.word_embeddings.weight`, [model.vocabulary, width], 0, 1);
  add(`${prefix}embeddings.token_type_embeddings.weight`, [model.tokenTypes, width], 0, 0.5);
  norm(`${prefix}emb_ln`);
  for (let layer = 0; layer < model.layers; layer++) {
    const at = `${prefix}encoder.layers.${layer}.`;
    add(`${at}attn.Wqkv.weight`, [3 * width, width], 0, spread(width));
    add(`${at}attn.out_proj.weight`, [width, width], 0, spread(width));
    add(`${at}mlp.fc11.weight`, [inner, width], 0, spread(width));
    add(`${at}mlp.fc12.weight`, [inner, width], 0, spread(width));
    add(`${at}mlp.fc2.weight`, [width, inner], 0, spread(inner));
    norm(`${at}norm1`);
    norm(`${at}norm2`);
  }
}

function addModernTensors({ prefix, width, inner, labels, ...model }: TinyEncoder, add: AddTensor): void {
  const norm = (name: string) => add(`${name}.weight`, [width], 1, 0.2);
  add(`${prefix}embeddings.tok_embeddings.weight`, [model.vocabulary, width], 0, 1);
  norm(`${prefix}embeddings.norm`);
  norm(`${prefix}final_norm`);
  for (let layer = 0; layer < model.layers; layer++) {
    const at = `${prefix}layers.${layer}.`;
    if (layer > 0) norm(`${at}attn_norm`);
    norm(`${at}mlp_norm`);
    add(`${at}attn.Wqkv.weight`, [3 * width, width], 0, spread(width));
    add(`${at}attn.Wo.weight`, [width, width], 0, spread(width));
    add(`${at}mlp.Wi.weight`, [2 * inner, width], 0, spread(width));
    add(`${at}mlp.Wo.weight`, [width, inner], 0, spread(inner));
  }
  if (labels === 0) return;
  add("head.dense.weight", [width, width], 0, spread(width));
  norm("head.norm");
  add("classifier.weight", [labels, width], 0, spread(width));
  add("classifier.bias", [labels], 0, 0.3);
}
