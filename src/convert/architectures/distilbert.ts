// DistilBERT (msmarco-distilbert and other embedding models): BERT's form by other names, without kinds of text parts.

import type { GgufEntry } from "../../formats/gguf/write-header.ts";
import type { Fields } from "../json-file.ts";
import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { noteModules } from "../pooling.ts";
import { readLayers } from "./checks.ts";
import {
  checkGelu,
  checkHeads,
  type EncoderSizes,
  EncoderSlots,
  encoderMetadata,
  unsupportedEncoder,
} from "./encoder.ts";

export const DISTILBERT_NAMES: readonly string[] = ["DistilBertModel", "DistilBertForMaskedLM"];

/** Positions counted out, and the head for masked words. */
const IGNORED = /^vocab_|position_ids$/;
/** Of no model is it another one. */
const EPSILON = 1e-12;

export function planDistilBert(input: PlanInput): ModelPlan {
  const sizes = readSizes(input.config);
  const slots = new EncoderSlots("bert", "distilbert.", IGNORED);
  addSlots(slots, sizes);
  const tensors = slots.lay(input.weights);
  const metadata = encoderMetadata("bert", sizes, input);
  const key = "bert.attention.layer_norm_epsilon";
  // llama.cpp's converter writes it before everything else.
  const first: [string, GgufEntry] = [key, { type: "f32", value: EPSILON }];
  metadata.delete(key);
  return { architecture: "bert", metadata: new Map([first, ...metadata]), tensors, notes: noteModules(input.folder) };
}

function readSizes(config: Fields): EncoderSizes {
  const width = config.requiredSize("dim");
  const heads = config.requiredSize("n_heads");
  checkHeads(config, width, heads);
  checkGelu(config, "activation");
  if (config.truth("sinusoidal_pos_embds") === true && config.value("max_position_embeddings") === null) {
    throw unsupportedEncoder("config.json does not say how many positions the model has");
  }
  return {
    vocabulary: config.requiredSize("vocab_size"),
    width,
    inner: config.requiredSize("hidden_dim"),
    layers: readLayers(config, "n_layers"),
    heads,
    contextLength: config.size("max_position_embeddings") ?? 512,
    epsilon: EPSILON,
  };
}

function addSlots(slots: EncoderSlots, { vocabulary, width, inner, layers, contextLength }: EncoderSizes): void {
  slots.add("embeddings.word_embeddings.weight", "token_embd.weight", [vocabulary, width]);
  slots.add("embeddings.position_embeddings.weight", "position_embd.weight", [contextLength, width]);
  slots.addNorm("embeddings.LayerNorm", "token_embd_norm", width);
  for (let layer = 0; layer < layers; layer++) {
    const [from, to] = [`transformer.layer.${layer}.`, `blk.${layer}.`];
    slots.addLinear(`${from}attention.q_lin`, `${to}attn_q`, width, width);
    slots.addLinear(`${from}attention.k_lin`, `${to}attn_k`, width, width);
    slots.addLinear(`${from}attention.v_lin`, `${to}attn_v`, width, width);
    slots.addLinear(`${from}attention.out_lin`, `${to}attn_output`, width, width);
    slots.addNorm(`${from}sa_layer_norm`, `${to}attn_output_norm`, width);
    slots.addLinear(`${from}ffn.lin1`, `${to}ffn_up`, inner, width);
    slots.addLinear(`${from}ffn.lin2`, `${to}ffn_down`, width, inner);
    slots.addNorm(`${from}output_layer_norm`, `${to}layer_output_norm`, width);
  }
}
