// Which matrices the processor's plug-in copies into an order of its own (ggml's repack.cpp and amx): such are in memory
// of the process beside the mapped file. Pure; with a GPU in use llama.cpp copies none.

import type { ShapeTensor } from "./model-shape.ts";

/** Of ggml's `ggml_repack_get_optimal_repack_type`: types, and what rows must divide by. */
const AVX2 = ["Q4_0", "Q4_K", "IQ4_NL", "MXFP4"];
const AVX512 = [...AVX2, "Q2_K"];
const DOTPROD = ["Q4_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "MXFP4", "Q8_0"];
/** Of amx/common.h's `qtype_has_amx_kernels`. */
const AMX = ["Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"];
const ROWS_X86 = 8;
const ROWS_AMX = 32;
const ROWS_ARM = 4;
const WIDE_ON_ARM = ["Q4_K", "Q5_K", "Q6_K"];

export interface RepackRules {
  /** By type, what the number of rows must be a multiple of. */
  readonly rows: ReadonlyMap<string, number>;
}

export const NO_REPACKING: RepackRules = { rows: new Map() };

/** `simd`: lower-case names, such as `avx2` and `amx_int8`, `asimddp`; `plugin`: the variant in use, where it is known. */
export function describeRepacking(simd: readonly string[], plugin = ""): RepackRules {
  const has = (...names: string[]): boolean => names.some((name) => simd.includes(name));
  const of = (types: readonly string[], rows: number): [string, number][] => types.map((type) => [type, rows]);
  if (has("asimddp", "dotprod")) {
    return { rows: new Map(DOTPROD.map((type) => [type, WIDE_ON_ARM.includes(type) ? ROWS_X86 : ROWS_ARM])) };
  }
  const isPlain = /cpu-(x64|sse42|sandybridge)/.test(plugin);
  if (!has("avx2") || isPlain) return NO_REPACKING;
  const isWide = has("avx512f") && !/cpu-(haswell|alderlake|piledriver|ivybridge)/.test(plugin);
  const usual = of(isWide ? AVX512 : AVX2, ROWS_X86);
  // The variant that has them also needs the system's leave to use them.
  const usesAmx = has("amx_int8") && (plugin === "" || plugin.includes("sapphirerapids"));
  return { rows: new Map(usesAmx ? [...usual, ...of(AMX, ROWS_AMX)] : usual) };
}

export function isRepacked({ type, rows, isMatrix }: ShapeTensor, rules: RepackRules): boolean {
  const multiple = rules.rows.get(type);
  return isMatrix && multiple !== undefined && rows % multiple === 0;
}
