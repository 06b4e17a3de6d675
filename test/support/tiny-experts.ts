// What tiny decoders with experts have in place of one feed-forward part: fields of config.json, and matrices by
// transformers' names.

export type ExpertArchitecture = "MixtralForCausalLM" | "Qwen2MoeForCausalLM" | "Qwen3MoeForCausalLM";

export interface TinyExperts {
  count: number;
  /** For each token. */
  used: number;
  inner: number;
  /** Of the expert that every token goes to; 0: there is none. */
  sharedInner: number;
}

interface ModelWithExperts {
  architecture: string;
  width: number;
  experts?: TinyExperts;
}

type Matrix = readonly [name: string, rows: number, columns: number];

export function expertConfig({ architecture, experts }: ModelWithExperts): Record<string, unknown> {
  if (experts === undefined) return {};
  const { count, used, inner, sharedInner } = experts;
  if (architecture === "MixtralForCausalLM") {
    return { num_local_experts: count, num_experts_per_tok: used, intermediate_size: inner };
  }
  return {
    num_experts: count,
    num_experts_per_tok: used,
    moe_intermediate_size: inner,
    decoder_sparse_step: 1,
    mlp_only_layers: [],
    norm_topk_prob: architecture === "Qwen3MoeForCausalLM",
    ...(sharedInner === 0 ? {} : { shared_expert_intermediate_size: sharedInner }),
  };
}

/** Of a layer. */
export function listExpertMatrices({ architecture, width, experts }: ModelWithExperts): Matrix[] {
  if (experts === undefined) return [];
  const { count, inner, sharedInner } = experts;
  const isMixtral = architecture === "MixtralForCausalLM";
  const at = isMixtral ? "block_sparse_moe." : "mlp.";
  const [gate, down, up] = isMixtral ? ["w1", "w2", "w3"] : ["gate_proj", "down_proj", "up_proj"];
  const expert = (name: string, size: number): Matrix[] => [
    [`${name}.${gate}`, size, width],
    [`${name}.${down}`, width, size],
    [`${name}.${up}`, size, width],
  ];
  const shared: Matrix[] =
    sharedInner === 0 ? [] : [...expert(`${at}shared_expert`, sharedInner), [`${at}shared_expert_gate`, 1, width]];
  return [
    [`${at}gate`, count, width],
    ...Array.from({ length: count }, (_, i) => expert(`${at}experts.${i}`, inner)).flat(),
    ...shared,
  ];
}
