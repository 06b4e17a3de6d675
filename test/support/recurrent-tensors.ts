// The tensors and the metadata of the shapes with a recurrent state: Mamba, which has nothing else, and LFM2, where
// short convolutions and attention take turns. Scales as in model-tensors.ts: a wrong state must change the output soon.

import type { MetadataValue, TensorType } from "./gguf-writer.ts";
import type { ModelSpec } from "./model-specs.ts";

export interface AddTensors {
  matrix: (name: string, columns: number, rows: number, gain: number, type?: TensorType) => void;
  vector: (name: string, length: number, mean: number, deviation?: number) => void;
  /** Always F32. */
  block: (name: string, shape: number[], mean: number, deviation: number) => void;
}

type Metadata = [key: string, value: MetadataValue][];

const CONV_TOKENS = 4;
const STATES = 8;
const STEP_RANK = 4;
/** Tokens that a short convolution sees, its own included. */
const SHORT_CONV_TOKENS = 3;
/** What a layer adds, against the token embedding. */
const BRANCH_GAIN = 1.5;

/** In LFM2, the others are convolutions. */
function attends(layer: number): boolean {
  return layer % 2 === 1;
}

export function describeRecurrent(spec: ModelSpec): Metadata {
  const count = (name: string, value: number): [string, MetadataValue] => [
    `${spec.shape}.${name}`,
    { type: "u32", value },
  ];
  if (spec.shape === "mamba") {
    return [
      count("ssm.conv_kernel", CONV_TOKENS),
      count("ssm.inner_size", 2 * spec.width),
      count("ssm.state_size", STATES),
      count("ssm.time_step_rank", STEP_RANK),
    ];
  }
  const values = Array.from({ length: spec.layers }, (_, layer) => (attends(layer) ? spec.kvHeads : 0));
  return [
    count("shortconv.l_cache", SHORT_CONV_TOKENS),
    ["lfm2.attention.head_count_kv", { type: "array", of: "u32", values }],
  ];
}

export function planMamba(spec: ModelSpec, { matrix, vector, block }: AddTensors): void {
  const inner = 2 * spec.width;
  vector("output_norm.weight", spec.width, 1);
  for (let layer = 0; layer < spec.layers; layer++) {
    const name = (part: string) => `blk.${layer}.${part}`;
    vector(name("attn_norm.weight"), spec.width, 1);
    matrix(name("ssm_in.weight"), spec.width, 2 * inner, 1.5);
    block(name("ssm_conv1d.weight"), [CONV_TOKENS, inner], 0, 0.7);
    vector(name("ssm_conv1d.bias"), inner, 0, 0.1);
    matrix(name("ssm_x.weight"), inner, STEP_RANK + 2 * STATES, 2);
    matrix(name("ssm_dt.weight"), STEP_RANK, inner, 0.3);
    // A step of about a third, and rates well under 1: what was read is still felt some ten tokens later.
    vector(name("ssm_dt.bias"), inner, -1, 0.3);
    block(name("ssm_a"), [STATES, inner], -0.3, 0.08);
    vector(name("ssm_d"), inner, 1);
    matrix(name("ssm_out.weight"), inner, spec.width, BRANCH_GAIN);
  }
}

export function planShortConv(spec: ModelSpec, { matrix, vector, block }: AddTensors): void {
  const keyWidth = spec.kvHeads * spec.headSize;
  vector("token_embd_norm.weight", spec.width, 1);
  for (let layer = 0; layer < spec.layers; layer++) {
    const name = (part: string) => `blk.${layer}.${part}.weight`;
    vector(name("attn_norm"), spec.width, 1);
    if (attends(layer)) {
      matrix(name("attn_q"), spec.width, spec.width, 1);
      matrix(name("attn_k"), spec.width, keyWidth, 1);
      matrix(name("attn_v"), spec.width, keyWidth, 1);
      matrix(name("attn_output"), spec.width, spec.width, BRANCH_GAIN);
      vector(name("attn_q_norm"), spec.headSize, 1);
      vector(name("attn_k_norm"), spec.headSize, 1);
    } else {
      block(name("shortconv.conv"), [SHORT_CONV_TOKENS, spec.width], 0, 0.7);
      matrix(name("shortconv.in_proj"), spec.width, 3 * spec.width, 1);
      matrix(name("shortconv.out_proj"), spec.width, spec.width, BRANCH_GAIN);
    }
    vector(name("ffn_norm"), spec.width, 1);
    matrix(name("ffn_gate"), spec.width, spec.feedForward, 1.5);
    matrix(name("ffn_up"), spec.width, spec.feedForward, 1);
    matrix(name("ffn_down"), spec.feedForward, spec.width, BRANCH_GAIN);
  }
}
