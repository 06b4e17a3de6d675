// A GGUF header (metadata and tensor list, local or read from a Hub by ranges) → the model's shape. Which layers keep what is
// read off the tensors that they have, so that an architecture that is new needs no line here. Pure.

import type { GgufHeader } from "../../formats/gguf/read-header.ts";
import type { GgufValue } from "../../formats/gguf/read-metadata.ts";
import type { GgufTensor } from "../../formats/gguf/read-tensors.ts";
import { readTrainedLength } from "../../protocol/model-info.ts";
import { isEncoder } from "../architecture.ts";
import type { LayerShape, ModelShape, ShapeTensor } from "./model-shape.ts";

type Header = Pick<GgufHeader, "metadata" | "tensors">;

/** Of those with a window that llama.cpp gives a cache of its own. */
const WINDOWED: ReadonlySet<string> = new Set([
  "afmoe",
  "cohere2",
  "cohere2moe",
  "exaone-moe",
  "exaone4",
  "gemma-embedding",
  "gemma2",
  "gemma3",
  "gemma3n",
  "gemma4",
  "gpt-oss",
  "llama4",
  "mimo2",
  "olmo2",
  "plamo3",
  "smallthinker",
  "step35",
]);

/** llama.cpp computes its attention without the fused operation. */
const UNFUSED = "grok";

/**
 * Of any width or count in a header: the widest of known models have some 10,000. A product of two of them (heads by their
 * length) is no more than as many again.
 */
const FIGURE_MAX = 2 ** 20;
const PRODUCT_MAX = 2 ** 28;

/** Of llama.cpp's numbers. A model that generates says none (0), and is then asked for the same. */
const LAST_POOLING = 3;

/** llama.cpp's own limit. A damaged header may say four thousand million, and each is described here. */
export const LAYERS_MAX = 512;

/** All parts of a model, the first one first; read with their tensors. Null where the header has no layers that can be. */
export function readShape(headers: readonly Header[]): ModelShape | null {
  const metadata = headers[0]?.metadata ?? new Map<string, GgufValue>();
  const architecture = metadata.get("general.architecture");
  if (typeof architecture !== "string") return null;
  const keys = new Keys(metadata, architecture);
  const layerCount = keys.count("block_count", 0);
  const width = keys.count("embedding_length", 0);
  if (!isCount(layerCount) || layerCount > LAYERS_MAX || !isCount(width)) return null;
  const heads = keys.count("attention.head_count", 0);
  // No memory would be enough for what these say, and it is the file's fault: llama.cpp tells what is wrong with it.
  if (heads > 0 && keys.count("attention.head_count_kv", heads) > heads) return null;
  const tensors = headers.flatMap(({ tensors: list }) => list ?? []).map(toShapeTensor);
  const expertCount = keys.count("expert_count", 0);
  const isAnEncoder = isEncoder(architecture) || metadata.get(`${architecture}.attention.causal`) === false;
  const pooling = keys.count("pooling_type", 0);
  const embedding = tensors.find(({ name }) => name === "token_embd.weight");
  if (embedding !== undefined && embedding.columns !== width) return null;
  const shape: ModelShape = {
    architecture,
    layers: Array.from({ length: layerCount }, (_, layer) => describeLayer(keys, layer, tensors, isAnEncoder)),
    headLayers: Math.min(keys.count("nextn_predict_layers", 0), layerCount - 1),
    width,
    vocabularySize: lengthOf(metadata.get("tokenizer.ggml.tokens")) || (embedding?.rows ?? keys.count("vocab_size", 0)),
    mergeCount: lengthOf(metadata.get("tokenizer.ggml.merges")),
    trainedContextLength: keys.length("context_length"),
    hasWindows: WINDOWED.has(architecture) && keys.length("attention.sliding_window") !== null,
    experts:
      expertCount === 0
        ? null
        : {
            count: expertCount,
            used: Math.min(expertCount, keys.count("expert_used_count", 1)),
            feedForward: keys.count("expert_feed_forward_length", 0) || keys.count("feed_forward_length", 0),
          },
    isEncoder: isAnEncoder,
    embedsOnly: isAnEncoder || pooling > 0,
    splitsInputs: !isAnEncoder && (pooling <= 0 || pooling === LAST_POOLING),
    fusesAttention: architecture !== UNFUSED,
    tensors,
    tiesOutput: embedding !== undefined && !isAnEncoder && !tensors.some(({ name }) => name === "output.weight"),
  };
  const isAbsurd = keys.hasAbsurd || shape.layers.some((layer) => Object.values(layer).some(exceedsProduct));
  return isAbsurd ? null : shape;
}

function exceedsProduct(value: number | boolean): boolean {
  return typeof value === "number" && value > PRODUCT_MAX;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0;
}

/** The numbers of one architecture, some of which are one for each layer. */
class Keys {
  /** One that was asked for is no number that a model could have: what it would take is not for a formula to say. */
  hasAbsurd = false;

  constructor(
    readonly metadata: ReadonlyMap<string, GgufValue>,
    readonly architecture: string,
  ) {}

  /** The largest, where there is one for each layer. */
  count(name: string, otherwise: number): number {
    const value = this.#get(name);
    const items = itemsOf(value);
    if (items !== null) return this.#check(Math.max(0, ...items));
    return value === undefined ? otherwise : this.#check(value);
  }

  ofLayer(name: string, layer: number, otherwise: number): number {
    const items = itemsOf(this.#get(name));
    return items === null ? this.count(name, otherwise) : this.#check(items[layer] ?? otherwise);
  }

  /** Tokens of a context or a window, which may be many more; null: none. */
  length(name: string): number | null {
    const value = this.#get(name);
    return readTrainedLength(typeof value === "number" ? value : null);
  }

  #get(name: string): GgufValue | undefined {
    return this.metadata.get(`${this.architecture}.${name}`);
  }

  #check(value: GgufValue): number {
    if (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= FIGURE_MAX) return Number(value);
    this.hasAbsurd = true;
    return 0;
  }
}

function itemsOf(value: GgufValue | undefined): number[] | null {
  if (typeof value !== "object" || value.kind !== "array" || value.items === null || value.items.length === 0)
    return null;
  return value.items.map(Number);
}

function lengthOf(value: GgufValue | undefined): number {
  return typeof value === "object" && value.kind === "array" ? value.length : 0;
}

function describeLayer(keys: Keys, layer: number, all: readonly ShapeTensor[], isAnEncoder: boolean): LayerShape {
  const tensors = all.filter((tensor) => tensor.layer === layer);
  const has = (part: RegExp): boolean => tensors.some(({ name }) => part.test(name));
  const isRecurrent = has(/\.(ssm_|shortconv\.|time_mix_)/);
  // Layers with a linear attention call its matrix as others do theirs.
  const attends = has(/\.attn_(k|kv_a_mqa)\.weight$/) || (has(/\.attn_qkv\.weight$/) && !isRecurrent);
  const shared = keys.count("attention.shared_kv_layers", 0);
  const keeps = attends && !isAnEncoder && layer < keys.count("block_count", 0) - shared;
  const heads = keys.ofLayer("attention.head_count", layer, 1);
  const { keyLength, valueLength, queryLength } = describeAttention(keys, layer, heads);
  const feedForward = Math.max(
    0,
    ...tensors.filter(({ name }) => /\.ffn_up\.weight$/.test(name)).map(({ rows }) => rows),
  );
  return {
    heads,
    keyLength: keeps ? keyLength : 0,
    valueLength: keeps ? valueLength : 0,
    queryLength: attends ? queryLength : 0,
    ...describeState(keys, heads, isRecurrent),
    feedForward,
    hasExperts: has(/\.ffn_(up|gate_up)_exps\.weight$/),
  };
}

function describeAttention(keys: Keys, layer: number, heads: number) {
  const usual = Math.floor(keys.count("embedding_length", 0) / Math.max(1, heads));
  const keyLength = keys.ofLayer("attention.key_length", layer, usual);
  const valueLength = keys.ofLayer("attention.value_length", layer, usual);
  const kvHeads = keys.ofLayer("attention.head_count_kv", layer, heads);
  // Latent attention keeps one vector, out of which keys and values are made anew.
  const isLatent = keys.count("attention.key_length_mla", 0) > 0;
  return {
    keyLength: keyLength * kvHeads,
    valueLength: isLatent ? 0 : valueLength * kvHeads,
    queryLength: keyLength * heads,
  };
}

/** llama.cpp's `n_embd_r` and `n_embd_s`. */
function describeState(keys: Keys, heads: number, isRecurrent: boolean) {
  if (!isRecurrent) return { convolutionLength: 0, stateLength: 0, innerLength: 0 };
  const width = keys.count("embedding_length", 0);
  const headSize = keys.count("wkv.head_size", 0);
  if (headSize > 0) {
    const shifts = keys.count("token_shift_count", 2);
    return { convolutionLength: shifts * width, stateLength: width * headSize, innerLength: width };
  }
  const shortTokens = keys.count("shortconv.l_cache", 0);
  if (shortTokens > 0) return { convolutionLength: width * (shortTokens - 1), stateLength: 0, innerLength: 0 };
  const before = Math.max(0, keys.count("ssm.conv_kernel", 0) - 1);
  const delta = keys.count("kda.head_dim", 0);
  if (delta > 0) {
    const inner = heads * delta;
    return { convolutionLength: 3 * before * inner, stateLength: delta * inner, innerLength: inner };
  }
  const inner = keys.count("ssm.inner_size", 0);
  const state = keys.count("ssm.state_size", 0);
  const groups = keys.count("ssm.group_count", 0);
  return { convolutionLength: before * (inner + 2 * groups * state), stateLength: inner * state, innerLength: inner };
}

const INPUT = /^(token_embd|token_embd_norm|position_embd|token_types|per_layer_token_embd)\./;
/** They are looked up, added or slid over, not multiplied with. */
const NO_MATRIX = /(norm|conv1d|shortconv\.conv|ssm_a|ssm_d|time_mix_(lerp|first|decay)|rope_)/;

function toShapeTensor({ name, dims, type, bytes }: GgufTensor): ShapeTensor {
  const layer = /^blk\.(\d+)\./.exec(name)?.[1];
  const isInput = INPUT.test(name);
  return {
    name,
    type,
    columns: dims[0] ?? 1,
    rows: dims[1] ?? 1,
    bytes,
    layer: layer === undefined ? null : Number(layer),
    isInput,
    isExpert: /_(ch|)exps\./.test(name),
    isMatrix: !isInput && dims.length > 1 && name.endsWith(".weight") && !NO_MATRIX.test(name),
  };
}
