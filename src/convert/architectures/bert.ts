// BERT: embedding models (MiniLM, BGE, E5, GTE), and cross-encoders that rank by the first token.

import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { noteModules } from "../pooling.ts";
import { countTokenTypes } from "../token-types.ts";
import { readLayers } from "./checks.ts";
import {
  checkGelu,
  checkHeads,
  type EncoderSizes,
  EncoderSlots,
  encoderMetadata,
  unsupportedEncoder,
} from "./encoder.ts";
import { addRankHead, noteRankHead, type RankHead, readRankHead } from "./rank-head.ts";

export const BERT_NAMES: readonly string[] = ["BertModel", "BertForMaskedLM", "BertForSequenceClassification"];

export interface BertSizes extends EncoderSizes {
  tokenTypes: number;
  /** Rows of the position embeddings before the first that is used. */
  positionOffset: number;
}

/** Positions counted out, and heads for what a model was trained with: masked words and following sentences. */
const IGNORED = /^cls\.|position_ids$/;
/** Without a classifier nothing follows the pooler, which no embedding goes through. */
const IGNORED_HEADLESS = /^cls\.|position_ids$|(^|\.)pooler\./;
const CLASSIFIER_NAMES: readonly string[] = ["classifier.weight"];

export function planBert(input: PlanInput): ModelPlan {
  const sizes = readBertSizes(input, 0);
  const head = readRankHead(input, CLASSIFIER_NAMES);
  const slots = new EncoderSlots("bert", "bert.", head === null ? IGNORED_HEADLESS : IGNORED);
  addBertSlots(slots, sizes);
  if (head !== null) addHeadSlots(slots, sizes, head);
  const tensors = slots.lay(input.weights);
  const metadata = encoderMetadata("bert", sizes, input);
  addRankHead(metadata, "bert", head);
  const notes = [...noteModules(input.folder), ...noteRankHead(head), ...noteTokenTypes(sizes, head)];
  return { architecture: "bert", metadata, tensors, notes };
}

export function readBertSizes({ config }: PlanInput, positionOffset: number): BertSizes {
  const width = config.requiredSize("hidden_size");
  const heads = config.requiredSize("num_attention_heads");
  checkHeads(config, width, heads);
  checkGelu(config, "hidden_act");
  const positions = config.text("position_embedding_type") ?? "absolute";
  if (positions !== "absolute") {
    throw unsupportedEncoder(`config.json asks for positions of the kind "${positions.slice(0, 40)}", not "absolute"`);
  }
  if (config.truth("is_decoder") === true) throw unsupportedEncoder("config.json says that this BERT is a decoder");
  const contextLength = (config.size("max_position_embeddings") ?? 512) - positionOffset;
  if (contextLength < 1) throw config.wrong("max_position_embeddings", `over ${positionOffset}`);
  return {
    vocabulary: config.requiredSize("vocab_size"),
    width,
    inner: config.requiredSize("intermediate_size"),
    layers: readLayers(config, "num_hidden_layers"),
    heads,
    contextLength,
    epsilon: config.number("layer_norm_eps") ?? 1e-12,
    tokenTypes: countTokenTypes(config),
    positionOffset,
  };
}

export function addBertSlots(slots: EncoderSlots, { vocabulary, width, inner, ...sizes }: BertSizes): void {
  slots.add("embeddings.word_embeddings.weight", "token_embd.weight", [vocabulary, width]);
  const { positionOffset } = sizes;
  const places = [sizes.contextLength + positionOffset, width] as const;
  slots.addPositions("embeddings.position_embeddings.weight", "position_embd.weight", positionOffset, places);
  slots.add("embeddings.token_type_embeddings.weight", "token_types.weight", [sizes.tokenTypes, width]);
  slots.addNorm("embeddings.LayerNorm", "token_embd_norm", width);
  for (let layer = 0; layer < sizes.layers; layer++) {
    const from = `encoder.layer.${layer}.`;
    const to = `blk.${layer}.`;
    slots.addLinear(`${from}attention.self.query`, `${to}attn_q`, width, width);
    slots.addLinear(`${from}attention.self.key`, `${to}attn_k`, width, width);
    slots.addLinear(`${from}attention.self.value`, `${to}attn_v`, width, width);
    slots.addLinear(`${from}attention.output.dense`, `${to}attn_output`, width, width);
    slots.addNorm(`${from}attention.output.LayerNorm`, `${to}attn_output_norm`, width);
    slots.addLinear(`${from}intermediate.dense`, `${to}ffn_up`, inner, width);
    slots.addLinear(`${from}output.dense`, `${to}ffn_down`, width, inner);
    slots.addNorm(`${from}output.LayerNorm`, `${to}layer_output_norm`, width);
  }
}

/** The pooler and the classifier: llama.cpp ranks by the first token, through a layer with tanh and one without. */
function addHeadSlots(slots: EncoderSlots, { width }: BertSizes, { labels }: RankHead): void {
  slots.addLinear("pooler.dense", "cls", width, width);
  slots.placeLinear("classifier", "cls.output", labels.length, width);
}

function noteTokenTypes({ tokenTypes }: BertSizes, head: RankHead | null): string[] {
  if (head === null || tokenTypes < 2) return [];
  return [
    "the model tells query and document apart by token types, which llama.cpp does not: its scores differ from the original's",
  ];
}
