// Which type each matrix gets when a model is converted: those of llama.cpp's quantiser where one name stands for a mixture
// (`llama_tensor_get_type_impl` without an importance matrix), as far as it is more than a few tensors. Pure; converts nothing.

/** ggml's names for a matrix, best first: later ones are for rows that are no whole blocks of the first. */
export type TypesOf = (name: string, layer: number | null) => readonly string[];

export interface ConvertedModel {
  layers: number;
  /** The file has no output matrix of its own. */
  tiesOutput: boolean;
  /** Of a mixture; 0: it is none. */
  experts: number;
}

/** Where the name of the whole is not that of its matrices with `_S`, `_M` or `_L` behind it. */
const BASES: Readonly<Record<string, string>> = {
  iq3_m: "IQ3_S",
  iq3_xs: "IQ3_S",
  iq2_m: "IQ2_S",
  iq2_s: "IQ2_XS",
};
/** Values, and what goes back from the feed-forward part, of every layer. */
const ALWAYS_WIDER: Readonly<Record<string, string>> = { q2_k: "Q3_K", q3_k_m: "Q4_K", q3_k_l: "Q5_K", iq3_m: "Q4_K" };
/** Of the first and the last eighth of the layers, and of each third one between them. */
const OFTEN_WIDER: Readonly<Record<string, string>> = { q4_k_m: "Q6_K", q5_k_m: "Q6_K" };
/** llama.cpp's `tensor_type_fallback`: types with blocks of 256 → types with blocks of 32. */
const FALLBACKS: Readonly<Record<string, string>> = {
  Q2_K: "Q4_0",
  Q3_K: "Q4_0",
  Q4_K: "Q5_0",
  Q5_K: "Q5_1",
  Q6_K: "Q8_0",
};
const PLAIN = /^(f32|f16|bf16|q8_0)$/;
const NARROW = /^iq[12]/;
/** llama.cpp's account of such a mixture: keys and values are small there. */
const EIGHT = 8;

/** `outType` as `--outtype` takes it, but for `auto`. */
export function describeConverted(outType: string, { layers, tiesOutput, experts }: ConvertedModel): TypesOf {
  const base = BASES[outType] ?? baseOf(outType);
  const choose: (name: string, layer: number | null) => string = (name, layer) => {
    if (PLAIN.test(outType)) return base;
    const isOutput = name === "output.weight" || (tiesOutput && name === "token_embd.weight");
    if (isOutput) return NARROW.test(outType) ? "Q5_K" : "Q6_K";
    if (experts === EIGHT && /\.attn_[kv]\.weight$/.test(name)) return "Q8_0";
    if (layer === null || !/\.(attn_v|ffn_down(_exps|_shexp)?)\.weight$/.test(name)) return base;
    const often = hasMoreBits(layer, layers) ? OFTEN_WIDER[outType] : undefined;
    return ALWAYS_WIDER[outType] ?? often ?? base;
  };
  return (name, layer) => {
    const type = choose(name, layer);
    const fallback = FALLBACKS[type] ?? (type.startsWith("IQ") ? "IQ4_NL" : undefined);
    return fallback === undefined ? [type, "F16"] : [type, fallback, "F16"];
  };
}

function baseOf(outType: string): string {
  return outType.replace(/^(q\d_k)_[sml]$/, "$1").toUpperCase();
}

function hasMoreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}
