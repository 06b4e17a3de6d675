// The layout in which Meta and Mistral publish their own weights, and MLX kept them at first: tensors by other names, and
// params.json (MLX: config.json) in place of transformers' configuration. Says the same in transformers' words. Pure.

import { isRecord } from "../../lib/is-record.ts";

export const PARAMS_FILE = "params.json";

/** Files of weights that are in this layout. */
export const OWN_LAYOUT_FILE = /^consolidated(\.\d{2})?\.(pth|safetensors)$|^weights(\.\d{1,5})?\.npz$/;

const MODULES: Readonly<Record<string, string>> = {
  "attention.wq": "self_attn.q_proj",
  "attention.wk": "self_attn.k_proj",
  "attention.wv": "self_attn.v_proj",
  "attention.wo": "self_attn.o_proj",
  "feed_forward.w1": "mlp.gate_proj",
  "feed_forward.w2": "mlp.down_proj",
  "feed_forward.w3": "mlp.up_proj",
  attention_norm: "input_layernorm",
  ffn_norm: "post_attention_layernorm",
};
const ENDS: Readonly<Record<string, string>> = {
  tok_embeddings: "model.embed_tokens",
  norm: "model.norm",
  output: "lm_head",
};

/** transformers' name of a tensor, with whatever packed weights have behind it; null: it is none of this layout's. */
export function renameTensor(name: string): string | null {
  const [, layer, path = "", leaf = ""] = /^(?:layers\.(\d{1,6})\.)?([\w.]+)\.(\w+)$/.exec(name) ?? [];
  const module = layer === undefined ? ENDS[path] : MODULES[path];
  if (module === undefined) return null;
  return layer === undefined ? `${module}.${leaf}` : `model.layers.${layer}.${module}.${leaf}`;
}

/** What makes a folder's tensors ones of this layout. */
export const OWN_EMBEDDINGS = "tok_embeddings.weight";

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value > 0;

/**
 * In transformers' words; null where `params` is no such thing. Experts, image parts and stretched positions are left to
 * transformers' form of these models: nothing here says how much is stretched.
 */
export function describeParams(params: unknown): { config: Record<string, unknown> } | { refused: string } | null {
  if (!isRecord(params)) return null;
  const { dim, n_layers, n_heads } = params;
  if (!isCount(dim) || !isCount(n_layers) || !isCount(n_heads)) return null;
  const odd = ["moe", "vision_encoder", "use_scaled_rope", "quantization_args", "lora_args", "yarn"].find(
    (key) => params[key] !== undefined && params[key] !== null && params[key] !== false,
  );
  if (odd !== undefined) return { refused: odd };
  const epsilon = typeof params.norm_eps === "number" ? params.norm_eps : 1e-5;
  const theta = typeof params.rope_theta === "number" ? params.rope_theta : 10_000;
  const stated = [params.max_position_embeddings, params.model_max_length, params.max_seq_len].find(isCount);
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: dim,
    num_hidden_layers: n_layers,
    num_attention_heads: n_heads,
    num_key_value_heads: isCount(params.n_kv_heads) ? params.n_kv_heads : n_heads,
    ...(isCount(params.head_dim) ? { head_dim: params.head_dim } : {}),
    ...(isCount(params.hidden_dim) ? { intermediate_size: params.hidden_dim } : {}),
    ...(isCount(params.vocab_size) ? { vocab_size: params.vocab_size } : {}),
    ...(isRecord(params.quantization) ? { quantization: params.quantization } : {}),
    rms_norm_eps: epsilon,
    rope_theta: theta,
    max_position_embeddings: stated ?? assumeContext(params, epsilon, theta),
    has_assumed_context: stated === undefined,
  };
  return { config };
}

/** Of Meta's files none says it; each generation is told by its numbers. */
function assumeContext(params: Record<string, unknown>, epsilon: number, theta: number): number {
  // Mistral's state what Meta's do not.
  if (isCount(params.head_dim) && isCount(params.hidden_dim)) return 32_768;
  if (theta === 1e6) return 16_384;
  if (theta === 5e5) return 8_192;
  return epsilon < 1e-5 ? 2_048 : 4_096;
}
