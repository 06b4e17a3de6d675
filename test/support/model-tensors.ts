// The tensors and the metadata of each model shape, with the scale of every random weight.
// The scales are the point. Attention weighs enough for one wrong KV row to change the output within a few
// tokens, and no more: flash attention computes in float16, so its share is the share of rounding noise.
// The token embedding weighs little, so that a tied output does not just repeat the last token.

import type { MetadataValue, TensorType } from "./gguf-writer.ts";
import { describeHead, planHead } from "./head-tensors.ts";
import type { ModelSpec } from "./model-specs.ts";
import { type AddTensors, describeRecurrent, planMamba, planShortConv } from "./recurrent-tensors.ts";

export interface WeightPlan {
  name: string;
  shape: number[];
  type: TensorType;
  deviation: number;
  mean: number;
  /** Added to the elements (row, row + column). */
  diagonals?: readonly { column: number; value: number }[];
  /** Rows of tokens that are not readable text are this much smaller. */
  dimUnreadable: boolean;
}

type Metadata = [key: string, value: MetadataValue][];

const SCORE_DEVIATION = 1;
/** Of the logits: 4 keeps the best token near one half of the probability with a vocabulary of 128k. */
const LOGIT_DEVIATION = 4;

/** Of attention beside the feed-forward, by default: at 1, one sequence in ten meets a near-tie in 48 tokens. */
const ATTENTION_GAIN = 0.4;

/** What a layer adds, against the token embedding: with less, a tied output repeats the last token. */
const BRANCH_GAIN = 1.5;

export function describeArchitecture(spec: ModelSpec): Metadata {
  const key = (name: string) => `${spec.shape}.${name}`;
  const count = (name: string, value: number): [string, MetadataValue] => [key(name), { type: "u32", value }];
  const real = (name: string, value: number): [string, MetadataValue] => [key(name), { type: "f32", value }];
  const metadata: Metadata = [
    ["general.architecture", { type: "string", value: spec.shape }],
    ["general.name", { type: "string", value: `random ${spec.shape} for tests` }],
    count("block_count", layersInAll(spec)),
    count("context_length", spec.contextLength),
    count("embedding_length", spec.width),
    count("feed_forward_length", spec.feedForward),
    count("attention.head_count", spec.heads),
  ];
  if (spec.shape === "mamba" || spec.shape === "lfm2") metadata.push(...describeRecurrent(spec));
  else metadata.push(count("attention.head_count_kv", spec.kvHeads));
  if (spec.shape === "bert") {
    metadata.push(
      real("attention.layer_norm_epsilon", 1e-12),
      [key("attention.causal"), { type: "bool", value: false }],
      count("pooling_type", spec.pooling === "rank" ? 4 : spec.pooling === "cls" ? 2 : 1),
    );
    return metadata;
  }
  metadata.push(
    real("attention.layer_norm_rms_epsilon", 1e-6),
    real("rope.freq_base", 10_000),
    count("rope.dimension_count", spec.headSize),
    count("attention.key_length", spec.headSize),
    count("attention.value_length", spec.headSize),
  );
  if (spec.shape === "gemma3") {
    metadata.push(
      count("attention.sliding_window", spec.slidingWindow ?? 32),
      count("attention.sliding_window_pattern", 2),
      real("final_logit_softcapping", 30),
    );
  }
  if (spec.shape === "mimo2") {
    const values = Array.from({ length: layersInAll(spec) }, (_, layer) => layer % 2);
    metadata.push(count("attention.sliding_window", spec.slidingWindow ?? 32), [
      key("attention.sliding_window_pattern"),
      { type: "array", of: "u32", values },
    ]);
  }
  metadata.push(...describeHead(spec));
  return metadata;
}

function layersInAll({ layers, head }: ModelSpec): number {
  return head === undefined ? layers : layers + 1;
}

/** Those that the file has tensors of. */
function layersHere(spec: ModelSpec): number {
  return spec.head?.isElsewhere === true ? spec.layers : layersInAll(spec);
}

export function planWeights(spec: ModelSpec, vocabularySize: number): WeightPlan[] {
  const plan: WeightPlan[] = [];
  const matrix = (name: string, columns: number, rows: number, gain: number, type = spec.weights) =>
    plan.push({
      name,
      shape: [columns, rows],
      type,
      deviation: gain / Math.sqrt(columns),
      mean: 0,
      dimUnreadable: false,
    });
  const vector = (name: string, length: number, mean: number, deviation = 0.2 * Math.max(mean, 0.5)) =>
    plan.push({ name, shape: [length], type: "F32", deviation, mean, dimUnreadable: false });

  plan.push({
    name: "token_embd.weight",
    shape: [spec.width, vocabularySize],
    type: spec.embeddings,
    deviation: spec.shape === "bert" ? 1 : LOGIT_DEVIATION / Math.sqrt(spec.width),
    mean: 0,
    dimUnreadable: spec.shape !== "bert",
  });
  const block = (name: string, shape: number[], mean: number, deviation: number) =>
    plan.push({ name, shape, type: "F32", deviation, mean, dimUnreadable: false });
  if (spec.shape === "bert") planEncoder(spec, matrix, vector);
  else if (spec.shape === "mamba") planMamba(spec, { matrix, vector, block });
  else if (spec.shape === "lfm2") planShortConv(spec, { matrix, vector, block });
  else planDecoder(spec, matrix, vector);
  if (spec.head !== undefined) plan.push(...planHead(spec, spec.head, vocabularySize));
  return plan;
}

type AddMatrix = AddTensors["matrix"];
type AddVector = AddTensors["vector"];

function planDecoder(spec: ModelSpec, matrix: AddMatrix, vector: AddVector): void {
  const normalisesHeads = spec.shape !== "llama" && spec.shape !== "mimo2";
  const normalisesOutputs = spec.shape === "gemma3";
  const queryWidth = spec.heads * spec.headSize;
  const keyWidth = spec.kvHeads * spec.headSize;
  const scoreGain = Math.sqrt(SCORE_DEVIATION);
  // Gemma multiplies embeddings by the root of the width, so its branches have to be as much stronger.
  const attention = spec.attentionGain ?? ATTENTION_GAIN;
  vector("output_norm.weight", spec.width, 1);
  for (let layer = 0; layer < layersHere(spec); layer++) {
    const gain = layer < spec.layers ? spec.branchGain : spec.head?.branchGain;
    const branch = (normalisesOutputs ? Math.sqrt(spec.width) : 1) * (gain ?? BRANCH_GAIN);
    const name = (part: string) => `blk.${layer}.${part}.weight`;
    vector(name("attn_norm"), spec.width, 1);
    if (spec.shape === "mimo2") matrix(name("attn_qkv"), spec.width, queryWidth + 2 * keyWidth, scoreGain);
    else {
      matrix(name("attn_q"), spec.width, queryWidth, normalisesHeads ? 1 : scoreGain);
      matrix(name("attn_k"), spec.width, keyWidth, normalisesHeads ? 1 : scoreGain);
    }
    const finer =
      spec.finerWeights !== undefined && isFinerLayer(layer, spec.layers) ? spec.finerWeights : spec.weights;
    if (spec.shape !== "mimo2") matrix(name("attn_v"), spec.width, keyWidth, 1, finer);
    matrix(name("attn_output"), queryWidth, spec.width, normalisesOutputs ? 1 : attention * branch);
    if (normalisesHeads) {
      vector(name("attn_q_norm"), spec.headSize, scoreGain);
      vector(name("attn_k_norm"), spec.headSize, scoreGain);
    }
    if (normalisesOutputs) vector(name("post_attention_norm"), spec.width, branch * attention);
    vector(name("ffn_norm"), spec.width, 1);
    matrix(name("ffn_gate"), spec.width, spec.feedForward, 1.5);
    matrix(name("ffn_up"), spec.width, spec.feedForward, 1);
    matrix(name("ffn_down"), spec.feedForward, spec.width, normalisesOutputs ? 1 : branch, finer);
    if (normalisesOutputs) vector(name("post_ffw_norm"), spec.width, branch);
  }
}

/** As `use_more_bits` of llama.cpp's quantiser: the first and the last eighth, and every third between. */
function isFinerLayer(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}

function planEncoder(spec: ModelSpec, matrix: AddMatrix, vector: AddVector): void {
  const width = spec.width;
  matrix("position_embd.weight", width, spec.contextLength, 0.5 * Math.sqrt(width), "F32");
  matrix("token_types.weight", width, 2, 0.3 * Math.sqrt(width), "F32");
  const norm = (name: string) => {
    vector(`${name}.weight`, width, 1);
    vector(`${name}.bias`, width, 0, 0.1);
  };
  norm("token_embd_norm");
  for (let layer = 0; layer < spec.layers; layer++) {
    const linear = (part: string, columns: number, rows: number, gain: number) => {
      matrix(`blk.${layer}.${part}.weight`, columns, rows, gain);
      vector(`blk.${layer}.${part}.bias`, rows, 0, 0.1);
    };
    linear("attn_q", width, width, Math.sqrt(SCORE_DEVIATION));
    linear("attn_k", width, width, Math.sqrt(SCORE_DEVIATION));
    linear("attn_v", width, width, 1);
    linear("attn_output", width, width, spec.attentionGain ?? ATTENTION_GAIN);
    norm(`blk.${layer}.attn_output_norm`);
    linear("ffn_up", width, spec.feedForward, 1);
    linear("ffn_down", spec.feedForward, width, 1);
    norm(`blk.${layer}.layer_output_norm`);
  }
  if (spec.pooling !== "rank") return;
  matrix("cls.weight", width, width, 1);
  vector("cls.bias", width, 0, 0.1);
  matrix("cls.output.weight", width, 1, 1);
  vector("cls.output.bias", 1, 0, 0.1);
}
