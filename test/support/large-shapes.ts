// Models in the sizes that people run, as files that take no disk space: a header as theirs and a hole for the weights.
// For what is asked of sizes alone; they can be laid out, not run.

import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { type MetadataValue, type TensorPlan, type TensorType, writeSparseGguf } from "./gguf-writer.ts";
import type { LargeShape } from "./large-specs.ts";
import { readTokenizer } from "./tokenizers.ts";

const FOLDER = join(import.meta.dir, "../../build/models");

/** The path of the file, written at the first call. */
export function writeLargeShape(shape: LargeShape): string {
  const path = join(FOLDER, `large-${shape.name}.gguf`);
  mkdirSync(dirname(path), { recursive: true });
  const tokenizer = readTokenizer(shape.tokenizer);
  const partial = `${path}.${process.pid}.partial`;
  writeSparseGguf(partial, {
    metadata: [...describe(shape), ...tokenizer.metadata],
    tensors: planTensors(shape, tokenizer.vocabularySize),
  });
  if (existsSync(partial)) renameSync(partial, path);
  return path;
}

function describe(shape: LargeShape): [string, MetadataValue][] {
  const key = (name: string) => `${shape.architecture}.${name}`;
  const u32 = (name: string, value: number): [string, MetadataValue] => [key(name), { type: "u32", value }];
  const f32 = (name: string, value: number): [string, MetadataValue] => [key(name), { type: "f32", value }];
  const { state, latent, attends } = shape;
  const entries: [string, MetadataValue][] = [
    ["general.architecture", { type: "string", value: shape.architecture }],
    u32("block_count", shape.layers),
    u32("context_length", shape.trained),
    u32("embedding_length", shape.width),
    u32("feed_forward_length", shape.feedForward),
    u32("attention.head_count", shape.heads),
    f32("attention.layer_norm_rms_epsilon", 1e-6),
  ];
  if (state === undefined || shape.kvHeads > 0) {
    entries.push(
      attends === undefined
        ? u32("attention.head_count_kv", latent === undefined ? shape.kvHeads : 1)
        : [
            key("attention.head_count_kv"),
            {
              type: "array",
              of: "u32",
              values: Array.from({ length: shape.layers }, (_, layer) => (attends(layer) ? shape.kvHeads : 0)),
            },
          ],
      u32("rope.dimension_count", latent?.rope ?? shape.headSize),
      u32("attention.key_length", latent === undefined ? shape.headSize : latent.keyValue + latent.rope),
      u32("attention.value_length", latent === undefined ? shape.headSize : latent.keyValue),
    );
  }
  if (latent !== undefined) {
    entries.push(
      u32("attention.kv_lora_rank", latent.keyValue),
      u32("attention.key_length_mla", shape.headSize + latent.rope),
      u32("attention.value_length_mla", shape.headSize),
      ...(latent.query === undefined ? [] : [u32("attention.q_lora_rank", latent.query)]),
    );
  }
  entries.push(...describeOthers(shape, u32));
  return entries;
}

type AddCount = (name: string, value: number) => [string, MetadataValue];

function describeOthers({ experts, window, state, attends }: LargeShape, u32: AddCount): [string, MetadataValue][] {
  const entries: [string, MetadataValue][] = [];
  if (experts !== undefined) {
    entries.push(
      u32("expert_count", experts.count),
      u32("expert_used_count", experts.used),
      u32("expert_feed_forward_length", experts.feedForward),
      ...(experts.shared === undefined
        ? []
        : [u32("expert_shared_count", 1), u32("leading_dense_block_count", experts.denseLayers ?? 0)]),
    );
  }
  if (window !== undefined) entries.push(u32("attention.sliding_window", window.tokens));
  if (attends !== undefined) entries.push(u32("shortconv.l_cache", 3));
  if (state !== undefined) {
    entries.push(
      u32("ssm.conv_kernel", state.conv),
      u32("ssm.inner_size", state.inner),
      u32("ssm.state_size", state.size),
      u32("ssm.time_step_rank", state.rank),
      ...(state.groups === undefined ? [] : [u32("ssm.group_count", state.groups)]),
    );
  }
  return entries;
}

function planTensors(shape: LargeShape, vocabulary: number): TensorPlan[] {
  const { width, weights, output } = shape;
  const plan: TensorPlan[] = [];
  const add = (name: string, dims: number[], type: TensorType = "F32") => plan.push({ name, shape: dims, type });
  add("token_embd.weight", [width, vocabulary], output ?? weights);
  add(shape.architecture === "lfm2" ? "token_embd_norm.weight" : "output_norm.weight", [width]);
  if (shape.architecture !== "gemma3" && shape.architecture !== "lfm2") {
    add("output.weight", [width, vocabulary], output ?? weights);
  }
  for (let layer = 0; layer < shape.layers; layer++) {
    const tensor = (part: string, dims: number[], type: TensorType = "F32") => add(`blk.${layer}.${part}`, dims, type);
    tensor("attn_norm.weight", [width]);
    if (shape.state !== undefined) planState(shape, tensor);
    else if (shape.attends?.(layer) === false) planConvolution(shape, tensor);
    else planAttention(shape, tensor);
    if (shape.state === undefined) planFeedForward(shape, layer, tensor);
  }
  return plan;
}

type AddTensor = (part: string, dims: number[], type?: TensorType) => void;

function planAttention(
  { width, heads, kvHeads, headSize, weights, latent, ...shape }: LargeShape,
  add: AddTensor,
): void {
  if (latent !== undefined) {
    const { keyValue, rope, query } = latent;
    if (query === undefined) add("attn_q.weight", [width, heads * (headSize + rope)], weights);
    else {
      add("attn_q_a.weight", [width, query], weights);
      add("attn_q_a_norm.weight", [query]);
      add("attn_q_b.weight", [query, heads * (headSize + rope)], weights);
    }
    add("attn_kv_a_mqa.weight", [width, keyValue + rope], weights);
    add("attn_kv_a_norm.weight", [keyValue]);
    add("attn_k_b.weight", [headSize, keyValue, heads], "F16");
    add("attn_v_b.weight", [keyValue, headSize, heads], "F16");
    add("attn_output.weight", [heads * headSize, width], weights);
    return;
  }
  add("attn_q.weight", [width, heads * headSize], weights);
  add("attn_k.weight", [width, kvHeads * headSize], weights);
  add("attn_v.weight", [width, kvHeads * headSize], weights);
  add("attn_output.weight", [heads * headSize, width], weights);
  if (shape.normsHeads === true) {
    add("attn_q_norm.weight", [headSize]);
    add("attn_k_norm.weight", [headSize]);
  }
  if (shape.architecture === "gemma3") add("post_attention_norm.weight", [width]);
}

function planConvolution({ width, weights }: LargeShape, add: AddTensor): void {
  add("shortconv.conv.weight", [3, width]);
  add("shortconv.in_proj.weight", [width, 3 * width], weights);
  add("shortconv.out_proj.weight", [width, width], weights);
}

function planFeedForward(shape: LargeShape, layer: number, add: AddTensor): void {
  const { width, feedForward, weights, experts } = shape;
  add("ffn_norm.weight", [width]);
  if (shape.architecture === "gemma3") add("post_ffw_norm.weight", [width]);
  if (experts === undefined || layer < (experts.denseLayers ?? 0)) {
    add("ffn_gate.weight", [width, feedForward], weights);
    add("ffn_up.weight", [width, feedForward], weights);
    add("ffn_down.weight", [feedForward, width], weights);
    return;
  }
  add("ffn_gate_inp.weight", [width, experts.count]);
  add("ffn_gate_exps.weight", [width, experts.feedForward, experts.count], weights);
  add("ffn_up_exps.weight", [width, experts.feedForward, experts.count], weights);
  add("ffn_down_exps.weight", [experts.feedForward, width, experts.count], weights);
  if (experts.shared === undefined) return;
  add("ffn_gate_shexp.weight", [width, experts.shared], weights);
  add("ffn_up_shexp.weight", [width, experts.shared], weights);
  add("ffn_down_shexp.weight", [experts.shared, width], weights);
}

function planState({ width, weights, state }: LargeShape, add: AddTensor): void {
  if (state === undefined) return;
  const { inner, size, rank, conv } = state;
  add("ssm_in.weight", [width, 2 * inner], weights);
  add("ssm_conv1d.weight", [conv, inner]);
  add("ssm_conv1d.bias", [inner]);
  add("ssm_x.weight", [inner, rank + 2 * size], weights);
  add("ssm_dt.weight", [rank, inner], "F32");
  add("ssm_dt.bias", [inner]);
  add("ssm_a", [size, inner]);
  add("ssm_d", [inner]);
  add("ssm_out.weight", [inner, width], weights);
}
