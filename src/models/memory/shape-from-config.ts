// A config.json of SafeTensors → the header that the converted file will have, as far as memory goes, and by that the model's
// shape: before a conversion, or before a download of which only this file was read. Pure.

import { CONVERTIBLE_ARCHITECTURES } from "../../formats/convertible.ts";
import type { GgufValue } from "../../formats/gguf/read-metadata.ts";
import type { GgufTensor } from "../../formats/gguf/read-tensors.ts";
import { countTensorBytes } from "../../formats/gguf/write-header.ts";
import { isRecord } from "../../lib/is-record.ts";
import { isEncoder } from "../architecture.ts";
import { describeConverted } from "./converted-types.ts";
import type { ModelShape } from "./model-shape.ts";
import { LAYERS_MAX, readShape } from "./shape-from-gguf.ts";

interface Sizes {
  architecture: string;
  width: number;
  layers: number;
  heads: number;
  keyValueHeads: number;
  headLength: number;
  inner: number;
  vocabulary: number;
  experts: { count: number; used: number; inner: number; shared: number; denseLayers: number } | null;
  latent: { keyValue: number; rope: number; query: number; value: number } | null;
}

/** Their feed-forward part has two matrices, the others' three. */
const UNGATED: ReadonlySet<string> = new Set(["gpt2", "starcoder2", "gptneox", "bert"]);
/** Of any width or count: that of the largest vocabulary is a hundredth of it. */
const NUMBER_MAX = 2 ** 24;
/** Vocabularies over this are byte-pair ones, which have up to about twice as many merges. */
const UNIGRAM_TOKENS_MAX = 40_000;
const MERGES_EACH = 2;

/** `outType` as `--outtype` takes it, but for `auto`. Null: a class that is not converted. */
export function readConfigShape(config: Record<string, unknown>, outType: string): ModelShape | null {
  // A model that also sees has the sizes of its text part in a field of their own.
  const text = isRecord(config.text_config) ? { ...config, ...config.text_config } : config;
  const sizes = readSizes(text, nameOf(config));
  if (sizes === null) return null;
  const metadata = describe(sizes, text);
  return readShape([{ metadata, tensors: planTensors(sizes, text, outType.toLowerCase()) }]);
}

function nameOf({ architectures }: Record<string, unknown>): string | null {
  const [first] = Array.isArray(architectures) ? architectures : [];
  return CONVERTIBLE_ARCHITECTURES.get(String(first))?.gguf ?? null;
}

function readSizes(config: Record<string, unknown>, architecture: string | null): Sizes | null {
  let isAbsurd = false;
  const number = (...names: string[]): number => {
    const found = names.map((name) => config[name]).find((value) => typeof value === "number");
    if (typeof found !== "number") return 0;
    if (!Number.isInteger(found) || found < 0 || found > NUMBER_MAX) isAbsurd = true;
    return found;
  };
  const width = number("hidden_size", "n_embd");
  const layers = number("num_hidden_layers", "n_layer");
  const heads = number("num_attention_heads", "n_head");
  if (architecture === null || width === 0 || heads === 0) return null;
  // Each is planned with its tensors.
  if (layers < 1 || layers > LAYERS_MAX) return null;
  const count = number("num_experts", "num_local_experts", "n_routed_experts");
  const inner = number("intermediate_size", "n_inner") || 4 * width;
  const expertInner = number("moe_intermediate_size") || inner;
  const keyValue = number("kv_lora_rank");
  const shared = number("shared_expert_intermediate_size", "shared_intermediate_size");
  const sizes: Sizes = {
    architecture,
    width,
    layers,
    heads,
    keyValueHeads: number("num_key_value_heads") || heads,
    headLength: number("head_dim") || (keyValue > 0 ? number("qk_nope_head_dim") : Math.floor(width / heads)),
    inner,
    vocabulary: number("vocab_size"),
    experts:
      count === 0
        ? null
        : {
            count,
            used: number("num_experts_per_tok") || 1,
            inner: expertInner,
            shared: shared || number("n_shared_experts") * expertInner,
            denseLayers: number("first_k_dense_replace"),
          },
    latent:
      keyValue === 0
        ? null
        : {
            keyValue,
            rope: number("qk_rope_head_dim"),
            query: number("q_lora_rank"),
            value: number("v_head_dim"),
          },
  };
  return isAbsurd ? null : sizes;
}

function describe(sizes: Sizes, config: Record<string, unknown>): Map<string, GgufValue> {
  const { architecture, latent, experts, vocabulary } = sizes;
  const window = config.sliding_window;
  const trained = config.max_position_embeddings ?? config.n_positions;
  const numbers: Record<string, number> = {
    block_count: sizes.layers,
    embedding_length: sizes.width,
    feed_forward_length: sizes.inner,
    context_length: typeof trained === "number" ? trained : 1,
    "attention.head_count": sizes.heads,
    "attention.head_count_kv": latent === null ? sizes.keyValueHeads : 1,
    "attention.key_length": latent === null ? sizes.headLength : latent.keyValue + latent.rope,
    "attention.value_length": latent === null ? sizes.headLength : latent.keyValue,
    ...(latent === null ? {} : { "attention.key_length_mla": sizes.headLength + latent.rope }),
    ...(typeof window === "number" ? { "attention.sliding_window": window } : {}),
    ...(experts === null
      ? {}
      : { expert_count: experts.count, expert_used_count: experts.used, expert_feed_forward_length: experts.inner }),
  };
  const list = (length: number): GgufValue => ({ kind: "array", type: "string", length, items: null });
  return new Map<string, GgufValue>([
    ["general.architecture", architecture],
    ["tokenizer.ggml.tokens", list(vocabulary)],
    ["tokenizer.ggml.merges", list(vocabulary > UNIGRAM_TOKENS_MAX ? MERGES_EACH * vocabulary : 0)],
    ...Object.entries(numbers).map(([key, value]): [string, GgufValue] => [`${architecture}.${key}`, value]),
  ]);
}

type AddTensor = (name: string, dims: number[], plain?: boolean) => void;

function planTensors(sizes: Sizes, config: Record<string, unknown>, outType: string): GgufTensor[] {
  const { width, vocabulary, architecture, layers, experts } = sizes;
  const isTied = config.tie_word_embeddings === true || /^(gemma|gpt2)/.test(architecture);
  const tiesOutput = isTied && !isEncoder(architecture);
  const typesOf = describeConverted(outType, { layers, tiesOutput, experts: experts?.count ?? 0 });
  const tensors: GgufTensor[] = [];
  const add: AddTensor = (name, dims, plain = false) => {
    // As the converter has it: vectors, and rows that are no whole blocks, stay as they are.
    const layer = /^blk\.(\d+)\./.exec(name)?.[1];
    const types = dims.length > 1 && !plain ? typesOf(name, layer === undefined ? null : Number(layer)) : [];
    const used = types.find((type) => countOrNull(name, dims, type) !== null) ?? "F32";
    tensors.push({ name, dims, type: used, offset: 0, bytes: countOrNull(name, dims, used) ?? 0 });
  };
  add("token_embd.weight", [width, vocabulary]);
  add("output_norm.weight", [width]);
  if (!isTied && !isEncoder(architecture)) add("output.weight", [width, vocabulary]);
  const positions = config.max_position_embeddings ?? config.n_positions;
  if ((architecture === "bert" || architecture === "gpt2") && typeof positions === "number") {
    add("position_embd.weight", [width, positions], true);
  }
  for (let layer = 0; layer < layers; layer++) {
    const ofLayer: AddTensor = (name, dims, plain) => add(`blk.${layer}.${name}.weight`, dims, plain);
    ofLayer("attn_norm", [width]);
    ofLayer("ffn_norm", [width]);
    planAttention(sizes, ofLayer);
    planFeedForward(sizes, layer, ofLayer);
  }
  return tensors;
}

function countOrNull(name: string, dims: readonly number[], type: string): number | null {
  try {
    return countTensorBytes({ name, dims, type });
  } catch (_noWholeBlocks) {
    return null;
  }
}

function planAttention({ width, heads, keyValueHeads, headLength, latent }: Sizes, add: AddTensor): void {
  if (latent === null) {
    add("attn_q", [width, heads * headLength]);
    add("attn_k", [width, keyValueHeads * headLength]);
    add("attn_v", [width, keyValueHeads * headLength]);
    add("attn_output", [heads * headLength, width]);
    return;
  }
  const { keyValue, rope, query, value } = latent;
  if (query === 0) add("attn_q", [width, heads * (headLength + rope)]);
  else {
    add("attn_q_a", [width, query]);
    add("attn_q_b", [query, heads * (headLength + rope)]);
  }
  add("attn_kv_a_mqa", [width, keyValue + rope]);
  add("attn_k_b", [headLength, keyValue, heads]);
  add("attn_v_b", [keyValue, value, heads]);
  add("attn_output", [heads * value, width]);
}

function planFeedForward({ architecture, width, inner, experts }: Sizes, layer: number, add: AddTensor): void {
  const parts = (suffix: string, size: number, count: number | null): void => {
    const more = count === null ? [] : [count];
    if (!UNGATED.has(architecture)) add(`ffn_gate${suffix}`, [width, size, ...more]);
    add(`ffn_up${suffix}`, [width, size, ...more]);
    add(`ffn_down${suffix}`, [size, width, ...more]);
  };
  if (experts === null || layer < experts.denseLayers) {
    parts("", inner, null);
    return;
  }
  add("ffn_gate_inp", [width, experts.count], true);
  parts("_exps", experts.inner, experts.count);
  if (experts.shared > 0) parts("_shexp", experts.shared, null);
}
