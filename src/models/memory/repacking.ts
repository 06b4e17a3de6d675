// Which matrices the processor's plug-in copies into an order of its own (ggml's repack.cpp and amx): such are in memory
// of the process beside the mapped file. Pure; with a GPU in use llama.cpp copies none. The rules for AVX2 and AVX-512 are
// checked on such a processor; those for AMX and ARM are read off the source and were never run.

import type { ShapeTensor } from "./model-shape.ts";

export interface RepackRule {
  type: string;
  /** What the numbers of rows and columns must be multiples of. */
  rows: number;
  columns: number;
  /** It holds for experts too. */
  experts: boolean;
  /** Bytes of the copy to those of the file. */
  growth: number;
}

/** The first that fits holds. */
export type RepackRules = readonly RepackRule[];

export const NO_REPACKING: RepackRules = [];

/** Of ggml's `ggml_repack_get_optimal_repack_type`. */
const AVX2 = repackTypes(["Q4_0", "Q4_K", "IQ4_NL", "MXFP4"], 8);
const AVX512 = [...AVX2, ...repackTypes(["Q2_K"], 8)];
const DOTPROD = [...repackTypes(["Q4_0", "IQ4_NL", "MXFP4", "Q8_0"], 4), ...repackTypes(["Q4_K", "Q5_K", "Q6_K"], 8)];
/** Of amx.cpp's `supports_op` and mmq.cpp's `get_row_size`: a block gets a sum, or its scales get wider. */
const AMX: RepackRules = [
  { type: "Q4_0", ...tiled(32, 1) },
  { type: "Q4_1", ...tiled(32, 1) },
  { type: "Q8_0", ...tiled(32, 38 / 34) },
  { type: "Q4_K", ...tiled(256, 148 / 144) },
  { type: "Q5_K", ...tiled(256, 180 / 176) },
  { type: "Q6_K", ...tiled(256, 1) },
  { type: "IQ4_XS", ...tiled(256, 138 / 136) },
  { type: "F16", ...tiled(16, 1) },
];

function repackTypes(types: readonly string[], rows: number): RepackRule[] {
  return types.map((type) => ({ type, rows, columns: 1, experts: true, growth: 1 }));
}

function tiled(columns: number, growth: number): Omit<RepackRule, "type"> {
  return { rows: 32, columns, experts: false, growth };
}

/** `simd`: lower-case names, such as `avx2`, `amx_int8` or `asimddp`; `plugin`: the variant in use, where it is known. */
export function describeRepacking(simd: readonly string[], plugin = ""): RepackRules {
  const has = (...names: string[]): boolean => names.some((name) => simd.includes(name));
  if (has("asimddp", "dotprod")) return DOTPROD;
  if (!has("avx2") || /cpu-(x64|sse42|sandybridge|ivybridge|piledriver)/.test(plugin)) return NO_REPACKING;
  const isWide = has("avx512f") && !/cpu-(haswell|alderlake)/.test(plugin);
  const usual = isWide ? AVX512 : AVX2;
  const usesTiles = has("amx_int8") && (plugin === "" || plugin.includes("sapphirerapids"));
  return usesTiles ? [...AMX, ...usual] : usual;
}

/** Bytes of the copy; null: none is made. */
export function countRepacked({ type, rows, columns, isMatrix, isExpert, bytes }: ShapeTensor, rules: RepackRules) {
  if (!isMatrix) return null;
  const rule = rules.find((candidate) => {
    const divides = rows % candidate.rows === 0 && columns % candidate.columns === 0;
    return candidate.type === type && divides && (candidate.experts || !isExpert);
  });
  return rule === undefined ? null : Math.round(bytes * rule.growth);
}
