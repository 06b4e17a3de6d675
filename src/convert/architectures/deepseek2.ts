// DeepSeek V2 and V3 (R1 too): queries, and keys with values, pass through narrow layers; a layer's feed-forward part is a
// choice of experts beside shared ones, but for the first layers. llama.cpp keeps only the narrow row of keys and values,
// so their widening weight is split into that of the keys, transposed by head, and that of the values.

import type { Fields } from "../json-file.ts";
import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { planRope, type RopePlan } from "../rope-scaling.ts";
import type { Weight } from "../weights.ts";
import { checkActivation, refuseVariant } from "./checks.ts";
import { type DecoderSizes, readSizes } from "./decoder.ts";
import { type DeepseekSizes, listDeepseekSlots } from "./deepseek2-slots.ts";
import { KeyList } from "./key-list.ts";

export const DEEPSEEK_NAMES: readonly string[] = ["DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM"];

const NAME = "deepseek2";
/** As llama.cpp numbers the ways to weigh experts. */
const GATES = new Map([
  ["softmax", 1],
  ["sigmoid", 2],
]);
/** llama.cpp tells the models that widen queries at once by their number of layers. */
const LITE_LAYERS: readonly number[] = [26, 27];
const LITE_48 = { layers: 48, vocabulary: 128_256 };

export function planDeepseek(input: PlanInput): ModelPlan {
  const { config } = input;
  const isThird = config.list("architectures")[0] === "DeepseekV3ForCausalLM";
  const sizes = readDeepseekSizes(config, isThird, input.weights);
  checkVariant(config, sizes);
  const facts = { headLength: sizes.rotaryLength, trainedContext: sizes.contextLength };
  const rope = planRope(config, { ...facts, thetaDefault: 10_000, takesFactors: false });
  const keys = new KeyList(NAME);
  keys.u32("block_count", sizes.layers);
  keys.u32("context_length", sizes.contextLength);
  keys.u32("embedding_length", sizes.width);
  keys.u32("feed_forward_length", sizes.inner);
  keys.u32("attention.head_count", sizes.heads);
  // Every head reads the same narrow row.
  keys.u32("attention.head_count_kv", 1);
  keys.rope(rope);
  keys.f32("attention.layer_norm_rms_epsilon", config.number("rms_norm_eps") ?? 1e-6);
  const notes = [...rope.notes, ...addExpertChoice(keys, config, sizes, isThird)];
  keys.u32("attention.key_length", sizes.keyValueRank + sizes.rotaryLength);
  keys.u32("attention.value_length", sizes.keyValueRank);
  keys.fileType(input.fileType);
  addShape(keys, config, sizes);
  addYarn(keys, config, rope);
  const { weights, left } = dropNextLayers(input.weights, sizes.layers);
  if (left > 0) notes.push(`the ${left} tensors that guess further tokens (MTP) are left out`);
  return { architecture: NAME, metadata: keys.entries, tensors: listDeepseekSlots(sizes, config).lay(weights), notes };
}

function readDeepseekSizes(config: Fields, isThird: boolean, weights: ReadonlyMap<string, Weight>): DeepseekSizes {
  const contextLength = isThird ? 4_096 : 2_048;
  // Heads have lengths of their own here, so what readSizes makes of them is not used.
  const base: DecoderSizes = readSizes(config.with({ head_dim: 2, num_key_value_heads: null }), {
    defaults: { contextLength, keyValueHeads: null, headLength: "unset" },
  });
  const rotaryLength = config.size("qk_rope_head_dim") ?? 64;
  if (rotaryLength % 2 !== 0) throw config.wrong("qk_rope_head_dim", "an even number");
  const experts = config.size("n_routed_experts") ?? (isThird ? 256 : 64);
  // Every expert is looked for by name, so a folder must have as many tensors at least.
  if (experts > weights.size) throw config.wrong("n_routed_experts", `at most ${weights.size}, the number of tensors`);
  const sizes: DeepseekSizes = {
    ...base,
    // Null stands for none, and silence for what is usual.
    queryRank: Object.hasOwn(config.values, "q_lora_rank") ? config.size("q_lora_rank") : 1_536,
    keyValueRank: config.size("kv_lora_rank") ?? 512,
    plainLength: config.size("qk_nope_head_dim") ?? 128,
    rotaryLength,
    valueLength: config.size("v_head_dim") ?? 128,
    denseLayers: config.number("first_k_dense_replace") ?? (isThird ? 3 : 0),
    experts,
    expertInner: config.size("moe_intermediate_size") ?? (isThird ? 2_048 : 1_407),
    sharedExperts: config.size("n_shared_experts") ?? (isThird ? 1 : 2),
    hasChoiceBias: isThird,
  };
  if (!Number.isInteger(sizes.denseLayers) || sizes.denseLayers < 0 || sizes.denseLayers > base.layers) {
    throw config.wrong("first_k_dense_replace", `a whole number up to the ${base.layers} layers`);
  }
  return sizes;
}

/** What llama.cpp goes by without asking, or does not compute. */
function checkVariant(config: Fields, { layers, vocabulary, queryRank }: DeepseekSizes): void {
  checkActivation(config, "hidden_act", ["silu", "swish"]);
  if (config.truth("rope_interleave") === false) {
    throw refuseVariant("config.json turns the halves of a head against each other; llama.cpp turns neighbours");
  }
  if ((config.number("moe_layer_freq") ?? 1) !== 1) {
    throw refuseVariant("config.json has experts in some of the later layers only; llama.cpp expects them in all");
  }
  const isLite = LITE_LAYERS.includes(layers) || (layers === LITE_48.layers && vocabulary === LITE_48.vocabulary);
  if (isLite !== (queryRank === null)) {
    const has = queryRank === null ? "no narrow layer for queries" : "a narrow layer for queries";
    throw refuseVariant(`the model has ${layers} layers and ${has}, which llama.cpp does not expect together`);
  }
}

function addExpertChoice(keys: KeyList, config: Fields, { experts }: DeepseekSizes, isThird: boolean): string[] {
  const used = config.requiredSize("num_experts_per_tok");
  if (used > experts) throw config.wrong("num_experts_per_tok", `at most ${experts}, as many as there are experts`);
  keys.u32("expert_count", experts);
  keys.u32("expert_used_count", used);
  const groups = config.size("n_group") ?? (isThird ? 8 : 1);
  const usedGroups = config.size("topk_group") ?? (isThird ? 4 : 1);
  if (experts % groups !== 0 || (groups > 1 && groups >= experts)) {
    throw config.wrong("n_group", `a divisor of the ${experts} experts`);
  }
  if (usedGroups > groups) throw config.wrong("topk_group", `at most ${groups}, as many as there are groups`);
  // Where all groups are used, nothing is chosen by them.
  const isLimited = groups > 1 && usedGroups < groups;
  if (isLimited || (groups === 1 && config.size("n_group") !== null)) {
    keys.u32("expert_group_count", groups);
    keys.u32("expert_group_used_count", usedGroups);
  }
  const gate = config.text("scoring_func") ?? (isThird ? "sigmoid" : null);
  const number = gate === null ? null : GATES.get(gate);
  if (number === undefined) throw refuseVariant(`config.json weighs experts by "${gate?.slice(0, 40)}"`);
  if (number !== null) keys.u32("expert_gating_func", number);
  if (isThird || !isLimited) return [];
  return ["llama.cpp chooses groups of experts by their two best, DeepSeek V2 by the best: answers may differ"];
}

function addShape(keys: KeyList, config: Fields, sizes: DeepseekSizes): void {
  keys.u32("leading_dense_block_count", sizes.denseLayers);
  keys.u32("vocab_size", sizes.vocabulary);
  if (sizes.queryRank !== null) keys.u32("attention.q_lora_rank", sizes.queryRank);
  keys.u32("attention.kv_lora_rank", sizes.keyValueRank);
  keys.u32("attention.key_length_mla", sizes.plainLength + sizes.rotaryLength);
  keys.u32("attention.value_length_mla", sizes.valueLength);
  keys.u32("expert_feed_forward_length", sizes.expertInner);
  keys.u32("expert_shared_count", sizes.sharedExperts);
  const isThird = sizes.hasChoiceBias;
  keys.f32("expert_weights_scale", config.number("routed_scaling_factor") ?? (isThird ? 2.5 : 1));
  if (config.truth("norm_topk_prob") ?? isThird) keys.truth("expert_weights_norm", true);
  keys.u32("rope.dimension_count", sizes.rotaryLength);
}

/** YaRN here scales the scores too, by a factor that llama.cpp takes for that of sines and cosines as well. */
function addYarn(keys: KeyList, config: Fields, rope: RopePlan): void {
  const scaling = config.object("rope_parameters") ?? config.object("rope_scaling");
  if (!rope.entries.some(([key]) => key === "scaling.type") || scaling === null) return;
  const all = scaling.number("mscale_all_dim");
  if ((scaling.text("rope_type") ?? scaling.text("type")) !== "yarn") {
    throw refuseVariant("config.json scales positions in another way than yarn");
  }
  if (all === null || all <= 0 || scaling.number("mscale") !== all || scaling.number("attention_factor") !== null) {
    throw refuseVariant("config.json has different factors for sines and for scores (mscale, mscale_all_dim)");
  }
  // A tenth is taken back by llama.cpp.
  keys.f32("rope.scaling.yarn_log_multiplier", 0.1 * all);
}

/** Layers behind the last guess further tokens; llama.cpp's converter leaves them out as well. */
function dropNextLayers(weights: ReadonlyMap<string, Weight>, layers: number) {
  const kept = new Map(
    [...weights].filter(([name]) => {
      const layer = /^model\.layers\.(\d+)\./.exec(name)?.[1];
      return layer === undefined || Number(layer) < layers;
    }),
  );
  return { weights: kept, left: weights.size - kept.size };
}
