// OpenAI's gpt-oss: attention with sinks, every other layer with a window, and in every layer experts whose gates and inner
// projections lie in turn. As published these have four bits a number (MXFP4) and stay so.

import type { ModelPlan, PlanInput, PlannedTensor, Take } from "../model-plan.ts";
import { BLOCK_CODES } from "../stream-blocks.ts";
import { countElements, type Weight } from "../weights.ts";
import { checkLayerTypes, refuseVariant, requireNumber } from "./checks.ts";
import { type DecoderKind, type DecoderSizes, planDecoder, readSizes } from "./decoder.ts";
import type { ExpertCounts } from "./experts.ts";
import { SlotTable } from "./slots.ts";

export const GPT_OSS_NAMES: readonly string[] = ["GptOssForCausalLM"];

const KIND: DecoderKind = {
  name: "gpt-oss",
  permutesHeads: false,
  takesRopeFactors: false,
  hasHeadNorms: false,
  biases: [],
  defaults: { contextLength: 131_072, keyValueHeads: 8, headLength: 64, theta: 150_000, epsilon: 1e-5 },
};

/** Numbers of a block, which has one scale. */
const BLOCK = 2 * BLOCK_CODES;
const WINDOW_PERIOD = 2;
/** Constants of llama.cpp's graph, and of transformers' code. */
const ALPHA = 1.702;
const LIMIT = 7;

/** llama.cpp's numbers of F32, F16 and BF16 files, and of those whose experts are MXFP4. */
const PLAIN_FILE_TYPES: readonly number[] = [0, 1, 32];
const PACKED_FILE_TYPE = 38;

const ROWS: Take = { first: 0, step: 1 };
const GATES: Take = { first: 0, step: 2 };
const UPS: Take = { first: 1, step: 2 };

export function planGptOss(input: PlanInput): ModelPlan {
  const { config, weights } = input;
  const sizes = readSizes(config, KIND);
  checkLayerTypes(config, sizes.layers, WINDOW_PERIOD);
  if ((config.number("swiglu_limit") ?? LIMIT) !== LIMIT)
    throw refuseVariant(`config.json has no swiglu_limit of ${LIMIT}`);
  if ((config.number("swiglu_alpha") ?? ALPHA) !== ALPHA)
    throw refuseVariant(`config.json has no swiglu_alpha of ${ALPHA}`);
  const counts = readCounts(input);
  const isPacked = weights.has("model.layers.0.mlp.experts.gate_up_proj_blocks");
  const slots = new SlotTable({ architecture: KIND.name, prefix: "model.", ignored: /\.rotary_emb\.inv_freq$/ });
  slots.place("model.embed_tokens.weight", "token_embd.weight", [sizes.vocabulary, sizes.width]);
  slots.place("lm_head.weight", "output.weight", [sizes.vocabulary, sizes.width]);
  slots.place("model.norm.weight", "output_norm.weight", [sizes.width]);
  for (let layer = 0; layer < sizes.layers; layer++) {
    const [from, to] = [`model.layers.${layer}.`, `blk.${layer}.`];
    placeAttention(slots, sizes, from, to);
    slots.place(`${from}mlp.router.weight`, `${to}ffn_gate_inp.weight`, [counts.count, sizes.width]);
    slots.place(`${from}mlp.router.bias`, `${to}ffn_gate_inp.bias`, [counts.count]);
    placeBiases(slots, sizes, counts.count, `${from}mlp.experts.`, to);
    (isPacked ? placeBlocks : placePlain)(slots, sizes, counts.count, `${from}mlp.experts.`, to);
  }
  // What it would note of windows does not hold here: this one is applied.
  const rest = { ...input, config: config.with({ sliding_window: null }) };
  const plan = planDecoder({ ...KIND, experts: { counts, place: () => {} } }, sizes, rest, slots);
  const u32 = (key: string, value: number) => plan.metadata.set(`${KIND.name}.${key}`, { type: "u32", value });
  u32("attention.sliding_window", requireNumber(config, "sliding_window", 128));
  u32("expert_feed_forward_length", sizes.inner);
  if (isPacked && PLAIN_FILE_TYPES.includes(input.fileType)) {
    plan.metadata.set("general.file_type", { type: "u32", value: PACKED_FILE_TYPE });
  }
  return { ...plan, tensors: putBlocksFirst(plan.tensors), notes: [...plan.notes, ...noteRamp(input)] };
}

/** As llama.cpp's converter writes them. */
function putBlocksFirst(tensors: readonly PlannedTensor[]): PlannedTensor[] {
  const isBlocks = ({ source }: PlannedTensor) => source.kind === "mxfp4";
  return [...tensors.filter(isBlocks), ...tensors.filter((tensor) => !isBlocks(tensor))];
}

function readCounts({ config }: PlanInput): ExpertCounts {
  const count = config.size("num_local_experts") ?? 128;
  const used = config.size("num_experts_per_tok") ?? 4;
  if (used > count) throw config.wrong("num_experts_per_tok", `at most ${count}, as many as there are experts`);
  return { count, used };
}

function noteRamp({ config }: PlanInput): string[] {
  const scaling = config.object("rope_parameters") ?? config.object("rope_scaling");
  if (scaling?.truth("truncate") !== false) return [];
  return [
    "llama.cpp rounds the bounds of YaRN's ramp to whole pairs, where config.json says that they are not (truncate)",
  ];
}

function placeAttention(slots: SlotTable, sizes: DecoderSizes, from: string, to: string): void {
  const { width, heads, keyValueHeads, headLength } = sizes;
  slots.place(`${from}input_layernorm.weight`, `${to}attn_norm.weight`, [width]);
  slots.place(`${from}post_attention_layernorm.weight`, `${to}post_attention_norm.weight`, [width]);
  slots.place(`${from}self_attn.sinks`, `${to}attn_sinks.weight`, [heads]);
  const projections: readonly [string, string, number, number][] = [
    ["q_proj", "attn_q", heads * headLength, width],
    ["k_proj", "attn_k", keyValueHeads * headLength, width],
    ["v_proj", "attn_v", keyValueHeads * headLength, width],
    ["o_proj", "attn_output", width, heads * headLength],
  ];
  for (const [name, target, rows, columns] of projections) {
    slots.place(`${from}self_attn.${name}.weight`, `${to}${target}.weight`, [rows, columns]);
    slots.place(`${from}self_attn.${name}.bias`, `${to}${target}.bias`, [rows]);
  }
}

function placeBiases(slots: SlotTable, { inner, width }: DecoderSizes, count: number, from: string, to: string): void {
  slots.place(`${from}down_proj_bias`, `${to}ffn_down_exps.bias`, [count, width]);
  const make = ([weight]: readonly Weight[]): PlannedTensor[] => {
    if (weight === undefined) return [];
    const of = (target: string, take: Take): PlannedTensor => ({
      name: `${to}${target}.bias`,
      dims: [inner, count],
      source: { kind: "elements", weight, take },
    });
    return [of("ffn_gate_exps", GATES), of("ffn_up_exps", UPS)];
  };
  slots.add({ sources: [{ name: `${from}gate_up_proj_bias`, shape: [count, 2 * inner] }], required: true, make });
}

/** Of each expert columns come first: rows are inputs. */
function placePlain(slots: SlotTable, { inner, width }: DecoderSizes, count: number, from: string, to: string): void {
  const place = (
    name: string,
    shape: [number, number, number],
    targets: readonly (readonly [string, Take])[],
  ): void => {
    const [, columns, outputs] = shape;
    const make = ([weight]: readonly Weight[]): PlannedTensor[] =>
      weight === undefined
        ? []
        : targets.map(([target, take]) => planTurned(`${to}${target}.weight`, weight, columns, outputs, take));
    slots.add({ sources: [{ name: `${from}${name}`, shape }], required: true, make });
  };
  place(
    "gate_up_proj",
    [count, width, 2 * inner],
    [
      ["ffn_gate_exps", GATES],
      ["ffn_up_exps", UPS],
    ],
  );
  place("down_proj", [count, inner, width], [["ffn_down_exps", ROWS]]);
}

function planTurned(name: string, weight: Weight, columns: number, outputs: number, take: Take): PlannedTensor {
  const [count = 0] = weight.shape;
  const slices = Array.from({ length: count }, (_, expert) => {
    return { weight, fromRow: expert * columns, rows: columns, heads: null };
  });
  return { name, dims: [columns, outputs / take.step, count], source: { kind: "transposed-slices", slices, take } };
}

function placeBlocks(slots: SlotTable, { inner, width }: DecoderSizes, count: number, from: string, to: string): void {
  const place = (name: string, rows: number, columns: number, targets: readonly (readonly [string, Take])[]): void => {
    if (columns % BLOCK !== 0) throw refuseVariant(`rows of ${columns} numbers do not divide into blocks of ${BLOCK}`);
    const make = ([blocks, scales]: readonly Weight[]): PlannedTensor[] =>
      blocks === undefined || scales === undefined
        ? []
        : targets.map(([target, take]) => ({
            name: `${to}${target}.weight`,
            dims: [columns, rows / take.step, count],
            source: { kind: "mxfp4", blocks: checkBytes(blocks), scales: checkBytes(scales), take },
          }));
    const sources = [
      { name: `${from}${name}_blocks`, shape: [count, rows, columns / BLOCK, BLOCK_CODES] },
      { name: `${from}${name}_scales`, shape: [count, rows, columns / BLOCK] },
    ];
    slots.add({ sources, required: true, make });
  };
  place("gate_up_proj", 2 * inner, width, [
    ["ffn_gate_exps", GATES],
    ["ffn_up_exps", UPS],
  ]);
  place("down_proj", width, inner, [["ffn_down_exps", ROWS]]);
}

function checkBytes(weight: Weight): Weight {
  if (weight.dtype === "U8" && countElements(weight.shape) > 0) return weight;
  throw refuseVariant(`the tensor "${weight.name}" has the type ${weight.dtype}, not U8`);
}
